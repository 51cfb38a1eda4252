package proxy

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	lookupTTL     = 30 * time.Second
	lookupEntries = 64
	lookupBytes   = 32 << 20
)

// A lookup keeps what the upstream answered to a question of promfence's own, for
// a short time: the answers of the latest keys, bounded in number and in bytes.
// The key is whom the answer is for. Questions for one key that come at the same
// time are asked once. Failures are not kept.
type lookup[T any] struct {
	size  func(T) int // how much memory an answer takes
	calls singleflight.Group

	mu    sync.Mutex
	kept  map[string]*lookedUp[T]
	bytes int
}

type lookedUp[T any] struct {
	value T
	until time.Time
	bytes int
}

func newLookup[T any](size func(T) int) *lookup[T] {
	return &lookup[T]{size: size, kept: map[string]*lookedUp[T]{}}
}

// of returns the answer for a key, as kept or by fetch, which ends with timeout and
// not with ctx: who asked first may leave, and the others still want the answer.
func (l *lookup[T]) of(ctx context.Context, key string, timeout time.Duration, fetch func(context.Context) (T, error)) (T, error) {
	if v, ok := l.get(key); ok {
		return v, nil
	}
	ch := l.calls.DoChan(key, func() (_ any, err error) {
		defer func() {
			if v := recover(); v != nil { // it would end the process: it runs beside the request
				err = fmt.Errorf("panic: %v", v)
			}
		}()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		defer cancel()
		v, err := fetch(ctx)
		if err == nil {
			l.add(key, v)
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

func (l *lookup[T]) get(key string) (T, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.kept[key]; e != nil && time.Now().Before(e.until) {
		return e.value, true
	}
	var none T
	return none, false
}

func (l *lookup[T]) add(key string, v T) {
	e := &lookedUp[T]{v, time.Now().Add(lookupTTL), l.size(v) + len(key)}
	if e.bytes > lookupBytes {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(key, l.kept[key])
	for len(l.kept) == lookupEntries || l.bytes+e.bytes > lookupBytes {
		l.dropOldest()
	}
	l.kept[key] = e
	l.bytes += e.bytes
	time.AfterFunc(lookupTTL, func() { // nobody may ask again, and names are not kept longer than they are good
		l.mu.Lock()
		defer l.mu.Unlock()
		l.drop(key, e)
	})
}

// drop forgets an entry, unless another one has its key by now.
func (l *lookup[T]) drop(key string, e *lookedUp[T]) {
	if e != nil && l.kept[key] == e {
		delete(l.kept, key)
		l.bytes -= e.bytes
	}
}

func (l *lookup[T]) dropOldest() {
	var oldest string
	for key, e := range l.kept {
		if o := l.kept[oldest]; o == nil || e.until.Before(o.until) {
			oldest = key
		}
	}
	l.drop(oldest, l.kept[oldest])
}
