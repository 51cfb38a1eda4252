package scope

import (
	"slices"
	"strconv"
	"time"

	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/promql"
)

// checkTimes holds a request against limits.max_range and limits.max_points.
// With a limit set, times must be spelled as Prometheus takes them: some
// upstreams read more, and what we cannot read we cannot bound. Rows that look
// up series without evaluating anything may leave times out, or ask for more, and are
// then given the longest range that they may have.
func checkTimes(ps Params, in Input, b *promql.Budget) (Params, error) {
	l := in.Limits
	if l.MaxRange == 0 && l.MaxPoints == 0 {
		return ps, nil
	}
	if slices.Contains(in.Known, "start") && !slices.Contains(in.Known, "step") {
		return checkLookup(ps, l) // whatever the query of exemplars has, it is not evaluated
	}
	if err := b.CheckReach(); err != nil {
		return nil, err
	}
	lookback, err := ps.lookback()
	if err != nil {
		return nil, err
	}
	if !slices.Contains(in.Known, "start") {
		return ps, b.CheckEvaluation(0, lookback)
	}
	return ps, checkSteps(ps, lookback, l, b)
}

// checkSteps is for rows that evaluate a query from start to end.
func checkSteps(ps Params, lookback time.Duration, l promql.Limits, b *promql.Budget) error {
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
		return apierr.BadData("the query has %d points per series: at most %d are accepted (limits.max_points); use a longer step", points, l.MaxPoints).OverLimit("max_points")
	}
	return nil
}

// checkLookup is for rows that look up series and evaluate nothing: their start moves
// to what limits.max_range allows, and nothing of that size is refused. A time beyond
// now is judged as now, since nothing is read there: Grafana probes exemplars with
// milliseconds in the place of seconds. The upstream takes a missing time for the
// beginning or the end of all.
func checkLookup(ps Params, l promql.Limits) (Params, error) {
	if l.MaxRange == 0 {
		return ps, nil
	}
	end := time.Now()
	if v, _ := ps.Lookup("end"); v != "" {
		sent, err := ps.time("end")
		if err != nil {
			return nil, err
		}
		if sent.Before(end) {
			end = sent
		}
	}
	earliest := end.Add(-l.MaxRange)
	if v, _ := ps.Lookup("start"); v != "" {
		start, err := ps.time("start")
		if err != nil {
			return nil, err
		}
		if !start.Before(earliest) {
			return ps, nil
		}
	}
	return append(ps.without("start"), param{"start", strconv.FormatFloat(float64(earliest.UnixMilli())/1000, 'f', 3, 64)}), nil
}
