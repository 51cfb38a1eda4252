package scope

import (
	"math"
	"strconv"
	"time"

	"github.com/prometheus/common/model"

	"github.com/promfence/promfence/proxy/apierr"
)

// time reads a parameter as Prometheus reads times: seconds since 1970 with a
// fraction, or RFC 3339. A number beyond all reason is no time.
func (ps Params) time(name string) (time.Time, error) {
	v, _ := ps.Lookup(name)
	if s, err := strconv.ParseFloat(v, 64); err == nil && math.Abs(s) < math.MaxInt64/1e3 {
		whole, fraction := math.Modf(s)
		return time.Unix(int64(whole), int64(math.Round(fraction*1e3)*1e6)), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
		return t, nil
	}
	return time.Time{}, apierr.BadData("invalid parameter %q: cannot parse %q to a valid timestamp", name, apierr.Clip(v))
}

func (ps Params) duration(name string) (time.Duration, error) {
	v, _ := ps.Lookup(name)
	return parseDuration(name, v)
}

// parseDuration reads a parameter as Prometheus reads durations: seconds with a
// fraction, or a number with a unit such as 5m.
func parseDuration(name, v string) (time.Duration, error) {
	if s, err := strconv.ParseFloat(v, 64); err == nil {
		if math.Abs(s) >= math.MaxInt64/1e9 || math.IsNaN(s) {
			return 0, apierr.BadData("invalid parameter %q: cannot parse %q to a valid duration. It overflows int64", name, apierr.Clip(v))
		}
		return time.Duration(s * float64(time.Second)), nil
	}
	d, err := model.ParseDuration(v)
	if err != nil {
		return 0, apierr.BadData("invalid parameter %q: cannot parse %q to a valid duration", name, apierr.Clip(v))
	}
	return time.Duration(d), nil
}

func (ps Params) step() (time.Duration, error) {
	d, err := ps.duration("step")
	if err == nil && d <= 0 {
		err = apierr.BadData(`invalid parameter "step": zero or negative query resolution step widths are not accepted. Try a positive integer`)
	}
	return d, err
}

// lookback is how far back instant selectors look if the caller says so, or
// zero: then, as with a negative one, the upstream has its own.
func (ps Params) lookback() (time.Duration, error) {
	if v, _ := ps.Lookup("lookback_delta"); v == "" {
		return 0, nil
	}
	d, err := ps.duration("lookback_delta")
	return max(d, 0), err
}
