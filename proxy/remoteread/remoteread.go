// Package remoteread narrows a remote-read request, protobuf in snappy's block
// format, to a label policy.
//
// It stops one threat: a query in the body that reaches the upstream without every
// matcher of its caller's label policy. Its rules:
//
//   - What decoding would allocate is bounded before anything is decoded: a few
//     bytes of snappy can claim gigabytes, a few bytes of protobuf a thousand structs.
//   - The body is spelled afresh from the fields that are known (wire.go). What a
//     newer upstream may know beside them does not pass.
//   - Every query gets the enforced matchers, from [promql.Enforcer].
//   - What was spelled is decoded again and compared (verify.go): the same queries,
//     ranges, hints and encodings, each query with its own matchers and each enforced
//     one exactly once. Otherwise nothing is sent.
//
// Regular expressions and names draw on the request's [promql.Budget] as PromQL does.
package remoteread

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"unicode/utf8"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/promql"
)

// Narrow returns a body that asks for the same series, ranges and encodings, with
// the enforced matchers in every query. A body of more than maxBytes, compressed or
// not, is refused.
func Narrow(compressed []byte, e *promql.Enforcer, b *promql.Budget, maxBytes int64) ([]byte, error) {
	original, err := decode(compressed, b, maxBytes)
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
			return nil, inQuery(i, err)
		}
		if err := errors.Join(chargeHints(q.hints, b), b.CheckSpan(q.span())); err != nil {
			return nil, inQuery(i, err)
		}
		enforced, err := e.Enforce(matchers[i], b)
		if err != nil {
			return nil, inQuery(i, err)
		}
		q.matchers = wireMatchers(enforced)
		fresh.queries[i] = q
	}
	if err := e.ChargeSelectors(len(fresh.queries), b); err != nil {
		return nil, err
	}
	out := snappy.Encode(nil, fresh.append(nil))
	if err := verify(out, original, fresh.types, matchers, e); err != nil {
		return nil, apierr.Internal(fmt.Errorf("%w: %w", promql.ErrVerify, err))
	}
	return out, nil
}

func decode(compressed []byte, b *promql.Budget, maxBytes int64) (*readRequest, error) {
	if int64(len(compressed)) > maxBytes {
		return nil, tooLarge(maxBytes)
	}
	size, err := snappy.DecodedLen(compressed)
	if err != nil {
		return nil, malformed(err)
	}
	if int64(size) > maxBytes {
		return nil, tooLarge(maxBytes)
	}
	raw, err := snappy.Decode(nil, compressed)
	if err != nil {
		return nil, malformed(err)
	}
	if err := chargeParts(raw, b); err != nil {
		return nil, err
	}
	req := &readRequest{}
	return req, req.parse(raw, false)
}

func tooLarge(limit int64) error {
	return apierr.New(http.StatusRequestEntityTooLarge, "the request's body is larger than %d bytes", limit).OverLimit("max_body_bytes")
}

func malformed(cause error) error {
	e := apierr.BadData("the body is not a remote-read request: want a prometheus.ReadRequest as protobuf, in snappy's block format")
	e.Err = cause
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
		return nil, apierr.BadData("none of the accepted_response_types is known: want SAMPLES or STREAMED_XOR_CHUNKS")
	}
	return known, nil
}

// matchTypes are the types of matchers, by their number on the wire.
var matchTypes = []labels.MatchType{labels.MatchEqual, labels.MatchNotEqual, labels.MatchRegexp, labels.MatchNotRegexp}

func readMatchers(in []readMatcher, b *promql.Budget) ([]*labels.Matcher, error) {
	out := make([]*labels.Matcher, 0, len(in)+1)
	for _, w := range in {
		if w.kind >= uint64(len(matchTypes)) {
			return nil, apierr.BadData("a matcher has an unknown type")
		}
		if !utf8.ValidString(w.name) || !utf8.ValidString(w.value) {
			return nil, apierr.BadData("a matcher is not valid UTF-8")
		}
		m, err := b.NewMatcher(matchTypes[w.kind], w.name, w.value)
		if err != nil {
			return nil, err
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

// inQuery says which query a refusal is about.
func inQuery(i int, err error) error {
	if e, ok := errors.AsType[*apierr.Error](err); ok && e.Type == "bad_data" {
		e.Message = fmt.Sprintf("query %d: %s", i+1, e.Message)
	}
	return err
}
