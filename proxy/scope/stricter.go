package scope

import (
	"math"
	"strconv"

	"github.com/promfence/promfence/proxy/apierr"
)

// ceilings read the parameters that bound an answer. A client may send them twice, of
// its own and of its user's settings (Grafana appends the latter): the stricter counts,
// so that a caller can only lose by it. No limit, spelled 0 or nothing, is the largest.
var ceilings = map[string]func(value string) (int64, error){"limit": readLimit, "timeout": readTimeout}

// stricter reports whether b is stricter than a, two values of the parameter name.
func stricter(name, a, b string) (bool, error) {
	read := ceilings[name]
	if read == nil {
		return false, apierr.BadData("parameter %q was sent twice with different values", name)
	}
	first, err := read(a)
	if err != nil {
		return false, err
	}
	second, err := read(b)
	return second < first, err
}

func readLimit(v string) (int64, error) {
	if v == "" {
		return math.MaxInt64, nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 {
		return 0, apierr.BadData(`parameter "limit" was sent twice, and %q is none: want a whole number of 0 or more`, apierr.Clip(v))
	}
	return unlimited(n), nil
}

func readTimeout(v string) (int64, error) {
	if v == "" {
		return math.MaxInt64, nil
	}
	d, err := parseDuration("timeout", v)
	if err == nil && d < 0 {
		err = apierr.BadData(`parameter "timeout" was sent twice, and %q is negative`, apierr.Clip(v))
	}
	return unlimited(int64(d)), err
}

func unlimited(n int64) int64 {
	if n == 0 {
		return math.MaxInt64
	}
	return n
}
