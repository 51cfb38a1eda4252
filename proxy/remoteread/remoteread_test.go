package remoteread_test

import (
	"math"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/prometheus/prompb"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/promql"
	"github.com/promfence/promfence/proxy/remoteread"
)

func eq(name, value string) *prompb.LabelMatcher {
	return &prompb.LabelMatcher{Type: prompb.LabelMatcher_EQ, Name: name, Value: value}
}

func re(name, value string) *prompb.LabelMatcher {
	return &prompb.LabelMatcher{Type: prompb.LabelMatcher_RE, Name: name, Value: value}
}

func encodeRead(tb testing.TB, req *prompb.ReadRequest) []byte {
	tb.Helper()
	raw, err := req.Marshal()
	if err != nil {
		tb.Fatal(err)
	}
	return snappy.Encode(nil, raw)
}

func decodeRead(tb testing.TB, body []byte) *prompb.ReadRequest {
	tb.Helper()
	raw, err := snappy.Decode(nil, body)
	if err != nil {
		tb.Fatal(err)
	}
	req := &prompb.ReadRequest{}
	if err := req.Unmarshal(raw); err != nil {
		tb.Fatal(err)
	}
	return req
}

var limits = promql.Limits{QueryBytes: 64 << 10, QueryDepth: 100, QueryTerms: 2000}

func tenants(tb testing.TB, names ...string) policy.Labels {
	tb.Helper()
	l, err := policy.ForTenants("tenant_id", names...)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// What an Enforcer does with a matcher that can select nothing.
const intersect, reject = false, true

// narrow narrows one body of at most 1 MiB, with a budget of its own.
func narrow(tb testing.TB, body []byte, l policy.Labels, rejects bool, limits promql.Limits) ([]byte, error) {
	tb.Helper()
	e, err := (&promql.Enforcers{RejectConflicts: rejects}).For(l)
	if err != nil {
		tb.Fatal(err)
	}
	return remoteread.Narrow(body, e, limits.Budget(), 1<<20)
}

func query(ms ...*prompb.LabelMatcher) *prompb.Query {
	return &prompb.Query{StartTimestampMs: math.MinInt64, EndTimestampMs: math.MaxInt64, Matchers: ms}
}

func TestReadRequestsAreScoped(t *testing.T) {
	hints := &prompb.ReadHints{StepMs: 1, Func: "rate", StartMs: -2, EndMs: 3, Grouping: []string{"job", "größe"}, By: true, RangeMs: 4}
	both := []prompb.ReadRequest_ResponseType{prompb.ReadRequest_STREAMED_XOR_CHUNKS, prompb.ReadRequest_SAMPLES}
	var unknown []prompb.ReadRequest_ResponseType
	for n := range prompb.ReadRequest_ResponseType(40) {
		unknown = append(unknown, 2+n)
	}
	for _, tt := range []struct {
		name     string
		tenants  []string
		in, want *prompb.ReadRequest
	}{
		{
			"every query gets the matcher, ranges, hints and encodings stay",
			[]string{"acme"},
			&prompb.ReadRequest{AcceptedResponseTypes: both, Queries: []*prompb.Query{
				{StartTimestampMs: 5, EndTimestampMs: 6, Matchers: []*prompb.LabelMatcher{eq("__name__", "up"), re("job", "a|b")}, Hints: hints}, query(),
			}},
			&prompb.ReadRequest{AcceptedResponseTypes: both, Queries: []*prompb.Query{
				{StartTimestampMs: 5, EndTimestampMs: 6, Matchers: []*prompb.LabelMatcher{eq("__name__", "up"), re("job", "a|b"), eq("tenant_id", "acme")}, Hints: hints},
				query(eq("tenant_id", "acme")),
			}},
		},
		{
			"several tenants are a quoted alternation",
			[]string{"b.c|d", "a"},
			&prompb.ReadRequest{Queries: []*prompb.Query{query(eq("a", "b"))}},
			&prompb.ReadRequest{Queries: []*prompb.Query{query(eq("a", "b"), re("tenant_id", `a|`+regexp.QuoteMeta("b.c|d")))}},
		},
		{
			"a matcher equal to the enforced one is there once",
			[]string{"acme"},
			&prompb.ReadRequest{Queries: []*prompb.Query{query(eq("tenant_id", "acme"), eq("a", "b"), eq("tenant_id", "acme"))}},
			&prompb.ReadRequest{Queries: []*prompb.Query{query(eq("a", "b"), eq("tenant_id", "acme"))}},
		},
		{
			"the caller's own tenant matchers are kept beside it",
			[]string{"acme"},
			&prompb.ReadRequest{Queries: []*prompb.Query{query(eq("tenant_id", "beta"), re("tenant_id", ".*"))}},
			&prompb.ReadRequest{Queries: []*prompb.Query{query(eq("tenant_id", "acme"), eq("tenant_id", "beta"), re("tenant_id", ".*"))}},
		},
		{
			"no query is none",
			[]string{"acme"},
			&prompb.ReadRequest{AcceptedResponseTypes: both[:1]}, &prompb.ReadRequest{AcceptedResponseTypes: both[:1]},
		},
		{
			"unknown fields and encodings do not pass",
			[]string{"acme"},
			&prompb.ReadRequest{
				XXX_unrecognized: []byte("\xfa\x01\x01x"), AcceptedResponseTypes: append(unknown, both...),
				Queries: []*prompb.Query{{
					XXX_unrecognized: []byte("\x2a\x01x"), Hints: &prompb.ReadHints{Func: "f", XXX_unrecognized: []byte("\x42\x01x")},
					Matchers: []*prompb.LabelMatcher{{Name: "a", Value: "b", XXX_unrecognized: []byte("\x22\x01x")}},
				}},
			},
			&prompb.ReadRequest{AcceptedResponseTypes: both, Queries: []*prompb.Query{{
				Hints: &prompb.ReadHints{Func: "f"}, Matchers: []*prompb.LabelMatcher{eq("a", "b"), eq("tenant_id", "acme")},
			}}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body, err := narrow(t, encodeRead(t, tt.in), tenants(t, tt.tenants...), intersect, limits)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, decodeRead(t, body), cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadRequestsThatConflict(t *testing.T) {
	for name, tt := range map[string]struct {
		matcher *prompb.LabelMatcher
		status  int // 0 = passes
	}{
		"another tenant":            {eq("tenant_id", "beta"), http.StatusForbidden},
		"a regexp without ours":     {re("tenant_id", "beta|gamma"), http.StatusForbidden},
		"not ours":                  {&prompb.LabelMatcher{Type: prompb.LabelMatcher_NEQ, Name: "tenant_id", Value: "acme"}, http.StatusForbidden},
		"ours":                      {eq("tenant_id", "acme"), 0},
		"a regexp with ours":        {re("tenant_id", "beta|acme"), 0},
		"another label's own value": {eq("tenant", "beta"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			body := encodeRead(t, &prompb.ReadRequest{Queries: []*prompb.Query{query(tt.matcher)}})
			_, err := narrow(t, body, tenants(t, "acme"), reject, limits)
			if got := readStatus(err); got != tt.status {
				t.Errorf("status %d (%v), want %d", got, err, tt.status)
			}
		})
	}
}

func readStatus(err error) int {
	if err == nil {
		return 0
	}
	return apierr.From(err).Status
}

func TestReadRequestsThatAreRefused(t *testing.T) {
	many := func(n int, m *prompb.LabelMatcher) []*prompb.LabelMatcher {
		ms := make([]*prompb.LabelMatcher, n)
		for i := range ms {
			ms[i] = m
		}
		return ms
	}
	queries := make([]*prompb.Query, 101)
	for i := range queries {
		queries[i] = query()
	}
	one := func(q *prompb.Query) []byte { return encodeRead(t, &prompb.ReadRequest{Queries: []*prompb.Query{q}}) }
	for name, tt := range map[string]struct {
		body   []byte
		status int
	}{
		"no body":                         {nil, http.StatusBadRequest},
		"not snappy":                      {[]byte("\xff\x06\x00\x00sNaPpY"), http.StatusBadRequest},
		"uncompressed protobuf":           {[]byte("\x0a\x02\x08\x01"), http.StatusBadRequest},
		"snappy of something else":        {snappy.Encode(nil, []byte("query=up")), http.StatusBadRequest},
		"a group that never ends":         {snappy.Encode(nil, []byte{0x0b}), http.StatusBadRequest},
		"groups within groups":            {snappy.Encode(nil, []byte(strings.Repeat("\x0b", 1<<19))), http.StatusBadRequest},
		"a query that is a number":        {snappy.Encode(nil, []byte{0x08, 0x01}), http.StatusBadRequest},
		"cut off":                         {one(query(eq("a", "b")))[:8], http.StatusBadRequest},
		"followed by something":           {append(one(query(eq("a", "b"))), 0), http.StatusBadRequest},
		"a length of gigabytes":           {[]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, http.StatusRequestEntityTooLarge},
		"one byte too long when decoded":  {snappy.Encode(nil, make([]byte, 1<<20+1)), http.StatusRequestEntityTooLarge},
		"too long as it is":               {make([]byte, 1<<20+1), http.StatusRequestEntityTooLarge},
		"too many queries":                {encodeRead(t, &prompb.ReadRequest{Queries: queries}), http.StatusBadRequest},
		"too many matchers":               {one(query(many(2001, &prompb.LabelMatcher{})...)), http.StatusBadRequest},
		"too many names in a grouping":    {one(&prompb.Query{Hints: &prompb.ReadHints{Grouping: make([]string, 2001)}}), http.StatusBadRequest},
		"matchers too long":               {one(query(eq("a", strings.Repeat("b", 64<<10)))), http.StatusBadRequest},
		"hints too long":                  {one(&prompb.Query{Hints: &prompb.ReadHints{Func: strings.Repeat("b", 64<<10+1)}}), http.StatusBadRequest},
		"too many regexps":                {one(query(many(501, re("a", "b"))...)), http.StatusBadRequest},
		"a costly regexp":                 {one(query(re("a", "((a{100}){100}){100}"))), http.StatusBadRequest},
		"costly classes":                  {one(query(re("a", "(?i)"+strings.Repeat(`\pL`, 100)))), http.StatusBadRequest},
		"an invalid regexp":               {one(query(re("a", "("))), http.StatusBadRequest},
		"a matcher of a fifth kind":       {one(query(&prompb.LabelMatcher{Type: 4, Name: "a"})), http.StatusBadRequest},
		"a name that is not UTF-8":        {one(query(eq("\xff", "b"))), http.StatusBadRequest},
		"a value that is not UTF-8":       {one(query(eq("a", "\xff"))), http.StatusBadRequest},
		"only encodings nobody knows":     {encodeRead(t, &prompb.ReadRequest{AcceptedResponseTypes: []prompb.ReadRequest_ResponseType{2}}), http.StatusBadRequest},
		"many tenants times many queries": {encodeRead(t, &prompb.ReadRequest{Queries: queries[:100]}), http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			ts := tenants(t, "acme")
			if strings.HasPrefix(name, "many tenants") {
				var names []string
				for _, c := range "abcdefghijklmnopqrstuvwxyz" {
					names = append(names, strings.Repeat(string(c), 250))
				}
				ts = tenants(t, names...)
			}
			body, err := narrow(t, tt.body, ts, intersect, limits)
			if got := readStatus(err); got != tt.status || body != nil {
				t.Errorf("status %d (%v), want %d", got, err, tt.status)
			}
		})
	}
}

// A query may not read more than limits.max_range, nor say so in its hints.
func TestReadRequestsOfLongRangesAreRefused(t *testing.T) {
	hour := int64(time.Hour / time.Millisecond)
	for name, tt := range map[string]struct {
		start, end int64
		hints      *prompb.ReadHints
		refused    bool
	}{
		"short":                   {0, hour, nil, false},
		"short, so are its hints": {0, hour, &prompb.ReadHints{StartMs: 1, EndMs: hour, StepMs: 1}, false},
		"hints without times":     {hour, 2 * hour, &prompb.ReadHints{Func: "rate"}, false},
		"long":                    {0, hour + 1, nil, true},
		"hints that begin early":  {hour, 2 * hour, &prompb.ReadHints{StartMs: 1, EndMs: 2 * hour}, true},
		"hints that end late":     {hour, 2 * hour, &prompb.ReadHints{StartMs: hour, EndMs: 3 * hour}, true},
		"as long as numbers go":   {math.MinInt64, math.MaxInt64, nil, true},
	} {
		q := query(eq("a", "b"))
		q.StartTimestampMs, q.EndTimestampMs, q.Hints = tt.start, tt.end, tt.hints
		_, err := narrow(t, encodeRead(t, &prompb.ReadRequest{Queries: []*prompb.Query{q}}), tenants(t, "acme"), intersect,
			promql.Limits{QueryBytes: 1000, QueryTerms: 100, MaxRange: time.Hour})
		if refused := err != nil && strings.Contains(err.Error(), "limits.max_range"); refused != tt.refused || err != nil && !refused {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzReadRequest holds the promise for any body: it is refused, or every query
// of what is sent upstream has the enforced matcher exactly once, and all that
// the caller asked.
func FuzzReadRequest(f *testing.F) {
	add := func(req *prompb.ReadRequest) {
		raw, err := req.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	add(&prompb.ReadRequest{Queries: []*prompb.Query{query(eq("tenant_id", "acme"), re("tenant_id", "a.*"), eq("__name__", "up")), query()}})
	add(&prompb.ReadRequest{
		AcceptedResponseTypes: []prompb.ReadRequest_ResponseType{1, 0, 5},
		Queries:               []*prompb.Query{{Hints: &prompb.ReadHints{Func: "f", Grouping: []string{"a"}}, XXX_unrecognized: []byte("\x2a\x01x")}},
	})
	f.Add([]byte{0x0a, 0x02, 0x22, 0x00, 0x0a, 0x04, 0x22, 0x00, 0x22, 0x00}) // hints that come twice are merged
	ts := tenants(f, "acme")
	f.Fuzz(func(t *testing.T, raw []byte) {
		body, err := narrow(t, snappy.Encode(nil, raw), ts, intersect, limits)
		if err != nil {
			if s := apierr.From(err).Status; s != http.StatusBadRequest && s != http.StatusRequestEntityTooLarge {
				t.Fatalf("status %d: %v", s, err)
			}
			return
		}
		var in prompb.ReadRequest
		if err := in.Unmarshal(raw); err != nil {
			t.Fatalf("sent on although it is not a request: %v", err)
		}
		out := decodeRead(t, body)
		if len(in.Queries) != len(out.Queries) {
			t.Fatalf("%d queries became %d", len(in.Queries), len(out.Queries))
		}
		for i, q := range out.Queries {
			enforced, rest := 0, q.Matchers[:0:0]
			for _, m := range q.Matchers {
				if m.Type == prompb.LabelMatcher_EQ && m.Name == "tenant_id" && m.Value == "acme" {
					enforced++
				} else {
					rest = append(rest, m)
				}
			}
			if enforced != 1 {
				t.Fatalf("the enforced matcher is there %d times", enforced)
			}
			for _, m := range in.Queries[i].Matchers {
				m.XXX_unrecognized = nil
				if !contains(rest, m) && !cmp.Equal(m, eq("tenant_id", "acme")) {
					t.Fatalf("matcher %v is gone", m)
				}
			}
		}
	})
}

func contains(ms []*prompb.LabelMatcher, m *prompb.LabelMatcher) bool {
	for _, o := range ms {
		if cmp.Equal(o, m) {
			return true
		}
	}
	return false
}
