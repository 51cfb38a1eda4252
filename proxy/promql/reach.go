package promql

import (
	"math"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/promfence/promfence/proxy/apierr"
)

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

// add measures a node of a parsed query; path is what stands above it. offset and @
// move a window in time and do not make it longer.
func (r *reach) add(node parser.Node, path []parser.Node) {
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
}

// saturated adds durations that are not negative.
func saturated(a, b time.Duration) time.Duration {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// CheckReach holds what was read of the request's query against Limits.MaxRange and
// MaxPoints. A duration that is an expression cannot be bounded, so it is refused.
func (b *Budget) CheckReach() error {
	l, r := b.limits, b.reach
	if l.MaxRange > 0 && r.ranges+r.subqueries > 0 {
		return apierr.BadData("durations that are expressions are not accepted here, since queries have a longest range (limits.max_range): write them as numbers with a unit").OverLimit("max_range")
	}
	if l.MaxPoints > 0 && r.subqueries > 0 {
		return apierr.BadData("subqueries with expressions as durations are not accepted here, since their steps are limited (limits.max_points): write numbers with a unit").OverLimit("max_points")
	}
	if l.MaxPoints > 0 && r.points > int64(l.MaxPoints) {
		return apierr.BadData("a subquery has %d steps: at most %d are accepted (limits.max_points); use a longer step", r.points, l.MaxPoints).OverLimit("max_points")
	}
	return nil
}

// CheckEvaluation holds a query that is evaluated over a span of time, so far back,
// against Limits.MaxRange. A refusal names what the query adds to its span: a panel's
// author sees the span, and seldom the rest.
func (b *Budget) CheckEvaluation(span, lookback time.Duration) error {
	span = max(span, 0)
	added := saturated(b.reach.window, lookback)
	l := b.limits
	if l.MaxRange == 0 || saturated(span, added) <= l.MaxRange {
		return nil
	}
	longest := model.Duration(l.MaxRange)
	if added == 0 {
		return apierr.BadData("the query reads %s, from start to end: at most %s are accepted (limits.max_range)", model.Duration(span), longest).OverLimit("max_range")
	}
	return apierr.BadData("the query reads %s from start to end, and adds a window of %s (its longest range, the subqueries around it, and its lookback_delta): together at most %s are accepted (limits.max_range)",
		model.Duration(span), model.Duration(added), longest).OverLimit("max_range")
}

// CheckSpan holds a span of time that a request reads against Limits.MaxRange.
func (b *Budget) CheckSpan(span time.Duration) error {
	if l := b.limits; l.MaxRange > 0 && span > l.MaxRange {
		return apierr.BadData("the query reads %s: at most %s are accepted (limits.max_range)", model.Duration(span), model.Duration(l.MaxRange)).OverLimit("max_range")
	}
	return nil
}
