package policy

import (
	"cmp"
	"time"
)

// Limits bound the requests of an identity. 0 is no limit.
type Limits struct {
	RequestsPerSecond, Burst, ConcurrentRequests int
	MaxRange                                     time.Duration
	MaxPoints, MaxQueryBytes, MaxQueryTerms      int
}

// Resolved returns the limits with a Burst of 0 resolved, which stands for as many
// requests at once as there may be in a second.
func (l Limits) Resolved() Limits {
	if l.Burst == 0 || l.RequestsPerSecond == 0 {
		l.Burst = l.RequestsPerSecond
	}
	return l
}

// over returns the limits of one policy: its own, and global ones where it sets
// none.
func (s LimitSettings) over(global Limits) Limits {
	set(&global.RequestsPerSecond, s.RequestsPerSecond)
	set(&global.Burst, s.Burst)
	set(&global.ConcurrentRequests, s.ConcurrentRequests)
	set(&global.MaxRange, s.MaxRange)
	set(&global.MaxPoints, s.MaxPoints)
	set(&global.MaxQueryBytes, s.MaxQueryBytes)
	set(&global.MaxQueryTerms, s.MaxQueryTerms)
	return global.Resolved()
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// generous returns, of each limit, the one that lets more through.
func generous(a, b Limits) Limits {
	return Limits{
		RequestsPerSecond:  larger(a.RequestsPerSecond, b.RequestsPerSecond),
		Burst:              larger(a.Burst, b.Burst),
		ConcurrentRequests: larger(a.ConcurrentRequests, b.ConcurrentRequests),
		MaxRange:           larger(a.MaxRange, b.MaxRange),
		MaxPoints:          larger(a.MaxPoints, b.MaxPoints),
		MaxQueryBytes:      larger(a.MaxQueryBytes, b.MaxQueryBytes),
		MaxQueryTerms:      larger(a.MaxQueryTerms, b.MaxQueryTerms),
	}
}

// larger compares limits, of which 0, no limit, is the largest.
func larger[T cmp.Ordered](a, b T) T {
	var none T
	if a == none || b == none {
		return none
	}
	return max(a, b)
}

// limitsOf takes the rates from all policies that apply to a token, so that nobody
// gets another bucket by choosing among them, and the other limits from those that
// were chosen.
func limitsOf(all, chosen []grant) Limits {
	l := chosen[0].rule.limits
	for _, g := range chosen[1:] {
		l = generous(l, g.rule.limits)
	}
	rates := all[0].rule.limits
	for _, g := range all[1:] {
		rates = generous(rates, g.rule.limits)
	}
	l.RequestsPerSecond, l.Burst, l.ConcurrentRequests = rates.RequestsPerSecond, rates.Burst, rates.ConcurrentRequests
	return l
}
