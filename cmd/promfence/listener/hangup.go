package listener

import (
	"context"
	"errors"
	"time"
)

// While a handler works, net/http reads one byte ahead, in a goroutine of its own for
// each request, only to learn that the caller has hung up. That is a sixteenth of what
// a repeated query costs. Over plain TCP the read gets nothing, at once, and promfence
// looks at the connections whose requests take longer than hangUpInterval. So a caller
// who has hung up is noticed within twice that time, which ends their request's context
// as net/http's read would.
//
// TLS and HTTP/2 keep net/http's own way: what a caller says there is not to be seen on
// the socket.
const (
	hangUpInterval = 50 * time.Millisecond
	lookShare      = 20
	lookPause      = time.Second
)

// watch makes net/http's read ahead needless, where the system lets promfence look. What
// it returns is the context of the connection's requests.
func (s *slot) watch(ctx context.Context) context.Context {
	if !s.CanPeek() {
		return ctx
	}
	ctx, s.hangUp = context.WithCancel(ctx)
	return ctx
}

// watched reports whether net/http need not read ahead.
func (s *slot) watched() bool { return s.hangUp != nil }

// serve puts a slot behind those whose requests have been under way for longer.
func (all *slots) serve(s *slot) {
	if !s.watched() {
		return
	}
	s.round = all.round
	s.readAhead.Store(false)
	s.insert(&all.serving)
	if all.timer == nil {
		all.timer = time.AfterFunc(hangUpInterval, all.look)
	}
}

// look ends the requests of callers who have hung up. Of some sockets that cannot be told:
// Linux 5.10 does not look into Multipath TCP. There is another look if any requests are
// under way.
func (all *slots) look() {
	begin := time.Now()
	for _, s := range all.slow() {
		if _, err := s.Peek(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			s.hangUp()
		}
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.timer = nil; all.serving.next != &all.serving {
		pause := min(max(hangUpInterval, lookShare*time.Since(begin)), lookPause)
		all.timer = time.AfterFunc(pause, all.look)
	}
}

// slow are the slots whose requests were under way at the last look, too.
func (all *slots) slow() []*slot {
	all.mu.Lock()
	defer all.mu.Unlock()
	var slow []*slot
	for s := all.serving.next; s != &all.serving && s.round != all.round; s = s.next {
		if s.readAhead.Load() {
			slow = append(slow, s)
		}
	}
	all.round++
	return slow
}

// readsAhead reports whether a read is the one of net/http while a handler works: the
// first read of a header asks for more. Only at the very beginning, where net/http looks
// for HTTP/2's preface, may it ask for one byte after a blank line. It makes no progress
// then, takes what came for HTTP/1, and ends the connection: it is too short for a
// request, or the preface's first line, after which no other request is read.
func (c *conn) readsAhead(p []byte) bool {
	return c.slot.watched() && len(p) == 1 && c.state == header && c.bytes == 0 && len(c.ahead) == 0
}
