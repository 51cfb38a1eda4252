package promql

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/apierr"
)

var (
	acme       = policy.Label{Label: "tenant_id", Values: []string{"acme"}}
	several    = policy.Label{Label: "tenant_id", Values: []string{"acme", "globex"}}
	anyTenant  = policy.Label{Label: "tenant_id", Any: true}
	shop       = policy.Label{Label: "namespace", Values: []string{"shop", "web"}}
	shopOrNone = policy.Label{Label: "namespace", Values: []string{"shop"}, Missing: true}
	notProd    = policy.Label{Label: "env", Except: []string{"prod"}}
	notProdOr  = policy.Label{Label: "env", Except: []string{"prod"}, Missing: true}
	notThese   = policy.Label{Label: "env", Except: []string{"prod", "s.t"}, Missing: true}
)

// labelPolicy is what a policy with these labels grants to everybody.
func labelPolicy(tb testing.TB, ls ...policy.Label) policy.Labels {
	tb.Helper()
	always := false
	rules, err := policy.New(policy.Options{
		TenantLabel: "tenant_id", MaxTenants: 1000, Audited: true,
		Policies: []policy.Policy{{Name: "p", Issuers: []string{"i"}, OnlyWhenNamed: &always, Labels: ls}},
		Entries:  []policy.Entry{{Issuer: "i", AllTenants: true}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	d, err := rules.Decide(policy.Token{Issuer: "i", AllTenants: true}, policy.Narrowing{})
	if err != nil {
		tb.Fatal(err)
	}
	return d.Labels
}

func TestLabelPoliciesAsMatchers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		labels []policy.Label
		query  string
		want   string
	}{
		{"two labels", []policy.Label{acme, shop}, `sum(rate(x[5m])) / y`, `sum(rate(x{namespace=~"shop|web",tenant_id="acme"}[5m])) / y{namespace=~"shop|web",tenant_id="acme"}`},
		{"three", []policy.Label{acme, shop, notProd}, `x`, `x{env!~"prod|",namespace=~"shop|web",tenant_id="acme"}`},
		{"a value or none", []policy.Label{acme, shopOrNone}, `x`, `x{namespace=~"shop|",tenant_id="acme"}`},
		{"all but one, present", []policy.Label{acme, notProd}, `x`, `x{env!~"prod|",tenant_id="acme"}`},
		{"all but one, or none", []policy.Label{acme, notProdOr}, `x`, `x{env!="prod",tenant_id="acme"}`},
		{"all but two, or none", []policy.Label{acme, notThese}, `x`, `x{env!~"prod|s\\.t",tenant_id="acme"}`},
		{"all tenants", []policy.Label{anyTenant}, `x`, `x{tenant_id!=""}`},
		{"all tenants of one namespace", []policy.Label{anyTenant, shop}, `x`, `x{namespace=~"shop|web",tenant_id!=""}`},
		{"several tenants", []policy.Label{several, shop}, `x`, `x{namespace=~"shop|web",tenant_id=~"acme|globex"}`},
		{"matchers that are there already", []policy.Label{acme, shop}, `x{namespace=~"shop|web",tenant_id="acme",tenant_id="acme"}`, `x{namespace=~"shop|web",tenant_id="acme"}`},
		{"the caller's own on each label", []policy.Label{acme, shop}, `x{namespace="web",tenant_id="globex",a="b"}`, `x{a="b",namespace="web",namespace=~"shop|web",tenant_id="acme",tenant_id="globex"}`},
		{"the caller's own on all tenants", []policy.Label{anyTenant}, `x{tenant_id=""}`, `x{tenant_id!="",tenant_id=""}`},
		{"in a parameter", []policy.Label{acme, shop}, `topk(scalar(x), y)`, `topk(scalar(x{namespace=~"shop|web",tenant_id="acme"}), y{namespace=~"shop|web",tenant_id="acme"})`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := labelPolicy(t, tt.labels...)
			e := enforcer(t, intersect, l)
			got, err := e.Expression(tt.query, newBudget())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("enforced (-want +got):\n%s", diff)
			}
			if selector, err := e.FederatedSelector(`{a=""}`, newBudget()); err != nil || !e.Holds(parseMatchers(t, `{a=""}`), parseMatchers(t, selector)) {
				t.Errorf("a selector became %s, %v", selector, err)
			}
			if !e.Holds(nil, parseMatchers(t, e.Everything())) {
				t.Errorf("everything is %s", e.Everything())
			}
		})
	}
}

func parseMatchers(t *testing.T, selector string) []*labels.Matcher {
	t.Helper()
	ms, err := promQL.ParseMetricSelector(selector)
	if err != nil {
		t.Fatalf("%s: %v", selector, err)
	}
	return ms
}

// A matcher as PromQL must allow exactly what the policy's matcher allows.
func TestMatchersAllowWhatPoliciesAllow(t *testing.T) {
	world := []string{"", "a", "b", "a|b", "a.", "ab", "A", ".*", "é", `"`, `\`, "a\nb", "|"}
	rnd := rand.New(rand.NewPCG(1, 2))
	compared := 0
	for range 5000 {
		p := policy.Matcher{Label: "x", Negative: rnd.IntN(2) == 0, Missing: rnd.IntN(2) == 0}
		for _, v := range world[1:] {
			if rnd.IntN(4) == 0 {
				p.Values = append(p.Values, v)
			}
		}
		m, err := newMatcher(p)
		if err != nil {
			if len(p.Values) > 0 || p.Negative != p.Missing {
				t.Fatalf("%+v: %v", p, err)
			}
			continue // nothing, or everything, which is no matcher
		}
		for _, v := range world {
			if m.Matches(v) != p.Allows(v) {
				t.Fatalf("%s on %q: %t, but the policy's %+v says %t", m, v, m.Matches(v), p, p.Allows(v))
			}
			compared++
		}
	}
	if compared < 50_000 {
		t.Errorf("only %d values were compared", compared)
	}
}

func TestTheZeroValuesRefuse(t *testing.T) {
	if _, err := new(Enforcers).For(policy.Labels{}); err == nil {
		t.Error("the zero label policy got an Enforcer")
	}
	var e Enforcer
	for _, text := range []string{"x", "1"} {
		if got, err := e.Expression(text, newBudget()); err == nil {
			t.Errorf("the zero Enforcer made %q of %s", got, text)
		}
	}
	if got, err := e.Selector("x", newBudget()); err == nil {
		t.Errorf("the zero Enforcer made the selector %q", got)
	}
	if got, err := e.Enforce(nil, newBudget()); err == nil {
		t.Errorf("the zero Enforcer made the matchers %v", got)
	}
	if e.Holds(nil, nil) || e.Everything() != "" {
		t.Error("the zero Enforcer is content with no matcher")
	}
	if _, err := forTenants(t, intersect, "acme").Expression("1", &Budget{}); err == nil {
		t.Error("the zero Budget let something pass")
	}
}

// on_conflict: reject looks at each of the caller's matchers by itself.
func TestConflictsAreRefusedLabelByLabel(t *testing.T) {
	for _, tt := range []struct {
		name    string
		labels  []policy.Label
		matcher string
		refused string // a part of the text; "" = it passes
	}{
		{"one of the tenants", []policy.Label{several}, `tenant_id="globex"`, ""},
		{"none of the tenants", []policy.Label{several}, `tenant_id="initech"`, "none of your tenants"},
		{"one of two values", []policy.Label{acme, shop}, `namespace="web"`, ""},
		{"none of two values", []policy.Label{acme, shop}, `namespace="kube-system"`, "nothing that you may see"},
		{"a regexp with one of them", []policy.Label{acme, shop}, `namespace=~"w.*"`, ""},
		{"a regexp with none", []policy.Label{acme, shop}, `namespace=~"k.*"`, "nothing that you may see"},
		{"a missing one, which may be missing", []policy.Label{acme, shopOrNone}, `namespace=""`, ""},
		{"a missing one, which may not", []policy.Label{acme, shop}, `namespace=""`, "nothing that you may see"},
		{"one that is not excluded", []policy.Label{acme, notProd}, `env="dev"`, ""},
		{"the excluded one", []policy.Label{acme, notProd}, `env="prod"`, "nothing that you may see"},
		{"a list of excluded ones", []policy.Label{acme, notThese}, `env=~"prod|s\\.t"`, "nothing that you may see"},
		{"a list with another one", []policy.Label{acme, notThese}, `env=~"prod|dev"`, ""},
		{"a regexp that may fit others", []policy.Label{acme, notProd}, `env=~"pro.*"`, ""},
		{"all but the excluded one", []policy.Label{acme, notProd}, `env!="prod"`, ""},
		{"missing, where it must be there", []policy.Label{acme, notProd}, `env=""`, "nothing that you may see"},
		{"missing, where it may be", []policy.Label{acme, notProdOr}, `env=""`, ""},
		{"not even one character", []policy.Label{acme, notProd}, `env!~".+"`, "nothing that you may see"},
		{"nothing at all", []policy.Label{acme, notProdOr}, `env!~".*"`, "nothing that you may see"},
		{"no tenant, of all", []policy.Label{anyTenant}, `tenant_id=""`, "none of your tenants"},
		{"no tenant as a regexp, of all", []policy.Label{anyTenant}, `tenant_id=~""`, "none of your tenants"},
		{"not even one character of all tenants", []policy.Label{anyTenant}, `tenant_id!~".+"`, "none of your tenants"},
		{"any of all tenants", []policy.Label{anyTenant}, `tenant_id="initech"`, ""},
		{"a label that is not enforced", []policy.Label{acme}, `namespace="kube-system"`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := enforcer(t, reject, labelPolicy(t, tt.labels...))
			got, err := e.Expression("x{"+tt.matcher+"}", newBudget())
			f, ok := errors.AsType[*apierr.Error](err)
			switch {
			case tt.refused == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.refused != "" && (!ok || f.Status != 403 || !strings.Contains(f.Message, tt.refused)):
				t.Errorf("got %s, %v, want a 403 that says %s", got, err, tt.refused)
			}
			if got, err := enforcer(t, intersect, labelPolicy(t, tt.labels...)).Expression("x{"+tt.matcher+"}", newBudget()); err != nil {
				t.Errorf("without reject: %s, %v", got, err)
			}
		})
	}
}

func TestBudgetsSumOverAllMatchers(t *testing.T) {
	long := func(label string, n int) policy.Label {
		l := policy.Label{Label: label}
		for i := range n {
			l.Values = append(l.Values, fmt.Sprintf("%0200d", i))
		}
		return l
	}
	sum := func(n int) string { return strings.Repeat("a+", n-1) + "a" }
	for _, tt := range []struct {
		name   string
		labels []policy.Label
		fits   int // selectors
	}{
		{"bytes of one regexp", []policy.Label{long("tenant_id", 10)}, maxEnforcedRegexps / (9 + 2009)},
		{"bytes of two regexps", []policy.Label{long("tenant_id", 10), long("ns", 10)}, maxEnforcedRegexps / (9 + 2009 + 2 + 2009)},
		{"a regexp beside one value", []policy.Label{long("tenant_id", 1), long("ns", 10)}, maxEnforcedRegexps / (2 + 2009)},
		{"one value", []policy.Label{long("tenant_id", 1)}, 1000}, // as many as there may be terms
		{"number of regexps", []policy.Label{several, shop}, maxRegexps / 2},
		{"number of regexps, negated ones, too", []policy.Label{several, notProd}, maxRegexps / 2},
		{"all tenants", []policy.Label{anyTenant}, 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := enforcer(t, intersect, labelPolicy(t, tt.labels...))
			for range 2 { // the second time, from the cache
				if _, err := e.Expression(sum(tt.fits), newBudget()); err != nil {
					t.Errorf("%d selectors: %v", tt.fits, err)
				}
				if _, err := e.Expression(sum(tt.fits+1), newBudget()); err == nil {
					t.Errorf("%d selectors were let through", tt.fits+1)
				}
			}
		})
	}
}

// The budget of what a caller's regular expressions cost to run holds for each label.
func TestMatchingDrawsOnTheBudgetInRejectMode(t *testing.T) {
	var names []string
	for i := range 20 {
		names = append(names, fmt.Sprintf("%0250d", i))
	}
	for label, l := range map[string]policy.Labels{
		"tenant_id": tenants(t, names...),
		"ns":        labelPolicy(t, acme, policy.Label{Label: "ns", Values: names}),
	} {
		costly := "x{" + strings.Repeat(label+"=~`"+strings.Repeat("abcdefgh.", 100)+"`,", 3) + "}"
		_, err := enforcer(t, reject, l).Expression(costly, newBudget())
		if e, ok := errors.AsType[*apierr.Error](err); !ok || e.Status != 400 || !strings.Contains(e.Message, "too costly for a token") {
			t.Errorf("%s: %v", label, err)
		}
		if _, err := enforcer(t, intersect, l).Expression(costly, newBudget()); err != nil {
			t.Errorf("%s, where nothing is run: %v", label, err)
		}
	}
}

func TestALabelPolicyThatIsTooLongIsRefused(t *testing.T) {
	var names []string
	for i := range 80 {
		names = append(names, fmt.Sprintf("%0250d", i))
	}
	_, err := new(Enforcers).For(tenants(t, names...))
	if e, ok := errors.AsType[*apierr.Error](err); !ok || e.Status != 403 {
		t.Errorf("80 names of 250 bytes: %v", err)
	}
	if _, err := new(Enforcers).For(tenants(t, names[:60]...)); err != nil {
		t.Errorf("60 names of 250 bytes: %v", err)
	}
}

func TestCachesDoNotMixLabelPolicies(t *testing.T) {
	c := new(Enforcers)
	for range 2 {
		for want, ls := range map[string][]policy.Label{
			`x{tenant_id="acme"}`:                         {acme},
			`x{namespace=~"shop|web",tenant_id="acme"}`:   {acme, shop},
			`x{namespace=~"shop|",tenant_id="acme"}`:      {acme, shopOrNone},
			`x{env!~"prod|",tenant_id="acme"}`:            {acme, notProd},
			`x{env!="prod",tenant_id="acme"}`:             {acme, notProdOr},
			`x{env="prod",tenant_id="acme"}`:              {acme, {Label: "env", Values: []string{"prod"}}},
			`x{tenant_id!=""}`:                            {anyTenant},
			`x{tenant_id="all"}`:                          {{Label: "tenant_id", Values: []string{"all"}}},
			`x{tenant_id=~"acme|globex"}`:                 {several},
			`x{env=~"a|b",tenant_id="acme"}`:              {acme, {Label: "env", Values: []string{"a", "b"}}},
			`x{env="a|b",tenant_id="acme"}`:               {acme, {Label: "env", Values: []string{"a|b"}}},
			`x{env="a",namespace="b",tenant_id="acme"}`:   {acme, {Label: "env", Values: []string{"a"}}, {Label: "namespace", Values: []string{"b"}}},
			`x{env="a",namespace="b\"",tenant_id="acme"}`: {acme, {Label: "env", Values: []string{"a"}}, {Label: "namespace", Values: []string{`b"`}}},
		} {
			e, err := c.For(labelPolicy(t, ls...))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := e.Expression("x", newBudget()); got != want || err != nil {
				t.Errorf("got %s, %v, want %s", got, err, want)
			}
		}
	}
}

// FuzzLabelPolicy is FuzzExpression with three labels.
func FuzzLabelPolicy(f *testing.F) {
	for _, q := range []string{"x", `x{env="prod"}`, `x{tenant_id!="acme",namespace=~".*"}`, `sum by (env) (rate(x[5m])) / on (namespace) y`} {
		f.Add(q)
	}
	e := enforcer(f, intersect, labelPolicy(f, acme, shop, notProd))
	f.Fuzz(func(t *testing.T, q string) {
		got, err := e.Expression(q, newBudget())
		if err != nil {
			return
		}
		for _, want := range []string{`tenant_id="acme"`, `namespace=~"shop|web"`, `env!~"prod|"`} {
			if s := lacks(t, got, want); s != "" {
				t.Errorf("%q: %s lacks %s in %s", q, s, want, got)
			}
		}
	})
}

// What can match nothing is told, label by label, and once more from the cache.
func TestConflictsAreNoted(t *testing.T) {
	noisy := `{tenant_id=~"` + strings.Repeat("x", 100) + `"}`
	for _, tt := range []struct {
		name   string
		labels []policy.Label
		query  string
		want   string
	}{
		{"another tenant", []policy.Label{acme}, `x{tenant_id="globex"}`, `tenant_id="globex" matches none of your tenants`},
		{"no tenant", []policy.Label{several}, `x{tenant_id=~""}`, `tenant_id=~"" matches none of your tenants`},
		{"one of several", []policy.Label{several}, `x{tenant_id="globex"}`, ""},
		{"none of several", []policy.Label{several}, `x{tenant_id!~"acme|globex"}`, `tenant_id!~"acme|globex" matches none of your tenants`},
		{"the first of two", []policy.Label{acme}, `x + x{tenant_id="b"} + x{tenant_id="c"}`, `tenant_id="b" matches none of your tenants`},
		{"another namespace", []policy.Label{acme, shop}, `x{namespace="db"}`, `namespace="db" matches nothing that you may see`},
		{"no namespace", []policy.Label{acme, shop}, `x{namespace=""}`, `namespace="" matches nothing that you may see`},
		{"no namespace where that is allowed", []policy.Label{acme, shopOrNone}, `x{namespace=""}`, ""},
		{"what is left out", []policy.Label{acme, notProd}, `x{env="prod"}`, `env="prod" matches nothing that you may see`},
		{"what is left out among others", []policy.Label{acme, notProd}, `x{env=~"prod|dev"}`, ""},
		{"another label", []policy.Label{acme}, `x{namespace="db"}`, ""},
		{"all tenants", []policy.Label{anyTenant}, `x{tenant_id="globex"}`, ""},
		{"a long one", []policy.Label{acme}, noisy, `tenant_id=~"` + strings.Repeat("x", 52) + "… matches none of your tenants"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := enforcer(t, intersect, labelPolicy(t, tt.labels...))
			for _, how := range []string{"anew", "from the cache"} {
				b := newBudget()
				if _, err := e.Expression(tt.query, b); err != nil || b.Conflict() != tt.want {
					t.Errorf("%s: %q, %v, want %q", how, b.Conflict(), err, tt.want)
				}
			}
		})
	}
}

// A request with several texts has the conflict of its first one, and a text is kept
// with its own.
func TestConflictsOfSeveralTexts(t *testing.T) {
	e := forTenants(t, intersect, "acme")
	selectors := func(texts ...string) string {
		b := newBudget()
		for _, text := range texts {
			if _, err := e.Selector(text, b); err != nil {
				t.Fatal(err)
			}
		}
		return b.Conflict()
	}
	const first, second = `{tenant_id="b"}`, `{tenant_id="c"}`
	for _, tt := range []struct{ got, want string }{
		{selectors("x", first, "y", second), `tenant_id="b" matches none of your tenants`},
		{selectors("x", "y"), ""},
		{selectors(second, first), `tenant_id="c" matches none of your tenants`},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}
