package listener

import (
	"net"
	"sync"
	"sync/atomic"
)

// slots are the connections that are open, at most max of them. Those without a
// request form a list, the one that has been so for the longest time first.
type slots struct {
	metrics *Metrics
	max     int

	mu     sync.Mutex
	freed  sync.Cond // a slot became free or idle, or nobody may wait any more
	open   int
	head   slot // of the ring of idle slots
	closed bool
}

// A slot is one TCP connection. It is given back when the connection is closed.
type slot struct {
	net.Conn
	all *slots

	prev, next *slot // in the ring; nil = a request is under way
	released   bool

	begun   atomic.Bool  // a part of the next request's header is here
	headers atomic.Int64 // bytes of headers of the requests under way over HTTP/2
}

func newSlots(limit int, m *Metrics) *slots {
	all := &slots{max: limit, metrics: m}
	all.freed.L = &all.mu
	all.head.prev, all.head.next = &all.head, &all.head
	return all
}

// acquire takes a slot, if need be that of an idle connection. It waits only while
// every connection has a request under way.
func (all *slots) acquire(c net.Conn) (*slot, error) {
	s := &slot{Conn: c, all: all}
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
	all.insert(s)
	return s, nil
}

// longestIdle is the connection to close for a new one, or nil. One that has sent
// a part of a header is chosen only if all have: a header is on its way for ten
// seconds at most, but a stranger could begin one on every connection.
func (all *slots) longestIdle() *slot {
	for s := all.head.next; s != &all.head; s = s.next {
		if !s.begun.Load() {
			return s
		}
	}
	if all.head.next != &all.head {
		return all.head.next
	}
	return nil
}

// busy notes that a request is under way.
func (all *slots) busy(s *slot) {
	all.mu.Lock()
	s.remove()
	all.mu.Unlock()
}

// idle notes that no request is under way.
func (all *slots) idle(s *slot) {
	all.mu.Lock()
	if !s.released && s.next == nil {
		all.insert(s)
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

func (all *slots) insert(s *slot) {
	s.prev, s.next = all.head.prev, &all.head
	s.prev.next, all.head.prev = s, s
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

// Close gives the slot back.
func (s *slot) Close() error {
	s.all.mu.Lock()
	s.all.release(s)
	s.all.mu.Unlock()
	return s.Conn.Close()
}

// CloseWrite tells the peer that nothing more comes, where the connection can.
func (s *slot) CloseWrite() error {
	if c, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}
