package scope

import (
	"math"
	"strconv"

	"github.com/promfence/promfence/proxy/apierr"
)

// ceilings read the parameters that bound a query or its answer. A client may send them
// twice, of its own and of its user's settings (Grafana appends the latter), and promfence
// has settings for some: the stricter counts, so that a caller can only lose by it. No
// limit, spelled 0 or nothing, is the largest.
var ceilings = map[string]func(name, value string) (int64, error){
	"limit": readLimit, "timeout": readTimeout,
	"max_series": readLimit, "max_samples_read": readLimit, "max_query_duration": readTimeout,
}

// stricter reports whether b is stricter than a, two values of the parameter name.
func stricter(name, a, b string) (bool, error) {
	read := ceilings[name]
	if read == nil {
		return false, apierr.BadData("parameter %q was sent twice with different values", name)
	}
	first, err := read(name, a)
	if err != nil {
		return false, err
	}
	second, err := read(name, b)
	return second < first, err
}

func readLimit(name, v string) (int64, error) {
	if v == "" {
		return math.MaxInt64, nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 {
		return 0, apierr.BadData("invalid parameter %q: cannot compare %q with another limit: want a whole number of 0 or more", name, apierr.Clip(v))
	}
	return unlimited(n), nil
}

func readTimeout(name, v string) (int64, error) {
	if v == "" {
		return math.MaxInt64, nil
	}
	d, err := parseDuration(name, v)
	if err == nil && d < 0 {
		err = apierr.BadData("invalid parameter %q: cannot compare %q with another limit: want no negative duration", name, apierr.Clip(v))
	}
	return unlimited(int64(d)), err
}

func unlimited(n int64) int64 {
	if n == 0 {
		return math.MaxInt64
	}
	return n
}
