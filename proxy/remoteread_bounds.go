package proxy

import (
	"net/http"
)

// maxReadQueries bounds the queries of one remote-read request; Prometheus
// itself sends one at a time.
const maxReadQueries = 100

// chargeRead counts what a request consists of, in its encoded form.
func (b *budget) chargeRead(request []byte) error {
	queries := 0
	return eachField(request, func(query wireField) error {
		if query.number != 1 { // readRequest.queries
			return nil
		}
		if queries++; queries > maxReadQueries {
			return badData("too many queries in one remote-read request: at most %d are accepted", maxReadQueries)
		}
		return eachField(query.bytes, func(part wireField) error {
			switch part.number {
			case 3: // readQuery.matchers
				return b.chargeTerm()
			case 4: // readQuery.hints
				return eachField(part.bytes, func(wireField) error { return b.chargeTerm() })
			}
			return nil
		})
	})
}

// chargeTerm counts one matcher, or one name of a grouping.
func (b *budget) chargeTerm() error {
	if b.terms++; b.terms > b.limits.QueryTerms {
		return overLimit("max_query_terms", http.StatusBadRequest, "the request has too many matchers and names: at most %d are accepted (limits.max_query_terms)", b.limits.QueryTerms)
	}
	return nil
}

func (b *budget) chargeText(texts ...string) error {
	for _, s := range texts {
		b.bytes += len(s)
	}
	if b.bytes > b.limits.QueryBytes {
		return overLimit("max_query_bytes", http.StatusBadRequest, "the matchers are too long: at most %d bytes are accepted (limits.max_query_bytes)", b.limits.QueryBytes)
	}
	return nil
}

func (b *budget) chargePattern(pattern string) error {
	if b.regexps++; b.regexps > maxRegexps {
		return badData("too many regular expressions: at most %d are accepted", maxRegexps)
	}
	b.cost.Add(pattern)
	return b.checkCost()
}

func (b *budget) checkCost() error {
	if !b.tooCostly() {
		return nil
	}
	return badData("the regular expressions are too costly: shorten repetitions such as {1,1000}, nest fewer groups, and use fewer character classes beyond ASCII")
}

func (b *budget) chargeHints(h *readHints) error {
	if h == nil {
		return nil
	}
	if err := b.chargeText(h.function); err != nil {
		return err
	}
	return b.chargeText(h.grouping...)
}

// reach is the time that a query reads, in milliseconds: an upstream may take
// that of the hints for its word.
func (q readQuery) reach() (start, end int64) {
	if h := q.hints; h != nil && (h.start != 0 || h.end != 0) {
		return min(q.start, h.start), max(q.end, h.end)
	}
	return q.start, q.end
}
