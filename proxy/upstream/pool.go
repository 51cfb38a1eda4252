package upstream

import (
	"slices"
	"sync"
	"time"
)

const (
	idleTimeout = 90 * time.Second
	suspicion   = time.Second // how long before an unasked answer other connections are distrusted
)

// A pool keeps the connections that wait for a request.
type pool struct {
	most int // of all kinds together

	mu     sync.Mutex
	idle   [kinds][]*conn // each in the order in which they became idle
	reaper *time.Timer    // nil when none is idle
	closed bool
}

// take returns the connection of a kind that became idle last, or nil. One that
// has not been silent since is closed.
func (p *pool) take(kind rowKind) *conn {
	for {
		c := p.pop(kind)
		if c == nil {
			return nil
		}
		switch c.look() {
		case quiet:
			return c
		case spoke:
			p.distrust(c.since)
		case gone:
		}
		_ = c.Close() // nobody has it
	}
}

func (p *pool) pop(kind rowKind) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	idle := p.idle[kind]
	last := len(idle) - 1
	if last < 0 {
		return nil
	}
	c := idle[last]
	idle[last] = nil
	p.idle[kind] = idle[:last]
	return c
}

// put keeps a connection for another request. The one that has been idle longest
// makes room.
func (p *pool) put(c *conn) {
	surplus := c
	p.mu.Lock()
	if !p.closed && p.most > 0 {
		surplus = p.room()
		c.since = time.Now()
		p.idle[c.kind] = append(p.idle[c.kind], c)
		if p.reaper == nil {
			p.reaper = time.AfterFunc(idleTimeout, p.reap)
		}
	}
	p.mu.Unlock()
	if surplus != nil {
		_ = surplus.Close() // nobody has it
	}
}

// room takes the connection that has been idle longest out of a full pool.
func (p *pool) room() *conn {
	total, oldest := 0, -1
	for kind, idle := range p.idle {
		total += len(idle)
		if len(idle) > 0 && (oldest < 0 || idle[0].since.Before(p.idle[oldest][0].since)) {
			oldest = kind
		}
	}
	if total < p.most {
		return nil
	}
	c := p.idle[oldest][0]
	p.idle[oldest] = slices.Delete(p.idle[oldest], 0, 1)
	return c
}

// distrust closes the idle connections beside one on which the upstream has said
// what nobody asked for, since some time after it became idle. An upstream that
// mixes up its answers does so on several connections at once.
func (p *pool) distrust(since time.Time) {
	from := since.Add(-suspicion)
	p.closeAll(p.remove(func(c *conn) bool { return !c.since.Before(from) }))
}

// reap closes what has been idle for too long.
func (p *pool) reap() {
	old := p.remove(func(c *conn) bool { return time.Since(c.since) >= idleTimeout })
	p.closeAll(old)
	p.mu.Lock()
	defer p.mu.Unlock()
	next := time.Duration(-1)
	for _, idle := range p.idle {
		if len(idle) > 0 {
			next = max(next, time.Since(idle[0].since))
		}
	}
	if p.reaper = nil; next >= 0 && !p.closed {
		p.reaper = time.AfterFunc(idleTimeout-next, p.reap)
	}
}

// remove takes the connections out that which picks.
func (p *pool) remove(which func(*conn) bool) []*conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	var picked []*conn
	for kind := range p.idle {
		p.idle[kind] = slices.DeleteFunc(p.idle[kind], func(c *conn) bool {
			if which(c) {
				picked = append(picked, c)
				return true
			}
			return false
		})
	}
	return picked
}

// closeAll closes connections that nobody has, outside of the lock: TLS says
// goodbye, which can wait for a peer that reads nothing.
func (*pool) closeAll(conns []*conn) {
	for _, c := range conns {
		_ = c.Close()
	}
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	if p.reaper != nil {
		p.reaper.Stop()
	}
	p.mu.Unlock()
	p.closeAll(p.remove(func(*conn) bool { return true }))
}
