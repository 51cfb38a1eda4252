package proxy

import (
	"net/http"
	"strconv"
	"time"

	"github.com/promfence/promfence/proxy/promql"
)

// limitNames are the settings that refuse, without their section: the values of
// a metric's label.
var limitNames = []string{
	"requests_per_second", "concurrent_requests", "max_query_bytes", "max_query_depth", "max_query_terms",
	"max_body_bytes", "max_range", "max_points",
}

// Limits bound what one request may cost. The first four hold before a recursive
// parser sees it, and must be positive; of the others 0 is no limit.
type Limits struct {
	QueryBytes int   // all PromQL of a request, in bytes
	QueryDepth int   // open brackets of all kinds
	QueryTerms int   // operators, commas, opening brackets and identifiers
	BodyBytes  int64 // a request's body

	MaxRange  time.Duration // how much time a query may read
	MaxPoints int           // evaluations of one query, or of a subquery in it

	// For each set of tenants by itself.
	RequestsPerSecond  int
	Burst              int // 0 = RequestsPerSecond
	ConcurrentRequests int
}

func (l Limits) budget() *promql.Budget {
	return promql.NewBudget(promql.Limits{
		QueryBytes: l.QueryBytes, QueryDepth: l.QueryDepth, QueryTerms: l.QueryTerms, MaxRange: l.MaxRange, MaxPoints: l.MaxPoints,
	})
}

// checkTimes holds a request against limits.max_range and limits.max_points.
// With a limit set, times must be spelled as Prometheus takes them: some
// upstreams read more, and what we cannot read we cannot bound. Rows that look
// up series without evaluating anything may leave times out, and are then
// given the longest range that they may have.
func (l Limits) checkTimes(row *Route, ps params, b *promql.Budget) (params, error) {
	if l.MaxRange == 0 && l.MaxPoints == 0 {
		return ps, nil
	}
	if row.knows("start") && !row.knows("step") {
		return l.checkLookup(ps, b) // whatever the query of exemplars has, it is not evaluated
	}
	if err := b.CheckReach(); err != nil {
		return nil, err
	}
	lookback, err := ps.lookback()
	if err != nil {
		return nil, err
	}
	if !row.knows("start") {
		return ps, b.CheckEvaluation(0, lookback)
	}
	return ps, l.checkSteps(ps, lookback, b)
}

// checkSteps is for rows that evaluate a query from start to end.
func (l Limits) checkSteps(ps params, lookback time.Duration, b *promql.Budget) error {
	start, err := ps.time("start")
	if err != nil {
		return err
	}
	end, err := ps.time("end")
	if err != nil {
		return err
	}
	step, err := ps.step()
	if err != nil {
		return err
	}
	span := end.Sub(start) // saturates
	if err := b.CheckEvaluation(span, lookback); err != nil {
		return err
	}
	// As Prometheus counts for its own limit.
	if points := int64(span / step); l.MaxPoints > 0 && points > int64(l.MaxPoints) {
		return overLimit("max_points", http.StatusBadRequest, "the query has %d points per series: at most %d are accepted (limits.max_points); use a longer step", points, l.MaxPoints)
	}
	return nil
}

// checkLookup is for rows where the upstream takes a missing time for the
// beginning or the end of all.
func (l Limits) checkLookup(ps params, b *promql.Budget) (params, error) {
	if l.MaxRange == 0 {
		return ps, nil
	}
	end := time.Now()
	if v, _ := ps.lookup("end"); v != "" {
		var err error
		if end, err = ps.time("end"); err != nil {
			return nil, err
		}
	}
	if v, _ := ps.lookup("start"); v == "" {
		from := end.Add(-l.MaxRange)
		return append(ps.without("start"), param{"start", strconv.FormatFloat(float64(from.UnixMilli())/1000, 'f', 3, 64)}), nil
	}
	start, err := ps.time("start")
	if err != nil {
		return nil, err
	}
	return ps, b.CheckSpan(end.Sub(start))
}
