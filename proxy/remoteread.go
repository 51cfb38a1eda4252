package proxy

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"
)

// scopeReadRequest narrows a remote-read request: the body it returns asks for
// the same series, ranges and encodings, with the tenant's matcher in every
// query exactly once. The body is spelled afresh from what was understood, so
// that nothing which a newer upstream may know passes unread, and what was
// spelled is decoded again and compared.
func scopeReadRequest(compressed []byte, m *tenantMatcher, b *budget) ([]byte, error) {
	original, err := decodeRead(compressed, b)
	if err != nil {
		return nil, err
	}
	fresh := &readRequest{queries: make([]readQuery, len(original.queries))}
	if fresh.types, err = responseTypes(original.types); err != nil {
		return nil, err
	}
	matchers := make([][]*labels.Matcher, len(original.queries))
	for i, q := range original.queries {
		if matchers[i], err = readMatchers(q.matchers, b); err != nil {
			return nil, inReadQuery(i, err)
		}
		if err := errors.Join(b.chargeHints(q.hints), b.limits.checkReadRange(q.reach())); err != nil {
			return nil, inReadQuery(i, err)
		}
		enforced, err := m.enforce(matchers[i], b)
		if err != nil {
			return nil, inReadQuery(i, err)
		}
		q.matchers = wireMatchers(enforced)
		fresh.queries[i] = q
	}
	if err := b.chargeSelectors(len(fresh.queries), m.Matcher); err != nil {
		return nil, err
	}
	out := snappy.Encode(nil, fresh.append(nil))
	if err := verifyRead(out, original, fresh.types, matchers, m.Matcher); err != nil {
		return nil, internal(fmt.Errorf("%w: %w", errVerify, err))
	}
	return out, nil
}

// decodeRead bounds what decoding allocates before it decodes: a few bytes of
// snappy can claim gigabytes, and a few bytes of protobuf a thousand structs.
func decodeRead(compressed []byte, b *budget) (*readRequest, error) {
	limit := b.limits.BodyBytes
	if int64(len(compressed)) > limit {
		return nil, tooLarge(limit)
	}
	size, err := snappy.DecodedLen(compressed)
	if err != nil {
		return nil, badRead(err)
	}
	if int64(size) > limit {
		return nil, tooLarge(limit)
	}
	raw, err := snappy.Decode(nil, compressed)
	if err != nil {
		return nil, badRead(err)
	}
	if err := b.chargeRead(raw); err != nil {
		return nil, err
	}
	req := &readRequest{}
	return req, req.parse(raw, false)
}

func badRead(err error) error {
	e := badData("the body is not a remote-read request: want a prometheus.ReadRequest as protobuf, in snappy's block format")
	e.Err = err
	return e
}

// responseTypes keeps the known encodings in the caller's order. A caller that
// wants only others is refused here as by the upstream: left with an empty list,
// the upstream would take it for one that wants samples.
func responseTypes(wanted []uint64) ([]uint64, error) {
	var known []uint64
	for _, t := range wanted {
		if t != unknownType {
			known = append(known, t)
		}
	}
	if len(wanted) > 0 && len(known) == 0 {
		return nil, badData("none of the accepted_response_types is known: want SAMPLES or STREAMED_XOR_CHUNKS")
	}
	return known, nil
}

// matchTypes are the types of matchers, by their number on the wire.
var matchTypes = []labels.MatchType{labels.MatchEqual, labels.MatchNotEqual, labels.MatchRegexp, labels.MatchNotRegexp}

// readMatchers reads a query's matchers, each after it was charged: compiling a
// regular expression is where a short text costs seconds.
func readMatchers(in []readMatcher, b *budget) ([]*labels.Matcher, error) {
	out := make([]*labels.Matcher, 0, len(in)+1)
	for _, w := range in {
		if w.kind >= uint64(len(matchTypes)) {
			return nil, badData("a matcher has an unknown type")
		}
		kind := matchTypes[w.kind]
		if !utf8.ValidString(w.name) || !utf8.ValidString(w.value) {
			return nil, badData("a matcher is not valid UTF-8")
		}
		if err := b.chargeText(w.name, w.value); err != nil {
			return nil, err
		}
		if kind == labels.MatchRegexp || kind == labels.MatchNotRegexp {
			if err := b.chargePattern(w.value); err != nil {
				return nil, err
			}
		}
		m, err := labels.NewMatcher(kind, w.name, w.value)
		if err != nil {
			return nil, badData("a matcher's regular expression is not valid: %s", err)
		}
		out = append(out, m)
	}
	return out, nil
}

func wireMatchers(in []*labels.Matcher) []readMatcher {
	out := make([]readMatcher, len(in))
	for i, m := range in {
		out[i] = readMatcher{kind: uint64(slices.Index(matchTypes, m.Type)), name: m.Name, value: m.Value} //nolint:gosec // G115: one of the four
	}
	return out
}

// inReadQuery says which query a refusal is about.
func inReadQuery(i int, err error) error {
	if e, ok := errors.AsType[*apiError](err); ok && e.Type == "bad_data" {
		e.Message = fmt.Sprintf("query %d: %s", i+1, e.Message)
	}
	return err
}
