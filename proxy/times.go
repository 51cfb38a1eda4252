package proxy

import (
	"math"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
)

// time reads a parameter as Prometheus reads times: seconds since 1970 with a
// fraction, or RFC 3339. A number beyond all reason is no time.
func (ps params) time(name string) (time.Time, error) {
	v, _ := ps.lookup(name)
	if s, err := strconv.ParseFloat(v, 64); err == nil && math.Abs(s) < math.MaxInt64/1e3 {
		whole, fraction := math.Modf(s)
		return time.Unix(int64(whole), int64(math.Round(fraction*1e3)*1e6)), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
		return t, nil
	}
	return time.Time{}, badData("invalid parameter %q: cannot parse %q to a valid timestamp", name, clip(v))
}

// step reads the parameter of that name as Prometheus does: seconds with a
// fraction, or a duration such as 5m.
func (ps params) step() (time.Duration, error) {
	v, _ := ps.lookup("step")
	d := time.Duration(0)
	if s, err := strconv.ParseFloat(v, 64); err == nil {
		if math.Abs(s) >= math.MaxInt64/1e9 || math.IsNaN(s) {
			return 0, badData(`invalid parameter "step": cannot parse %q to a valid duration. It overflows int64`, clip(v))
		}
		d = time.Duration(s * float64(time.Second))
	} else {
		m, err := model.ParseDuration(v)
		if err != nil {
			return 0, badData(`invalid parameter "step": cannot parse %q to a valid duration`, clip(v))
		}
		d = time.Duration(m)
	}
	if d <= 0 {
		return 0, badData(`invalid parameter "step": zero or negative query resolution step widths are not accepted. Try a positive integer`)
	}
	return d, nil
}
