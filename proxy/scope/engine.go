package scope

import (
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
)

// An Engine is what promfence asks of the upstream's query engine, as parameters
// beside the caller's. The zero Engine asks for nothing.
type Engine struct {
	MaxSeries, MaxSamplesRead int           // 0 = no limit
	MaxQueryDuration          time.Duration // 0 = no limit; whole milliseconds
	Statistics                bool          // to say what the query read
}

// params spells what is asked.
func (e Engine) params() (ps Params) {
	if e.MaxSeries > 0 {
		ps = append(ps, param{"max_series", strconv.Itoa(e.MaxSeries)})
	}
	if e.MaxSamplesRead > 0 {
		ps = append(ps, param{"max_samples_read", strconv.Itoa(e.MaxSamplesRead)})
	}
	if e.MaxQueryDuration > 0 {
		ps = append(ps, param{"max_query_duration", model.Duration(max(e.MaxQueryDuration, time.Millisecond)).String()})
	}
	return ps
}

// addTo adds to a request what is asked of the engine, as far as the row knows the
// parameter: of a limit of the caller's and the setting, the stricter is sent. It
// returns the names of the parameters that are promfence's own.
func (e Engine) addTo(ps Params, known []string) (all Params, ours []string, err error) {
	for _, own := range e.params() {
		if !slices.Contains(known, own.Name) {
			continue
		}
		sent, _ := ps.Lookup(own.Name)
		replace, err := stricter(own.Name, sent, own.Value)
		if err != nil {
			return nil, nil, err
		}
		if replace {
			ps, ours = append(ps.without(own.Name), own), append(ours, own.Name)
		}
	}
	if sent, _ := ps.Lookup("stats"); e.Statistics && sent == "" && slices.Contains(known, "stats") {
		ps, ours = append(ps.without("stats"), param{"stats", "true"}), append(ours, "stats")
	}
	return ps, ours, nil
}
