package proxy

import (
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// trackedTenants bounds the state of the rate limit. A set of tenants that is
// pushed out by so many others begins again with a full burst.
const trackedTenants = 4096

// A gate admits requests by the tenants that they are for, so that one of them
// at its limit is refused while the others go on. Its state is bounded: so many
// buckets, and one count for each set of tenants with a request under way.
type gate struct {
	rate       rate.Limit
	burst      int
	concurrent int

	mu      sync.Mutex
	buckets *simplelru.LRU[string, *rate.Limiter]
	running map[string]int
}

// newGate returns nil when neither limit is set, and the gate of before
// where it admits the same: another setting's change gives nobody a full burst,
// or more requests at a time.
func newGate(l Limits, before *Proxy) *gate {
	if l.RequestsPerSecond == 0 && l.ConcurrentRequests == 0 {
		return nil
	}
	buckets, err := simplelru.NewLRU[string, *rate.Limiter](trackedTenants, nil)
	if err != nil { // the size is a positive constant
		panic(err)
	}
	g := &gate{
		rate: rate.Limit(l.RequestsPerSecond), burst: l.Burst, concurrent: l.ConcurrentRequests,
		buckets: buckets, running: map[string]int{},
	}
	if g.burst == 0 {
		g.burst = l.RequestsPerSecond
	}
	if before != nil && before.gate != nil && before.gate.admitsLike(g) {
		return before.gate
	}
	return g
}

func (g *gate) admitsLike(o *gate) bool {
	return g.rate == o.rate && g.burst == o.burst && g.concurrent == o.concurrent
}

// enter admits a request of the tenants, or refuses it with a 429. What it
// returns is to be called when the request has ended.
func (g *gate) enter(tenants string) (leave func(), err error) {
	if g == nil {
		return func() {}, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.concurrent > 0 && g.running[tenants] >= g.concurrent {
		e := overLimit("concurrent_requests", http.StatusTooManyRequests,
			"too many requests at once for your tenant: at most %d are served", g.concurrent)
		e.RetryAfter = time.Second
		return nil, e
	}
	if wait := g.draw(tenants); wait > 0 {
		e := overLimit("requests_per_second", http.StatusTooManyRequests,
			"too many requests for your tenant: at most %v a second are served", float64(g.rate))
		e.RetryAfter = wait
		return nil, e
	}
	if g.concurrent == 0 {
		return func() {}, nil
	}
	g.running[tenants]++
	return func() { g.exit(tenants) }, nil
}

func (g *gate) exit(tenants string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running[tenants]--; g.running[tenants] == 0 {
		delete(g.running, tenants)
	}
}

// draw takes one request out of the tenants' bucket, or says when there will be
// one in it.
func (g *gate) draw(tenants string) (wait time.Duration) {
	if g.rate == 0 {
		return 0
	}
	bucket, ok := g.buckets.Get(tenants)
	if !ok {
		bucket = rate.NewLimiter(g.rate, g.burst)
		g.buckets.Add(tenants, bucket)
	}
	r := bucket.Reserve()
	if wait = r.Delay(); wait > 0 {
		r.Cancel() // a refused request costs nothing
	}
	return wait
}
