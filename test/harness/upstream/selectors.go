package upstream

import (
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// anything is a parser that takes all that some Prometheus would.
var anything = parser.NewParser(parser.Options{
	EnableExperimentalFunctions:  true,
	ExperimentalDurationExpr:     true,
	EnableExtendedRangeSelectors: true,
	EnableBinopFillModifiers:     true,
})

// Unscoped finds a selector of a query that does not hold the tenants, in a walk
// that owes nothing to the proxy's; "" when there is none.
func Unscoped(query string, tenants ...string) (selector string) {
	want := labels.MustNewMatcher(labels.MatchEqual, "tenant_id", tenants[0])
	if len(tenants) > 1 {
		want = labels.MustNewMatcher(labels.MatchRegexp, "tenant_id", strings.Join(tenants, "|"))
	}
	return lacking(query, want)
}

// Lacking finds a selector of a query that does not hold every matcher of another
// selector; "" when there is none.
func Lacking(query, wanted string) (selector string) {
	want, err := anything.ParseMetricSelector(wanted)
	if err != nil {
		return err.Error()
	}
	return lacking(query, want...)
}

func lacking(query string, want ...*labels.Matcher) (selector string) {
	expr, err := anything.ParseExpr(query)
	if err != nil {
		return err.Error()
	}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		s, ok := node.(*parser.VectorSelector)
		for _, w := range want {
			if ok && !slices.ContainsFunc(s.LabelMatchers, func(m *labels.Matcher) bool { return m.String() == w.String() }) {
				selector = s.String()
			}
		}
		return nil
	})
	return selector
}
