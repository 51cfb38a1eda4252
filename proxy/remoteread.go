package proxy

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
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
	types, err := responseTypes(original.AcceptedResponseTypes)
	if err != nil {
		return nil, err
	}
	matchers := make([][]*labels.Matcher, len(original.Queries))
	fresh := &prompb.ReadRequest{AcceptedResponseTypes: types}
	for i, q := range original.Queries {
		if matchers[i], err = readMatchers(q.Matchers, b); err != nil {
			return nil, inReadQuery(i, err)
		}
		if err := errors.Join(b.chargeHints(q.Hints), b.limits.checkReadRange(q.StartTimestampMs, q.EndTimestampMs)); err != nil {
			return nil, inReadQuery(i, err)
		}
		enforced, err := m.enforce(matchers[i])
		if err != nil {
			return nil, inReadQuery(i, err)
		}
		fresh.Queries = append(fresh.Queries, &prompb.Query{
			StartTimestampMs: q.StartTimestampMs, EndTimestampMs: q.EndTimestampMs,
			Matchers: protoMatchers(enforced), Hints: knownHints(q.Hints),
		})
	}
	if err := b.chargeSelectors(len(fresh.Queries), m.Matcher); err != nil {
		return nil, err
	}
	raw, err := fresh.Marshal()
	if err != nil {
		return nil, internal(err)
	}
	out := snappy.Encode(nil, raw)
	if err := verifyRead(out, original, types, matchers, m.Matcher); err != nil {
		return nil, internal(fmt.Errorf("%w: %w", errVerify, err))
	}
	return out, nil
}

// decodeRead bounds what decoding allocates before it decodes: a few bytes of
// snappy can claim gigabytes, and a few bytes of protobuf a thousand structs.
func decodeRead(compressed []byte, b *budget) (*prompb.ReadRequest, error) {
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
	req := &prompb.ReadRequest{}
	if err := req.Unmarshal(raw); err != nil {
		return nil, badRead(err)
	}
	return req, nil
}

func badRead(err error) error {
	e := badData("the body is not a remote-read request: want a prometheus.ReadRequest as protobuf, in snappy's block format")
	e.Err = err
	return e
}

// responseTypes keeps the known encodings in the caller's order. A caller that
// wants only others is refused here as by the upstream: left with an empty list,
// the upstream would take it for one that wants samples.
func responseTypes(wanted []prompb.ReadRequest_ResponseType) ([]prompb.ReadRequest_ResponseType, error) {
	var known []prompb.ReadRequest_ResponseType
	for _, t := range wanted {
		if _, ok := prompb.ReadRequest_ResponseType_name[int32(t)]; ok && !slices.Contains(known, t) {
			known = append(known, t)
		}
	}
	if len(wanted) > 0 && len(known) == 0 {
		return nil, badData("none of the accepted_response_types is known: want SAMPLES or STREAMED_XOR_CHUNKS")
	}
	return known, nil
}

var matchTypes = map[prompb.LabelMatcher_Type]labels.MatchType{
	prompb.LabelMatcher_EQ:  labels.MatchEqual,
	prompb.LabelMatcher_NEQ: labels.MatchNotEqual,
	prompb.LabelMatcher_RE:  labels.MatchRegexp,
	prompb.LabelMatcher_NRE: labels.MatchNotRegexp,
}

// readMatchers reads a query's matchers, each after it was charged: compiling a
// regular expression is where a short text costs seconds.
func readMatchers(in []*prompb.LabelMatcher, b *budget) ([]*labels.Matcher, error) {
	out := make([]*labels.Matcher, 0, len(in)+1)
	for _, p := range in {
		kind, ok := matchTypes[p.Type]
		if !ok {
			return nil, badData("a matcher has an unknown type")
		}
		if !utf8.ValidString(p.Name) || !utf8.ValidString(p.Value) {
			return nil, badData("a matcher is not valid UTF-8")
		}
		if err := b.chargeText(p.Name, p.Value); err != nil {
			return nil, err
		}
		if kind == labels.MatchRegexp || kind == labels.MatchNotRegexp {
			if err := b.chargePattern(p.Value); err != nil {
				return nil, err
			}
		}
		m, err := labels.NewMatcher(kind, p.Name, p.Value)
		if err != nil {
			return nil, badData("a matcher's regular expression is not valid: %s", err)
		}
		out = append(out, m)
	}
	return out, nil
}

func protoMatchers(in []*labels.Matcher) []*prompb.LabelMatcher {
	out := make([]*prompb.LabelMatcher, len(in))
	for i, m := range in {
		kind := prompb.LabelMatcher_EQ
		for p, t := range matchTypes {
			if t == m.Type {
				kind = p
			}
		}
		out[i] = &prompb.LabelMatcher{Type: kind, Name: m.Name, Value: m.Value}
	}
	return out
}

func knownHints(h *prompb.ReadHints) *prompb.ReadHints {
	if h == nil {
		return nil
	}
	return &prompb.ReadHints{
		StepMs: h.StepMs, Func: h.Func, StartMs: h.StartMs, EndMs: h.EndMs,
		Grouping: h.Grouping, By: h.By, RangeMs: h.RangeMs,
	}
}

// inReadQuery says which query a refusal is about.
func inReadQuery(i int, err error) error {
	if e, ok := errors.AsType[*apiError](err); ok && e.Type == "bad_data" {
		e.Message = fmt.Sprintf("query %d: %s", i+1, e.Message)
	}
	return err
}
