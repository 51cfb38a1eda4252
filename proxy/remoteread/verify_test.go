package remoteread

import (
	"slices"
	"testing"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/promql"
)

// The second line of the fence: whatever went wrong with the body that was spelled,
// the verification says so.
func TestTheVerificationNoticesAWrongBody(t *testing.T) {
	l, err := policy.ForTenants("tenant_id", "acme")
	if err != nil {
		t.Fatal(err)
	}
	e, err := new(promql.Enforcers).For(l)
	if err != nil {
		t.Fatal(err)
	}
	up := labels.MustNewMatcher(labels.MatchEqual, "__name__", "up")
	original := &readRequest{types: []uint64{1}, queries: []readQuery{{start: 1, end: 2, hints: &readHints{
		step: 1, function: "rate", start: 2, end: 3, grouping: []string{"job"}, by: true, length: 4,
	}}, {start: 3, end: 4}}}
	matchers := [][]*labels.Matcher{{up}, {}}
	acme := readMatcher{name: "tenant_id", value: "acme"}
	right := func() *readRequest {
		h := *original.queries[0].hints
		return &readRequest{types: []uint64{1}, queries: []readQuery{
			{start: 1, end: 2, hints: &h, matchers: []readMatcher{{name: "__name__", value: "up"}, acme}},
			{start: 3, end: 4, matchers: []readMatcher{acme}},
		}}
	}
	for name, spoil := range map[string]func(r *readRequest){
		"":                          func(*readRequest) {},
		"no matcher":                func(r *readRequest) { r.queries[1].matchers = nil },
		"no matcher in the first":   func(r *readRequest) { r.queries[0].matchers = r.queries[0].matchers[:1] },
		"another tenant's":          func(r *readRequest) { r.queries[1].matchers[0].value = "globex" },
		"another type":              func(r *readRequest) { r.queries[1].matchers[0].kind = 1 },
		"a type that is not known":  func(r *readRequest) { r.queries[1].matchers[0].kind = 4 },
		"twice":                     func(r *readRequest) { r.queries[1].matchers = append(r.queries[1].matchers, acme) },
		"an original one less":      func(r *readRequest) { r.queries[0].matchers = r.queries[0].matchers[1:] },
		"a query less":              func(r *readRequest) { r.queries = r.queries[:1] },
		"a query more":              func(r *readRequest) { r.queries = append(r.queries, r.queries[1]) },
		"queries in another order":  func(r *readRequest) { slices.Reverse(r.queries) },
		"another start":             func(r *readRequest) { r.queries[1].start = 2 },
		"another end":               func(r *readRequest) { r.queries[1].end = 5 },
		"another encoding":          func(r *readRequest) { r.types[0] = 0 },
		"an encoding less":          func(r *readRequest) { r.types = nil },
		"no hints":                  func(r *readRequest) { r.queries[0].hints = nil },
		"hints for another query":   func(r *readRequest) { r.queries[1].hints = &readHints{step: 1} },
		"another step":              func(r *readRequest) { r.queries[0].hints.step++ },
		"another function":          func(r *readRequest) { r.queries[0].hints.function = "irate" },
		"another start in hints":    func(r *readRequest) { r.queries[0].hints.start++ },
		"another end in hints":      func(r *readRequest) { r.queries[0].hints.end++ },
		"another grouping":          func(r *readRequest) { r.queries[0].hints.grouping = []string{"tenant_id"} },
		"without instead of by":     func(r *readRequest) { r.queries[0].hints.by = false },
		"another length of a range": func(r *readRequest) { r.queries[0].hints.length++ },
	} {
		r := right()
		spoil(r)
		err := verify(snappy.Encode(nil, r.append(nil)), original, []uint64{1}, matchers, e)
		if passes := err == nil; passes != (name == "") {
			t.Errorf("%q: %v", name, err)
		}
	}
	body := right().append(nil)
	for name, spoiled := range map[string][]byte{
		"no snappy":                     body,
		"a field that is not known":     snappy.Encode(nil, appendText(slices.Clone(body), 15, "x")),
		"one in a query":                snappy.Encode(nil, appendMessage(nil, 1, appendText(right().queries[0].append(nil), 5, "x"))),
		"one that is not known, number": snappy.Encode(nil, protowire.AppendVarint(protowire.AppendTag(slices.Clone(body), 3, protowire.VarintType), 1)),
		"half of it":                    snappy.Encode(nil, body[:len(body)-1]),
	} {
		if err := verify(spoiled, original, []uint64{1}, matchers, e); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

// What is decoded for the comparison may hold nothing that is not known, at any depth.
func TestExactReadingRefusesUnknownFields(t *testing.T) {
	extra := appendText(nil, 15, "x")
	for name, message := range map[string][]byte{
		"a request's": extra,
		"a query's":   appendMessage(nil, 1, extra),
		"a matcher's": appendMessage(nil, 1, appendMessage(nil, 3, extra)),
		"the hints'":  appendMessage(nil, 1, appendMessage(nil, 4, extra)),
	} {
		if err := new(readRequest).parse(message, true); err == nil {
			t.Errorf("%s unknown field is overlooked", name)
		}
		if err := new(readRequest).parse(message, false); err != nil {
			t.Errorf("%s unknown field is refused: %v", name, err)
		}
	}
}
