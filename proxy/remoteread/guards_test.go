package remoteread_test

import (
	"strings"
	"testing"

	"github.com/prometheus/prometheus/prompb"

	"github.com/promfence/promfence/proxy/promql"
)

func TestTextsOfHintsAreCounted(t *testing.T) {
	for name, hints := range map[string]*prompb.ReadHints{
		"":             {Func: "rate", Grouping: []string{"a"}},
		"the function": {Func: strings.Repeat("f", 2000)},
		"a grouping":   {Grouping: []string{"a", strings.Repeat("b", 2000)}},
	} {
		q := query(eq("a", "b"))
		q.Hints = hints
		_, err := narrow(t, encodeRead(t, &prompb.ReadRequest{Queries: []*prompb.Query{q}}), tenants(t, "acme"), intersect, promql.Limits{QueryBytes: 1000, QueryTerms: 100})
		if (err == nil) != (name == "") {
			t.Errorf("%q: %v", name, err)
		}
	}
}
