package answer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/filter"
)

// heldAnswer is how much of a filtered answer is ready before the first byte is
// sent: an answer that turns out unfilterable within it is a clean 502, a longer
// one breaks the connection.
const heldAnswer = 1 << 20

// Filter replaces the body of an answer by what f leaves of it. View is called with a
// context that ends with the body. An answer that streams keeps its type, and leaves
// line by line.
func Filter(resp *http.Response, streams bool, f filter.Filter, view func(context.Context) filter.View) error {
	contentType := resp.Header.Get("Content-Type")
	if !isJSON(contentType) {
		return Unfilterable(fmt.Errorf("Content-Type %q", apierr.Clip(contentType)))
	}
	src, err := Plain(resp)
	if err != nil {
		return Unfilterable(err)
	}
	ctx, cancel := context.WithCancel(resp.Request.Context())
	v := view(ctx)
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.CloseWithError(run(f, w, src, v))
	}()
	body := &filtered{pipe: r, upstream: resp.Body, cancel: cancel, done: done}
	head, whole, err := readHead(r, streams)
	if err != nil {
		_ = body.Close()
		return Unfilterable(err)
	}
	body.Reader = io.MultiReader(bytes.NewReader(head), r)
	resp.Body = body
	if !streams {
		resp.Header.Set("Content-Type", "application/json")
	}
	resp.Header.Del("Content-Encoding")
	resp.Header.Del("Content-Length")
	resp.ContentLength = -1
	if whole {
		resp.ContentLength = int64(len(head))
		resp.Header.Set("Content-Length", strconv.Itoa(len(head)))
	}
	return nil
}

// readHead reads what has to be ready before the first byte is sent: up to
// heldAnswer, or of an answer that streams its first line.
func readHead(r io.Reader, streams bool) (head []byte, whole bool, err error) {
	if !streams {
		head, err = io.ReadAll(io.LimitReader(r, heldAnswer))
		return head, len(head) < heldAnswer, err
	}
	head = make([]byte, 32<<10)
	n, err := r.Read(head)
	if errors.Is(err, io.EOF) {
		return head[:n], true, nil
	}
	return head[:n], false, err
}

// run turns a filter's panic into an error: it runs beside the request, where no
// guard stands.
func run(f filter.Filter, dst io.Writer, src io.Reader, v filter.View) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: panic: %v", errUnfiltered, v)
		}
	}()
	return f(v, dst, src)
}

// A filtered body ends the filter's goroutine when it is closed.
type filtered struct {
	io.Reader
	pipe     *io.PipeReader
	upstream io.Closer
	cancel   context.CancelFunc
	done     chan struct{}
}

func (b *filtered) Close() error {
	b.cancel()
	_ = b.pipe.Close()
	err := b.upstream.Close()
	<-b.done
	return err
}
