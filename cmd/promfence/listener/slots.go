package listener

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/promfence/promfence/proxy/socket"
)

// slots are the connections that are open, at most max of them. Those without a
// request form a list, the one that has been so for the longest time first; so do
// those with one.
type slots struct {
	metrics *Metrics
	max     int

	mu      sync.Mutex
	freed   sync.Cond // a slot became free or idle, or nobody may wait any more
	open    int
	waiting slot // head of the ring of idle slots
	serving slot // head of the ring of slots with a request under way
	closed  bool

	round int         // of looks at those that serve
	timer *time.Timer // of the next look, or of the one under way; nil = none serves
}

// A slot is one TCP connection. It is given back when the connection is closed.
type slot struct {
	socket.Conn
	all *slots

	prev, next *slot // in a ring
	busy       bool  // a request is under way
	released   bool

	read, write deadline

	hangUp    context.CancelFunc // ends the contexts of the connection's requests; nil = only net/http does
	round     int                // of looks, in which its request began
	readAhead atomic.Bool        // net/http has tried to, for its request

	begun   atomic.Bool  // a part of the next request's header is here
	headers atomic.Int64 // bytes of headers of the requests under way over HTTP/2
}

func newSlots(limit int, m *Metrics) *slots {
	all := &slots{max: limit, metrics: m}
	all.freed.L = &all.mu
	all.waiting.prev, all.waiting.next = &all.waiting, &all.waiting
	all.serving.prev, all.serving.next = &all.serving, &all.serving
	return all
}

// acquire takes a slot, if need be that of an idle connection. It waits only while
// every connection has a request under way.
func (all *slots) acquire(c net.Conn) (*slot, error) {
	s := &slot{Conn: socket.Conn{Conn: c}, all: all, read: deadline{set: c.SetReadDeadline}, write: deadline{set: c.SetWriteDeadline}}
	all.mu.Lock()
	for delayed := false; all.open >= all.max && !all.closed; {
		if victim := all.longestIdle(); victim != nil {
			all.release(victim)
			all.metrics.evicted.Inc()
			_ = victim.Conn.Close() // it owed us nothing
			continue
		}
		if !delayed {
			delayed = true
			all.metrics.delayed.Inc()
		}
		all.freed.Wait()
	}
	defer all.mu.Unlock()
	if all.closed {
		_ = c.Close() // it has been asked nothing
		return nil, net.ErrClosed
	}
	all.open++
	all.metrics.open.Inc()
	s.insert(&all.waiting)
	return s, nil
}

// longestIdle is the connection to close for a new one, or nil. One that has sent
// a part of a header is chosen only if all have: a header is on its way for ten
// seconds at most, but a stranger could begin one on every connection.
func (all *slots) longestIdle() *slot {
	for s := all.waiting.next; s != &all.waiting; s = s.next {
		if !s.begun.Load() {
			return s
		}
	}
	if all.waiting.next != &all.waiting {
		return all.waiting.next
	}
	return nil
}

// busy notes that a request is under way.
func (all *slots) busy(s *slot) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if s.released {
		return
	}
	s.remove()
	s.busy = true
	all.serve(s)
}

// idle notes that no request is under way.
func (all *slots) idle(s *slot) {
	all.mu.Lock()
	if !s.released && s.busy {
		s.remove()
		s.busy = false
		s.insert(&all.waiting)
		all.freed.Signal()
	}
	all.mu.Unlock()
}

// release frees a slot, once.
func (all *slots) release(s *slot) {
	if s.released {
		return
	}
	s.released = true
	s.remove()
	all.open--
	all.metrics.open.Dec()
	all.freed.Signal()
}

// insert puts a slot at the end of a ring.
func (s *slot) insert(head *slot) {
	s.prev, s.next = head.prev, head
	s.prev.next, head.prev = s, s
}

func (s *slot) remove() {
	if s.next != nil {
		s.prev.next, s.next.prev = s.next, s.prev
		s.prev, s.next = nil, nil
	}
}

// close ends all waiting for slots.
func (all *slots) close() {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.closed = true
	all.freed.Broadcast()
}

// NetConn is the connection below, as that of a tls.Conn.
func (s *slot) NetConn() net.Conn { return s.Conn.Conn }

// Close gives the slot back.
func (s *slot) Close() error {
	s.all.mu.Lock()
	s.all.release(s)
	s.all.mu.Unlock()
	if s.hangUp != nil {
		s.hangUp()
	}
	return s.Conn.Close()
}

// CloseWrite tells the peer that nothing more comes, where the connection can.
func (s *slot) CloseWrite() error {
	if c, ok := s.Conn.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}
