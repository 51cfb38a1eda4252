package proxy

import (
	"errors"
	"slices"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
)

// verifyRead decodes a narrowed request as the upstream will and compares it
// with the original: each query must hold its original matchers and the
// enforced one exactly once, and nothing else may differ or be left unread.
func verifyRead(compressed []byte, original *prompb.ReadRequest, types []prompb.ReadRequest_ResponseType, matchers [][]*labels.Matcher, want *labels.Matcher) error {
	raw, err := snappy.Decode(nil, compressed)
	if err != nil {
		return err
	}
	var again prompb.ReadRequest
	if err := again.Unmarshal(raw); err != nil {
		return err
	}
	if len(again.XXX_unrecognized) > 0 || !slices.Equal(again.AcceptedResponseTypes, types) || len(again.Queries) != len(original.Queries) {
		return errors.New("the remote-read request is another")
	}
	for i, q := range again.Queries {
		o := original.Queries[i]
		if len(q.XXX_unrecognized) > 0 || q.StartTimestampMs != o.StartTimestampMs || q.EndTimestampMs != o.EndTimestampMs || !sameHints(q.Hints, o.Hints) {
			return errors.New("a remote-read query is another")
		}
		got := make([]*labels.Matcher, len(q.Matchers))
		for j, m := range q.Matchers {
			kind, ok := matchTypes[m.Type]
			if !ok || len(m.XXX_unrecognized) > 0 {
				return errors.New("a remote-read matcher is another")
			}
			// Compared as text: nothing needs compiling twice.
			got[j] = &labels.Matcher{Type: kind, Name: m.Name, Value: m.Value}
		}
		if !enforcedOnce(want, matchers[i], got) {
			return errors.New("a remote-read query lacks a matcher or has one too many")
		}
	}
	return nil
}

func sameHints(a, b *prompb.ReadHints) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return len(a.XXX_unrecognized) == 0 && a.StepMs == b.StepMs && a.Func == b.Func &&
		a.StartMs == b.StartMs && a.EndMs == b.EndMs && a.By == b.By && a.RangeMs == b.RangeMs &&
		slices.Equal(a.Grouping, b.Grouping)
}
