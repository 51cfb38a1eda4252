package promql

import (
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// meantTree is a query's tree with the tenant's matcher put in, as it is printed, and
// the matchers that its selectors had before.
func meantTree(t *testing.T, e *Enforcer, query string) (expr parser.Expr, originals [][]*labels.Matcher) {
	t.Helper()
	expr = parse(t, query)
	err := eachSelector(expr, func(vs *parser.VectorSelector) error {
		enforced, err := e.Enforce(vs.LabelMatchers, newBudget())
		originals = append(originals, vs.LabelMatchers)
		vs.LabelMatchers = enforced
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return expr, originals
}

func parse(t *testing.T, text string) parser.Expr {
	t.Helper()
	expr, err := promQL.ParseExpr(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return expr
}

// The second line of the fence: whatever went wrong with what was printed, the
// verification says so. In the wrong texts T stands for the tenant's matcher.
func TestTheVerificationNoticesAWrongText(t *testing.T) {
	e := forTenants(t, intersect, "acme")
	for _, tt := range []struct{ name, query, wrong string }{
		{"no matcher", `x`, `x`},
		{"the matcher twice", `x`, `x{T,T}`},
		{"another tenant's", `x`, `x{tenant_id="globex"}`},
		{"its negation", `x`, `x{tenant_id!="acme"}`},
		{"as a regexp", `x`, `x{tenant_id=~"acme"}`},
		{"on another label", `x`, `x{tenant="acme"}`},
		{"one too many", `x`, `x{T,a="b"}`},
		{"an original one lost", `x{a="b"}`, `x{T}`},
		{"an original one with another value", `x{a="b"}`, `x{T,a="c"}`},
		{"an original one with another name", `x{a="b"}`, `x{T,b="b"}`},
		{"an original one of another type", `x{a="b"}`, `x{T,a!="b"}`},
		{"an original one once less, another once more", `x{a="b",a="b",c="d"}`, `x{T,a="b",c="d",c="d"}`},
		{"the caller's own lost", `x{tenant_id="globex"}`, `x{T}`},
		{"only the second selector without", `x + y`, `x{T} + y`},
		{"only the first selector without", `x + y`, `x + y{T}`},
		{"the selectors in another order", `x - x{a="b"}`, `x{T,a="b"} - x{T}`},
		{"a selector less", `x + y`, `x{T}`},
		{"a selector more", `x`, `x{T} + y{T}`},
		{"a name that is a matcher", `{__name__="x"}`, `x{T}`},
		{"another name", `x`, `y{T}`},
		{"a time", `x`, `x{T} @ 1`},
		{"another time", `x @ 2`, `x{T} @ 1`},
		{"no time", `x @ 2`, `x{T}`},
		{"the other end of the range", `x @ start()`, `x{T} @ end()`},
		{"an offset", `x`, `x{T} offset 1m`},
		{"another offset", `x offset 2m`, `x{T} offset 1m`},
		{"an offset that is an expression", `x offset (2m+1m)`, `x{T}`},
		{"an offset that is another expression", `x offset (2m+1m)`, `x{T} offset (2m+2m)`},
		{"another range", `rate(x[5m])`, `rate(x{T}[6m])`},
		{"a range that is another expression", `rate(x[5m*2])`, `rate(x{T}[5m*3])`},
		{"a range anchored", `rate(x[5m])`, `rate(x{T}[5m] anchored)`},
		{"a range smoothed", `rate(x[5m])`, `rate(x{T}[5m] smoothed)`},
		{"a range over another selector", `rate(x[5m])`, `rate(y{T}[5m])`},
		{"a range that is a subquery", `rate(x[5m])`, `rate(x{T}[5m:1m])`},
		{"a range that is none", `count_over_time(x[5m])`, `x{T}`},
		{"another subquery's range", `max_over_time(x[1h:1m])`, `max_over_time(x{T}[2h:1m])`},
		{"one that is another expression", `max_over_time(x[1h*2:1m])`, `max_over_time(x{T}[1h*3:1m])`},
		{"another step", `max_over_time(x[1h:1m])`, `max_over_time(x{T}[1h:2m])`},
		{"one that is another expression, as a step", `max_over_time(x[1h:1m*2])`, `max_over_time(x{T}[1h:1m*3])`},
		{"another offset of a subquery", `max_over_time(x[1h:1m] offset 1m)`, `max_over_time(x{T}[1h:1m] offset 2m)`},
		{"one that is another expression, as an offset", `max_over_time(x[1h:1m] offset (1m*2))`, `max_over_time(x{T}[1h:1m] offset (1m*3))`},
		{"another time of a subquery", `max_over_time(x[1h:1m] @ 1)`, `max_over_time(x{T}[1h:1m] @ 2)`},
		{"the other end of a subquery", `max_over_time(x[1h:1m] @ start())`, `max_over_time(x{T}[1h:1m] @ end())`},
		{"a subquery of something else", `max_over_time(x[1h:1m])`, `max_over_time(y{T}[1h:1m])`},
		{"a subquery that is a range", `max_over_time(x[1h:1m])`, `max_over_time(x{T}[1h])`},
		{"another aggregation", `sum(x)`, `max(x{T})`},
		{"without instead of by", `sum by (a) (x)`, `sum without (a) (x{T})`},
		{"by another label", `sum by (a) (x)`, `sum by (b) (x{T})`},
		{"an aggregation of something else", `sum(x)`, `sum(y{T})`},
		{"another parameter", `topk(1, x)`, `topk(2, x{T})`},
		{"no aggregation", `sum(x)`, `x{T}`},
		{"another operator", `x + y`, `x{T} - y{T}`},
		{"bool", `x > y`, `x{T} > bool y{T}`},
		{"the other side of many", `x * on (a) group_left () y`, `x{T} * on (a) group_right () y{T}`},
		{"ignoring instead of on", `x * on (a) y`, `x{T} * ignoring (a) y{T}`},
		{"on another label", `x * on (a) y`, `x{T} * on (b) y{T}`},
		{"another label taken along", `x * on (a) group_left (b) y`, `x{T} * on (a) group_left (c) y{T}`},
		{"another fill on the left", `x + fill_left (1) y`, `x{T} + fill_left (2) y{T}`},
		{"another fill on the right", `x + fill_right (1) y`, `x{T} + fill_right (2) y{T}`},
		{"no fill", `x + fill_right (1) y`, `x{T} + y{T}`},
		{"something else on the left", `x + y`, `z{T} + y{T}`},
		{"something else on the right", `x + y`, `x{T} + z{T}`},
		{"no vectors to match", `x + 1`, `x{T} + x{T}`},
		{"no operation", `1 + x`, `x{T}`},
		{"another function", `rate(x[5m])`, `irate(x{T}[5m])`},
		{"an argument less", `round(x, 2)`, `round(x{T})`},
		{"another argument", `round(x, 2)`, `round(x{T}, 3)`},
		{"no call", `abs(x)`, `x{T}`},
		{"brackets around something else", `(x)`, `(y{T})`},
		{"no brackets", `(x)`, `x{T}`},
		{"another sign", `-x`, `+x{T}`},
		{"the sign of something else", `-x`, `-y{T}`},
		{"no sign", `-x`, `x{T}`},
		{"another string", `count_values("a", x)`, `count_values("b", x{T})`},
		{"no string", `label_join(x, "a", "b", "c")`, `label_join(x{T}, "a", "b")`},
		{"another number", `x + 1`, `x{T} + 2`},
		{"zero below zero", `1 / 0`, `1 / -0`},
		{"no number", `1`, `"1"`},
		{"a number for a string", `"1"`, `1`},
		{"a number for a duration", `vector(1s)`, `vector(1)`},
		{"a duration expression of another kind", `rate(x[5m*2])`, `rate(x{T}[5m/2])`},
		{"one with something else on the left", `rate(x[5m*2])`, `rate(x{T}[6m*2])`},
		{"one with brackets", `rate(x[(5m*2)*1])`, `rate(x{T}[5m*2*1])`},
		{"one of the query's step", `rate(x[step()])`, `rate(x{T}[range()])`},
		{"one with a sign less", `rate(x[-1m+5m])`, `rate(x{T}[1m+5m])`},
		{"one for a number", `rate(x[5m+0s])`, `rate(x{T}[5m])`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			enforced, err := e.Expression(tt.query, newBudget())
			if err != nil {
				t.Fatal(err)
			}
			wrong := strings.ReplaceAll(tt.wrong, "T}", "T,}")
			wrong = strings.ReplaceAll(strings.ReplaceAll(wrong, "T,", `tenant_id="acme",`), ",}", "}")
			meant, originals := meantTree(t, e, tt.query)
			if !verified(meant, parse(t, enforced), e.wanted, originals) {
				t.Errorf("the right text %s fails the verification", enforced)
			}
			if verified(meant, parse(t, wrong), e.wanted, originals) {
				t.Errorf("%s passes for %s", wrong, tt.query)
			}
		})
	}
}

// What no text can spell is handed over as a tree.
func TestTheVerificationNoticesAWrongTree(t *testing.T) {
	e := forTenants(t, intersect, "acme")
	acme := e.wanted[0]
	x := func() *parser.VectorSelector { return &parser.VectorSelector{LabelMatchers: []*labels.Matcher{acme}} }
	none := [][]*labels.Matcher{{}}
	one := 1.0
	matched := func(m *parser.VectorMatching) parser.Expr {
		return &parser.BinaryExpr{Op: parser.ADD, LHS: x(), RHS: x(), VectorMatching: m}
	}
	for name, tt := range map[string]struct {
		meant, again parser.Expr
		originals    [][]*labels.Matcher
		want         bool
	}{
		"the same":                           {x(), x(), none, true},
		"a selector that nobody sent":        {x(), x(), nil, false},
		"a selector that is gone":            {x(), x(), append(none, nil), false},
		"a node that is not known":           {&parser.StepInvariantExpr{Expr: x()}, &parser.StepInvariantExpr{Expr: x()}, none, false},
		"nothing":                            {nil, nil, nil, false},
		"nothing instead of something":       {x(), nil, none, false},
		"anchored":                           {x(), &parser.VectorSelector{Anchored: true, LabelMatchers: x().LabelMatchers}, none, false},
		"smoothed":                           {x(), &parser.VectorSelector{Smoothed: true, LabelMatchers: x().LabelMatchers}, none, false},
		"a parameter more":                   {&parser.AggregateExpr{Expr: x()}, &parser.AggregateExpr{Expr: x(), Param: &parser.NumberLiteral{}}, none, false},
		"a parameter less":                   {&parser.AggregateExpr{Expr: x(), Param: &parser.NumberLiteral{}}, &parser.AggregateExpr{Expr: x()}, none, false},
		"no matching of vectors":             {matched(&parser.VectorMatching{}), matched(nil), append(none, nil), false},
		"a matching of vectors more":         {matched(nil), matched(&parser.VectorMatching{}), append(none, nil), false},
		"a fill on the left more":            {matched(&parser.VectorMatching{}), matched(&parser.VectorMatching{FillValues: parser.VectorMatchFillValues{LHS: &one}}), append(none, nil), false},
		"a range's expression less":          {&parser.MatrixSelector{VectorSelector: x(), RangeExpr: &parser.DurationExpr{}}, &parser.MatrixSelector{VectorSelector: x()}, none, false},
		"a range's expression more":          {&parser.MatrixSelector{VectorSelector: x()}, &parser.MatrixSelector{VectorSelector: x(), RangeExpr: &parser.DurationExpr{}}, none, false},
		"a duration's left side less":        {duration(&parser.DurationExpr{LHS: &unit}), duration(&parser.DurationExpr{}), none, false},
		"a duration's right side less":       {duration(&parser.DurationExpr{RHS: &unit}), duration(&parser.DurationExpr{}), none, false},
		"a duration of what is no duration":  {duration(&parser.DurationExpr{RHS: x()}), duration(&parser.DurationExpr{RHS: x()}), none, false},
		"a number in a duration for an expr": {duration(&parser.DurationExpr{RHS: &unit}), duration(&parser.DurationExpr{RHS: &parser.DurationExpr{}}), none, false},
		"no brackets around a duration":      {duration(&parser.DurationExpr{Wrapped: true}), duration(&parser.DurationExpr{}), none, false},
	} {
		if meant, again := tt.meant, tt.again; verified(meant, again, e.wanted, tt.originals) != tt.want {
			t.Errorf("%s: passes: %t", name, !tt.want)
		}
	}
}

var unit = parser.NumberLiteral{Val: 1}

// duration is a range over a selector with the tenant's matcher, as long as d.
func duration(d *parser.DurationExpr) parser.Expr {
	acme := labels.MustNewMatcher(labels.MatchEqual, "tenant_id", "acme")
	return &parser.MatrixSelector{RangeExpr: d, VectorSelector: &parser.VectorSelector{LabelMatchers: []*labels.Matcher{acme}}}
}

// Of what the printer drops, nothing changes what a query reads.
func TestTheVerificationOverlooksWhatThePrinterDrops(t *testing.T) {
	e := forTenants(t, intersect, "acme")
	for query, printed := range map[string]string{
		`sum_over_time(x[0.0015])`: `sum_over_time(x{tenant_id="acme"}[1ms])`,
		`x offset 1.0004`:          `x{tenant_id="acme"} offset 1s`,
		`rate(x[+5m*2])`:           `rate(x{tenant_id="acme"}[5m*2])`,
		`NaN + x`:                  `NaN + x{tenant_id="acme"}`,
	} {
		meant, originals := meantTree(t, e, query)
		if !verified(meant, parse(t, printed), e.wanted, originals) {
			t.Errorf("%s is not taken for %s", printed, query)
		}
	}
}
