package proxy

import (
	"time"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/promql"
)

// Limits bound what one request may cost. The first five hold before a recursive
// parser sees it, and must be positive; of the others 0 is no limit.
type Limits struct {
	QueryBytes int   // all PromQL of a request, in bytes
	QueryDepth int   // open brackets of all kinds
	QueryTerms int   // operators, commas, opening brackets and identifiers; each match[] adds 10
	Selectors  int   // match[] parameters
	BodyBytes  int64 // a request's body

	MaxRange  time.Duration // how much time a query may read
	MaxPoints int           // evaluations of one query, or of a subquery in it

	// What one query may cost the upstream's engine, which enforces it.
	MaxSeries        int           // selected
	MaxSamplesRead   int           // read
	MaxQueryDuration time.Duration // taken

	// For each set of tenants, or of policies with what they grant, by itself.
	RequestsPerSecond  int
	Burst              int // 0 = RequestsPerSecond
	ConcurrentRequests int
}

// of returns the limits of an identity: where policies say what it may see, they say
// how much of it, too.
func (l Limits) of(id auth.Identity) Limits {
	if id.Policies == nil {
		return l
	}
	l.RequestsPerSecond, l.Burst, l.ConcurrentRequests = id.Limits.RequestsPerSecond, id.Limits.Burst, id.Limits.ConcurrentRequests
	l.MaxRange, l.MaxPoints = id.Limits.MaxRange, id.Limits.MaxPoints
	l.QueryBytes, l.QueryTerms = id.Limits.MaxQueryBytes, id.Limits.MaxQueryTerms
	return l
}

// requests are the limits of how many there may be.
func (l Limits) requests() policy.Limits {
	return policy.Limits{RequestsPerSecond: l.RequestsPerSecond, Burst: l.Burst, ConcurrentRequests: l.ConcurrentRequests}
}

func (l Limits) query() promql.Limits {
	return promql.Limits{QueryBytes: l.QueryBytes, QueryDepth: l.QueryDepth, QueryTerms: l.QueryTerms, MaxRange: l.MaxRange, MaxPoints: l.MaxPoints}
}
