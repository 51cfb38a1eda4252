package proxy

import "time"

// What the gate's tests, which are outside, look at.

type Gate struct{ *gate }

const TrackedTenants = trackedTenants

func NewGate(l Limits) Gate { return Gate{newGate(l, nil)} }

// Enter admits a request, or says when to try again.
func (g Gate) Enter(tenants string) (leave func(), wait time.Duration) {
	leave, err := g.enter(tenants)
	if err != nil {
		return nil, asAPIError(err).RetryAfter
	}
	return leave, 0
}

// State is the number of buckets and of sets of tenants with running requests.
func (g Gate) State() (buckets, running int) { return g.buckets.Len(), len(g.running) }
