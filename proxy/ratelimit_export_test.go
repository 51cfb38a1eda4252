package proxy

import (
	"time"

	"github.com/promfence/promfence/proxy/apierr"
)

// What the gate's tests, which are outside, look at.

type Gate struct {
	*gate
	limits Limits
}

const TrackedBuckets = trackedBuckets

func NewGate(l Limits) Gate { return Gate{newGate(nil), l} }

// Enter admits a request, or says when to try again.
func (g Gate) Enter(bucket string) (leave func(), wait time.Duration) {
	leave, err := g.enter(bucket, g.limits)
	if err != nil {
		return nil, apierr.From(err).RetryAfter
	}
	return leave, 0
}

// State is the number of buckets and of those with running requests.
func (g Gate) State() (buckets, running int) { return g.buckets.Len(), len(g.running) }

// With is the gate with other limits.
func (g Gate) With(l Limits) Gate { return Gate{g.gate, l} }
