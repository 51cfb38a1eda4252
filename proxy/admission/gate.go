// Package admission lets requests in, as many as their identity may send.
//
// It stops one threat: a caller whose requests take the place of everybody else's. Each
// bucket, which is a set of tenants or of policies with what they grant, has a rate and
// a number of requests at a time for itself. The state is bounded, whatever tokens
// come, and a change of the settings gives nobody a full burst.
package admission

import (
	"cmp"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/apierr"
)

// trackedBuckets bounds the state of the rate limit. An identity that is pushed out
// by so many others begins again with a full burst.
const trackedBuckets = 4096

// A Gate admits requests by the bucket of their identity, so that one at its limit is
// refused while the others go on. Its state is bounded: so many buckets, and one
// count for each of them with a request under way. One Gate is kept when settings are
// read again: no change of the limits gives anybody a full burst, or more requests at a
// time than before and after. The zero Gate is a new one.
type Gate struct {
	mu      sync.Mutex
	buckets *simplelru.LRU[string, *rate.Limiter]
	running map[string]int
}

// prepare makes the state of a new Gate. The mutex is held.
func (g *Gate) prepare() {
	buckets, err := simplelru.NewLRU[string, *rate.Limiter](trackedBuckets, nil)
	if err != nil { // the size is a positive constant
		panic(err)
	}
	g.buckets, g.running = buckets, map[string]int{}
}

// Enter admits a request of the identity with this bucket, or refuses it with a 429: of
// the limits, those of requests a second and at once. What it returns is to be called
// when the request has ended.
func (g *Gate) Enter(bucket string, l policy.Limits) (leave func(), err error) {
	if l.RequestsPerSecond == 0 && l.ConcurrentRequests == 0 {
		return func() {}, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.buckets == nil {
		g.prepare()
	}
	if l.ConcurrentRequests > 0 && g.running[bucket] >= l.ConcurrentRequests {
		e := apierr.New(http.StatusTooManyRequests,
			"too many requests at once for your tenant: at most %d are served", l.ConcurrentRequests).OverLimit("concurrent_requests")
		e.RetryAfter = time.Second
		return nil, e
	}
	if wait := g.draw(bucket, l); wait > 0 {
		e := apierr.New(http.StatusTooManyRequests,
			"too many requests for your tenant: at most %d a second are served", l.RequestsPerSecond).OverLimit("requests_per_second")
		e.RetryAfter = wait
		return nil, e
	}
	if l.ConcurrentRequests == 0 {
		return func() {}, nil
	}
	g.running[bucket]++
	return func() { g.exit(bucket) }, nil
}

func (g *Gate) exit(bucket string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running[bucket]--; g.running[bucket] == 0 {
		delete(g.running, bucket)
	}
}

// draw takes one request out of a bucket, or says when there will be one in it. A
// bucket whose limit has changed keeps what is in it.
func (g *Gate) draw(bucket string, l policy.Limits) (wait time.Duration) {
	if l.RequestsPerSecond == 0 {
		return 0
	}
	limit, burst := rate.Limit(l.RequestsPerSecond), cmp.Or(l.Burst, l.RequestsPerSecond)
	b, ok := g.buckets.Get(bucket)
	if !ok {
		b = rate.NewLimiter(limit, burst)
		g.buckets.Add(bucket, b)
	}
	if b.Limit() != limit || b.Burst() != burst {
		b.SetLimit(limit)
		b.SetBurst(burst)
	}
	r := b.Reserve()
	if wait = r.Delay(); wait > 0 {
		r.Cancel() // a refused request costs nothing
	}
	return wait
}
