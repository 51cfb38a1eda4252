package proxy

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
)

// limitNames are the settings that refuse, without their section: the values of
// a metric's label.
var limitNames = []string{
	"requests_per_second", "concurrent_requests", "max_query_bytes", "max_query_depth", "max_query_terms",
	"max_body_bytes", "max_range", "max_points",
}

// A reach is how far a query reads beyond the times that it is evaluated at.
// It adds up over a request, which has one query.
type reach struct {
	window time.Duration // the longest range, with the subqueries around it
	points int64         // the most steps of one subquery

	// Those whose duration is an expression, known to the upstream alone.
	ranges, subqueries int
}

func (r reach) plus(o reach) reach {
	return reach{saturated(r.window, o.window), r.points + o.points, r.ranges + o.ranges, r.subqueries + o.subqueries}
}

func (r reach) minus(o reach) reach {
	return reach{r.window - o.window, r.points - o.points, r.ranges - o.ranges, r.subqueries - o.subqueries}
}

// reachOf measures a parsed query whose nodes are all known. offset and @ move
// a window in time and do not make it longer.
func reachOf(expr parser.Expr) (r reach) {
	_ = parser.Walk(visitor(func(node parser.Node, path []parser.Node) { // no visitor of ours fails
		var window time.Duration
		switch n := node.(type) {
		case *parser.MatrixSelector:
			window = n.Range
			if n.RangeExpr != nil {
				r.ranges++
			}
		case *parser.SubqueryExpr:
			window = n.Range
			if n.RangeExpr != nil || n.StepExpr != nil {
				r.subqueries++
			}
			if n.Step > 0 {
				r.points = max(r.points, int64(n.Range/n.Step))
			}
		default:
			return
		}
		for _, above := range path {
			if s, ok := above.(*parser.SubqueryExpr); ok {
				window = saturated(window, s.Range)
			}
		}
		r.window = max(r.window, window)
	}), expr, nil)
	return r
}

type visitor func(node parser.Node, path []parser.Node)

// Visit never fails.
func (v visitor) Visit(node parser.Node, path []parser.Node) (parser.Visitor, error) {
	v(node, path)
	return v, nil
}

// saturated adds durations that are not negative.
func saturated(a, b time.Duration) time.Duration {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// checkTimes holds a request against limits.max_range and limits.max_points.
// With a limit set, times must be spelled as Prometheus takes them: some
// upstreams read more, and what we cannot read we cannot bound. Rows that look
// up series without evaluating anything may leave times out, and are then
// given the longest range that they may have.
func (l Limits) checkTimes(row *Route, ps params, r reach) (params, error) {
	if l.MaxRange == 0 && l.MaxPoints == 0 {
		return ps, nil
	}
	if row.knows("start") && !row.knows("step") {
		return l.checkLookup(ps) // whatever the query of exemplars has, it is not evaluated
	}
	if l.MaxRange > 0 && r.ranges+r.subqueries > 0 {
		return nil, overLimit("max_range", http.StatusBadRequest, "durations that are expressions are not accepted here, since queries have a longest range (limits.max_range): write them as numbers with a unit")
	}
	if l.MaxPoints > 0 && r.subqueries > 0 {
		return nil, overLimit("max_points", http.StatusBadRequest, "subqueries with expressions as durations are not accepted here, since their steps are limited (limits.max_points): write numbers with a unit")
	}
	if l.MaxPoints > 0 && r.points > int64(l.MaxPoints) {
		return nil, overLimit("max_points", http.StatusBadRequest, "a subquery has %d steps: at most %d are accepted (limits.max_points); use a longer step", r.points, l.MaxPoints)
	}
	lookback, err := ps.lookback()
	if err != nil {
		return nil, err
	}
	r.window = saturated(r.window, lookback)
	if !row.knows("start") {
		return ps, l.checkRange(0, r.window)
	}
	return ps, l.checkSteps(ps, r)
}

// checkSteps is for rows that evaluate a query from start to end.
func (l Limits) checkSteps(ps params, r reach) error {
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
	if err := l.checkRange(span, r.window); err != nil {
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
func (l Limits) checkLookup(ps params) (params, error) {
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
	return ps, l.checkRange(end.Sub(start), 0)
}

func (l Limits) checkRange(span, window time.Duration) error {
	if span = max(span, 0); l.MaxRange == 0 || saturated(span, window) <= l.MaxRange {
		return nil
	}
	return overLimit("max_range", http.StatusBadRequest, "the query reads more than %s: from start to end, with its longest range, the subqueries around it and its lookback_delta, that is the most that is accepted (limits.max_range)",
		model.Duration(l.MaxRange))
}

// checkReadRange is checkRange for milliseconds that may be as far apart as
// integers go.
func (l Limits) checkReadRange(startMs, endMs int64) error {
	return l.checkRange(time.UnixMilli(endMs).Sub(time.UnixMilli(startMs)), 0)
}
