package remoteread

import (
	"time"

	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/promql"
)

// maxQueries bounds the queries of one remote-read request; Prometheus itself sends
// one at a time.
const maxQueries = 100

// chargeParts counts what a request consists of, in its encoded form.
func chargeParts(request []byte, b *promql.Budget) error {
	queries := 0
	return eachField(request, func(query wireField) error {
		if query.number != 1 { // readRequest.queries
			return nil
		}
		if queries++; queries > maxQueries {
			return apierr.BadData("too many queries in one remote-read request: at most %d are accepted", maxQueries)
		}
		return eachField(query.bytes, func(part wireField) error {
			switch part.number {
			case 3: // readQuery.matchers
				return b.ChargeTerm()
			case 4: // readQuery.hints
				return eachField(part.bytes, func(wireField) error { return b.ChargeTerm() })
			}
			return nil
		})
	})
}

func chargeHints(h *readHints, b *promql.Budget) error {
	if h == nil {
		return nil
	}
	if err := b.ChargeText(h.function); err != nil {
		return err
	}
	return b.ChargeText(h.grouping...)
}

// span is how much time a query reads. An upstream may take that of the hints for
// its word. Its ends may be as far apart as integers go: Sub saturates.
func (q readQuery) span() time.Duration {
	start, end := q.start, q.end
	if h := q.hints; h != nil && (h.start != 0 || h.end != 0) {
		start, end = min(start, h.start), max(end, h.end)
	}
	return time.UnixMilli(end).Sub(time.UnixMilli(start))
}
