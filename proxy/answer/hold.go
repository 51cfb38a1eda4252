package answer

import (
	"errors"
	"io"
	"net/http"
	"sync"
)

// heldBytes is more than net/http buffers of an answer before it begins to send it:
// 4 KiB, over HTTP/1.1 and HTTP/2.
const heldBytes = 5 << 10

// Hold waits for the beginning of an answer: as much as net/http would buffer, if the
// answer's length is known, else the first bytes. Its error is one of an answer that
// broke off before anything left. Without Hold the caller would see a connection that
// closes without a word, and many clients then repeat the request.
func Hold(resp *http.Response) error {
	if resp.ContentLength == 0 {
		return nil
	}
	buf, _ := heldBuffers.Get().(*[heldBytes]byte)
	n, want := 0, 1
	if resp.ContentLength > 0 {
		want = int(min(resp.ContentLength, heldBytes))
	}
	var err error
	for n < want && err == nil {
		var m int
		m, err = resp.Body.Read(buf[n:])
		n += m
	}
	whole := errors.Is(err, io.EOF) && (resp.ContentLength < 0 || int64(n) == resp.ContentLength)
	if err != nil && !whole {
		heldBuffers.Put(buf)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if errors.Is(err, errUnfiltered) {
			err = Unfilterable(err)
		}
		return err
	}
	resp.Body = &held{ReadCloser: resp.Body, buf: buf, rest: buf[:n], err: err}
	return nil
}

var heldBuffers = sync.Pool{New: func() any { return new([heldBytes]byte) }}

// held is an answer whose beginning was read before.
type held struct {
	io.ReadCloser
	buf  *[heldBytes]byte // lent; nil = given back
	rest []byte
	err  error // what came with the beginning
}

func (h *held) Read(p []byte) (int, error) {
	if len(h.rest) > 0 {
		n := copy(p, h.rest)
		if h.rest = h.rest[n:]; len(h.rest) == 0 {
			h.rest = nil
			heldBuffers.Put(h.buf)
			h.buf = nil
			return n, h.err
		}
		return n, nil
	}
	if h.err != nil {
		return 0, h.err
	}
	return h.ReadCloser.Read(p)
}
