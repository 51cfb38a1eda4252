package proxy

import (
	"net/http"

	"github.com/prometheus/prometheus/prompb"
	"google.golang.org/protobuf/encoding/protowire"
)

// maxReadQueries bounds the queries of one remote-read request; Prometheus
// itself sends one at a time.
const maxReadQueries = 100

// chargeRead counts what a request consists of, in its encoded form.
func (b *budget) chargeRead(request []byte) error {
	queries := 0
	return eachField(request, func(field protowire.Number, query []byte) error {
		if field != 1 { // prometheus.ReadRequest.queries
			return nil
		}
		if queries++; queries > maxReadQueries {
			return badData("too many queries in one remote-read request: at most %d are accepted", maxReadQueries)
		}
		return eachField(query, func(field protowire.Number, part []byte) error {
			switch field {
			case 3: // prometheus.Query.matchers
				return b.chargeTerm()
			case 4: // prometheus.Query.hints
				return eachField(part, func(protowire.Number, []byte) error { return b.chargeTerm() })
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

// eachField visits the length-delimited fields of a protobuf message.
func eachField(message []byte, visit func(field protowire.Number, value []byte) error) error {
	for len(message) > 0 {
		field, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return badRead(protowire.ParseError(n))
		}
		message = message[n:]
		size := protowire.ConsumeFieldValue(field, kind, message)
		if size < 0 {
			return badRead(protowire.ParseError(size))
		}
		if kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(message)
			if err := visit(field, value); err != nil {
				return err
			}
		}
		message = message[size:]
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
	b.cost.add(pattern)
	if b.cost.size > maxRegexpSize || b.cost.wide > maxWideClasses {
		return badData("the regular expressions are too costly: shorten repetitions such as {1,1000}, and use fewer character classes beyond ASCII")
	}
	return nil
}

func (b *budget) chargeHints(h *prompb.ReadHints) error {
	if h == nil {
		return nil
	}
	if err := b.chargeText(h.Func); err != nil {
		return err
	}
	return b.chargeText(h.Grouping...)
}
