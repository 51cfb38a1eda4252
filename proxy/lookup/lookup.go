// Package lookup keeps for a short time what the upstream answered to questions of
// promfence's own.
//
// It stops one threat: an answer that was given for one label policy and is used for
// another, or is used when it is no longer true. The key of an answer says for whom it
// is. Failures are not kept. How many answers are kept, in how many bytes and for how
// long, is bounded.
package lookup

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// The bounds of a Cache; the first two where it is given no others.
const (
	standardTTL     = 30 * time.Second
	standardEntries = 64
	maxBytes        = 32 << 20
)

// A Cache keeps the answers to one question for the latest keys. Questions for one
// key that come at the same time are asked once.
type Cache[T any] struct {
	size    func(T) int           // how much memory an answer takes
	ttl     func(T) time.Duration // how long it is good
	entries int
	calls   singleflight.Group

	mu    sync.Mutex
	kept  map[string]*entry[T]
	bytes int
}

type entry[T any] struct {
	value T
	until time.Time
	bytes int
}

// New makes a Cache. Size tells how many bytes an answer takes, and ttl how long it is
// good; nil = half a minute. So many entries are kept; 0 = 64.
func New[T any](size func(T) int, entries int, ttl func(T) time.Duration) *Cache[T] {
	if ttl == nil {
		ttl = func(T) time.Duration { return standardTTL }
	}
	entries = cmp.Or(entries, standardEntries)
	return &Cache[T]{size: size, ttl: ttl, entries: entries, kept: map[string]*entry[T]{}}
}

// Of returns the answer for a key, as kept or by fetch, which ends with timeout and
// not with ctx: who asked first may leave, and the others still want the answer.
func (c *Cache[T]) Of(ctx context.Context, key string, timeout time.Duration, fetch func(context.Context) (T, error)) (T, error) {
	if v, ok := c.get(key); ok {
		return v, nil
	}
	ch := c.calls.DoChan(key, func() (_ any, err error) {
		defer func() {
			if v := recover(); v != nil { // it would end the process: it runs beside the request
				err = fmt.Errorf("panic: %v", v)
			}
		}()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		defer cancel()
		v, err := fetch(ctx)
		if err == nil {
			c.add(key, v)
		}
		return v, err
	})
	var none T
	select {
	case <-ctx.Done():
		return none, ctx.Err()
	case got := <-ch:
		v, ok := got.Val.(T)
		if got.Err != nil || !ok {
			return none, got.Err
		}
		return v, nil
	}
}

func (c *Cache[T]) get(key string) (T, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.kept[key]; e != nil && time.Now().Before(e.until) {
		return e.value, true
	}
	var none T
	return none, false
}

func (c *Cache[T]) add(key string, v T) {
	ttl := c.ttl(v)
	e := &entry[T]{v, time.Now().Add(ttl), c.size(v) + len(key)}
	if e.bytes > maxBytes {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(key, c.kept[key])
	for len(c.kept) >= c.entries || c.bytes+e.bytes > maxBytes {
		c.dropOldest()
	}
	c.kept[key] = e
	c.bytes += e.bytes
	time.AfterFunc(ttl, func() { // nobody may ask again, and names are not kept longer than they are good
		c.mu.Lock()
		defer c.mu.Unlock()
		c.drop(key, e)
	})
}

// drop forgets an entry, unless another one has its key by now.
func (c *Cache[T]) drop(key string, e *entry[T]) {
	if e != nil && c.kept[key] == e {
		delete(c.kept, key)
		c.bytes -= e.bytes
	}
}

func (c *Cache[T]) dropOldest() {
	var oldest string
	for key, e := range c.kept {
		if o := c.kept[oldest]; o == nil || e.until.Before(o.until) {
			oldest = key
		}
	}
	c.drop(oldest, c.kept[oldest])
}
