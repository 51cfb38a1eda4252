package remoteread

import (
	"errors"
	"slices"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/promfence/promfence/proxy/promql"
)

// verify decodes a narrowed request again and compares it with the original: each
// query must hold its original matchers and each enforced one exactly once, and
// nothing else may differ, or be more than we know.
func verify(compressed []byte, original *readRequest, types []uint64, matchers [][]*labels.Matcher, e *promql.Enforcer) error {
	raw, err := snappy.Decode(nil, compressed)
	if err != nil {
		return err
	}
	var again readRequest
	if err := again.parse(raw, true); err != nil {
		return err
	}
	if !slices.Equal(again.types, types) || len(again.queries) != len(original.queries) {
		return errors.New("the remote-read request is another")
	}
	for i, q := range again.queries {
		o := original.queries[i]
		if q.start != o.start || q.end != o.end || !sameHints(q.hints, o.hints) {
			return errors.New("a remote-read query is another")
		}
		got := make([]*labels.Matcher, len(q.matchers))
		for j, m := range q.matchers {
			if m.kind >= uint64(len(matchTypes)) {
				return errors.New("a remote-read matcher is another")
			}
			// Compared as text: nothing needs compiling twice.
			got[j] = &labels.Matcher{Type: matchTypes[m.kind], Name: m.name, Value: m.value}
		}
		if !e.Holds(matchers[i], got) {
			return errors.New("a remote-read query lacks a matcher or has one too many")
		}
	}
	return nil
}

func sameHints(a, b *readHints) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a.step == b.step && a.function == b.function && a.start == b.start && a.end == b.end &&
		a.by == b.by && a.length == b.length && slices.Equal(a.grouping, b.grouping)
}
