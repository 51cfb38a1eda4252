package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/promfence/promfence/proxy/answer"
	"github.com/promfence/promfence/proxy/filter"
)

// heldAnswer is how much of a filtered answer is ready before the first byte is
// sent: an answer that turns out unfilterable within it is a clean 502, a longer
// one breaks the connection.
const heldAnswer = 1 << 20

var errUnfiltered = errors.New("the upstream's answer could not be filtered")

// filterAnswer replaces the body by what the row's filter leaves of it.
func (p *Proxy) filterAnswer(resp *http.Response, x *exchange) error {
	contentType := resp.Header.Get("Content-Type")
	if !answer.IsJSON(contentType) {
		return unfilterable(fmt.Errorf("Content-Type %q", clip(contentType)))
	}
	src, err := plainBody(resp)
	if err != nil {
		return unfilterable(err)
	}
	ctx, cancel := context.WithCancel(resp.Request.Context())
	v := filter.View{
		Labels: x.identity.Labels, Params: x.params.Values(), SharedRules: p.shared.rules, SharedMetadata: p.shared.metadata,
		Names: func() (filter.Names, error) { return ownAnswer(ctx, p.names, x, p.metricNames) },
		Texts: func() (filter.Texts, error) {
			return ownAnswer(ctx, p.texts, x, p.targetTexts)
		},
		Families: func() (filter.Families, error) { return ownAnswer(ctx, p.families, x, p.metricFamilies) },
	}
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.CloseWithError(runFilter(x.route.Guard.filter, w, src, v))
	}()
	body := &filteredBody{pipe: r, upstream: resp.Body, cancel: cancel, done: done}
	head, whole, err := readHead(r, x.route.Streams)
	if err != nil {
		_ = body.Close()
		return unfilterable(err)
	}
	body.Reader = io.MultiReader(bytes.NewReader(head), &answerBody{ReadCloser: r, x: x})
	resp.Body = body
	if !x.route.Streams {
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

// runFilter turns a filter's panic into an error: it runs beside the request,
// where no guard stands.
func runFilter(f filter.Filter, dst io.Writer, src io.Reader, v filter.View) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: panic: %v", errUnfiltered, v)
		}
	}()
	return f(dst, src, v)
}

func unfilterable(err error) error {
	if e, ok := errors.AsType[*apiError](err); ok {
		return e
	}
	e := failure(http.StatusBadGateway, "the upstream's answer is not what promfence expects here, so it was not passed on")
	e.Err = fmt.Errorf("%w: %w", errUnfiltered, err)
	return e
}

// A filteredBody ends the filter's goroutine when it is closed.
type filteredBody struct {
	io.Reader
	pipe     *io.PipeReader
	upstream io.Closer
	cancel   context.CancelFunc
	done     chan struct{}
}

func (b *filteredBody) Close() error {
	b.cancel()
	_ = b.pipe.Close()
	err := b.upstream.Close()
	<-b.done
	return err
}
