package upstream

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/promfence/promfence/proxy/apierr"
)

// A body is that of an answer. At its end the connection is free for the next
// request, if all is well.
type body struct {
	io.ReadCloser
	conn  *conn
	ctx   context.Context
	last  bool // the connection serves no other request
	ended atomic.Bool
	err   error // how it ended, for whoever reads
}

func (b *body) Read(p []byte) (int, error) {
	if b.ended.Load() {
		if b.err == nil {
			b.err = net.ErrClosed
		}
		return 0, b.err
	}
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		return n, nil
	}
	b.err = err
	switch gone := b.ctx.Err(); {
	case err == io.EOF:
	case gone != nil:
		b.err = gone
	case isTimeout(err):
		b.err = apierr.New(http.StatusGatewayTimeout, "the upstream stopped in the middle of its answer").Because(err)
	}
	b.end(err == io.EOF)
	return n, b.err
}

// Close ends the answer, also while somebody waits for more of it.
func (b *body) Close() error {
	b.end(false)
	return nil
}

// end gives the connection back after a whole answer, or closes it. After that
// it is somebody else's.
func (b *body) end(whole bool) {
	if !b.ended.CompareAndSwap(false, true) {
		return
	}
	c := b.conn
	unasked := whole && !b.last && c.br.Buffered() > 0
	if c.unwatch() && whole && !b.last && !unasked {
		c.unwatch, c.inBody = nil, false // the request is no longer held
		c.client.pool.put(c)
		return
	}
	_ = c.Close() // half an answer is left on it, or more than one
	if unasked {
		c.client.pool.distrust(time.Now())
	}
}
