package promql

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/promql/regexcost"
)

// regional is a label policy of two labels: one tenant, and all regions but one.
func regional(t *testing.T) policy.Labels {
	t.Helper()
	r, err := policy.New(policy.Options{
		TenantLabel: "tenant_id", MaxTenants: 20,
		Policies: []policy.Policy{{Name: "p", Labels: []policy.Label{
			{Label: "tenant_id", Values: []string{"acme"}}, {Label: "region", Except: []string{"us.1", "cn"}, Missing: true},
		}}},
		Entries: []policy.Entry{{Issuer: "i"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := r.Decide(policy.Token{Issuer: "i"}, policy.Narrowing{})
	if err != nil {
		t.Fatal(err)
	}
	return d.Labels
}

func TestEveryLabelOfAPolicyIsEnforced(t *testing.T) {
	e := enforcer(t, intersect, regional(t))
	got, err := e.Expression(`sum(up) + down{region="eu"}`, newBudget())
	const want = `sum(up{region!~"cn|us\\.1",tenant_id="acme"}) + down{region!~"cn|us\\.1",region="eu",tenant_id="acme"}`
	if err != nil || got != want {
		t.Errorf("%v\n got %s\nwant %s", err, got, want)
	}
}

func TestNodesThatAreNotKnownAreRefused(t *testing.T) {
	for name, node := range map[string]parser.Node{
		"a node of the engine":      &parser.StepInvariantExpr{},
		"a range over no selector":  &parser.MatrixSelector{VectorSelector: &parser.NumberLiteral{}},
		"a statement":               &parser.EvalStmt{},
		"a range over nothing else": &parser.MatrixSelector{},
	} {
		_, err := (&walker{selector: func(*parser.VectorSelector) error { return nil }}).Visit(node, nil)
		if err == nil || apierr.From(err).Status != http.StatusInternalServerError {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheZeroEnforcerRefuses(t *testing.T) {
	none := &Enforcer{}
	if ms, err := none.Enforce(nil, newBudget()); err == nil {
		t.Errorf("it enforces %v", ms)
	}
	for name, enforce := range map[string]func(string, *Budget) (string, error){"Expression": none.Expression, "Selector": none.Selector, "FederatedSelector": none.FederatedSelector} {
		if got, err := enforce("up", newBudget()); err == nil {
			t.Errorf("%s gives %q", name, got)
		}
	}
	if _, err := new(Enforcers).For(policy.Labels{}); err == nil {
		t.Error("the zero policy has an Enforcer")
	}
}

func TestAPolicyThatIsTooLongIsRefused(t *testing.T) {
	names := make([]string, 100)
	for i := range names {
		names[i] = strings.Repeat("x", 200) + string(rune('a'+i/26)) + string(rune('a'+i%26))
	}
	if _, err := new(Enforcers).For(tenants(t, names[:40]...)); err != nil {
		t.Errorf("40 tenants: %v", err)
	}
	_, err := new(Enforcers).For(tenants(t, names...))
	if err == nil || apierr.From(err).Status != http.StatusForbidden {
		t.Errorf("100 tenants: %v", err)
	}
}

func TestAPolicysMatcherAsPromQL(t *testing.T) {
	for _, tt := range []struct {
		policy policy.Matcher
		want   string
	}{
		{policy.Matcher{Label: "a", Values: []string{"b"}}, `a="b"`},
		{policy.Matcher{Label: "a", Values: []string{"b.c", "d"}}, `a=~"b\\.c|d"`},
		{policy.Matcher{Label: "a", Values: []string{"b"}, Missing: true}, `a=~"b|"`},
		{policy.Matcher{Label: "a", Values: []string{"b"}, Negative: true}, `a!~"b|"`},
		{policy.Matcher{Label: "a", Values: []string{"b"}, Negative: true, Missing: true}, `a!="b"`},
		{policy.Matcher{Label: "a", Missing: true}, `a=""`},
		{policy.Matcher{Label: "a", Negative: true}, `a!=""`},
	} {
		m, err := newMatcher(tt.policy)
		if err != nil || m.String() != tt.want {
			t.Errorf("%+v: %v %v, want %s", tt.policy, m, err, tt.want)
		}
	}
	if m, err := newMatcher(policy.Matcher{Label: "a"}); err == nil {
		t.Errorf("no value at all becomes %s", m)
	}
}

func TestWhichMatchersFitAPolicy(t *testing.T) {
	some := policy.Matcher{Label: "a", Values: []string{"b", "c"}}
	others := policy.Matcher{Label: "a", Values: []string{"b", "c"}, Negative: true}
	for _, tt := range []struct {
		kind   labels.MatchType
		value  string
		policy policy.Matcher
		want   bool
	}{
		{labels.MatchEqual, "b", some, true},
		{labels.MatchEqual, "d", some, false},
		{labels.MatchEqual, "", some, false},
		{labels.MatchEqual, "", policy.Matcher{Label: "a", Values: []string{"b"}, Missing: true}, true},
		{labels.MatchRegexp, "d|c", some, true},
		{labels.MatchNotRegexp, "b|c", some, false},
		{labels.MatchEqual, "b", others, false},
		{labels.MatchEqual, "d", others, true},
		{labels.MatchEqual, "", others, false},
		{labels.MatchRegexp, "b|c", others, false},
		{labels.MatchRegexp, "b|d", others, true},
		{labels.MatchRegexp, "", others, false},
		{labels.MatchRegexp, "b.*", others, true}, // in doubt
		{labels.MatchNotRegexp, ".+", others, false},
		{labels.MatchNotRegexp, ".*", others, false},
		{labels.MatchNotRegexp, "b", others, true},
	} {
		m := labels.MustNewMatcher(tt.kind, "a", tt.value)
		if got := fits(m, tt.policy); got != tt.want {
			t.Errorf("%s and %s: %t", m, tt.policy, got)
		}
	}
}

func TestWhatIsCountedBeforeParsing(t *testing.T) {
	const costly = `"((a{100}){100}){100}"`
	for _, tt := range []struct {
		name, query string
		limits      Limits
		refused     string // a part of the text, "" = accepted
	}{
		{"brackets", `sum(a)`, Limits{100, 1, 100, 0, 0}, ""},
		{"round in round", `sum((a))`, Limits{100, 1, 100, 0, 0}, "nested too deeply"},
		{"curly in round", `sum(a{b="c"})`, Limits{100, 1, 100, 0, 0}, "nested too deeply"},
		{"square in round", `sum(a[5m])`, Limits{100, 1, 100, 0, 0}, "nested too deeply"},
		{"commas, brackets and names", `clamp(a, 1, 2)`, Limits{100, 9, 5, 0, 0}, ""},
		{"one too many", `clamp(a, 1, 2)`, Limits{100, 9, 4, 0, 0}, "too many terms"},
		{"operators", `1 + 1 + 1`, Limits{100, 9, 1, 0, 0}, "too many terms"},
		{"exponents", `1e3`, Limits{100, 9, 1, 0, 0}, "too many terms"},
		{"bytes", `aaaa`, Limits{3, 9, 9, 0, 0}, "too long"},
		{"a costly regexp", `a{b=~` + costly + `}`, Limits{100, 9, 99, 0, 0}, "too costly"},
		{"not to be matched", `a{b!~` + costly + `}`, Limits{100, 9, 99, 0, 0}, "too costly"},
		{"behind a comment", "a{b=~ # c\n" + costly + `}`, Limits{100, 9, 99, 0, 0}, "too costly"},
		{"equal to one", `a{b=` + costly + `}`, Limits{100, 9, 99, 0, 0}, ""},
	} {
		err := tt.limits.Budget().charge(tt.query)
		if (err == nil) != (tt.refused == "") || err != nil && !strings.Contains(err.Error(), tt.refused) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.refused)
		}
	}
}

func TestWhatABudgetBounds(t *testing.T) {
	for name, c := range map[string]charges{
		"regular expressions":                   {cost: regexcost.Max + 1},
		"terms beside regular expressions":      {cost: regexcost.Max * 3 / 4, terms: 2000},
		"bytes that are added":                  {enforcedBytes: maxEnforcedBytes + 1},
		"bytes of regular expressions":          {enforcedRegexps: maxEnforcedRegexps + 1},
		"how many regular expressions":          {regexps: maxRegexps + 1},
		"the bytes of a text that was kept":     {bytes: 101},
		"the terms of a text that was kept":     {terms: 2001},
		"what a text that was kept would add":   {enforcedBytes: maxEnforcedBytes + 1, bytes: 1},
		"what it costs to compile what is kept": {cost: regexcost.Max + 1, bytes: 1},
	} {
		if (Limits{QueryBytes: 100, QueryDepth: 1, QueryTerms: 2000}).Budget().take(c) {
			t.Errorf("%s: not bounded", name)
		}
	}
	if !(Limits{QueryBytes: 100, QueryDepth: 1, QueryTerms: 2000}).Budget().take(charges{bytes: 100, terms: 2000}) {
		t.Error("what fits is not taken")
	}
}

func TestACallersRegexpsAreNotRunOverEveryName(t *testing.T) {
	var names []string
	for i := range 60 {
		names = append(names, strings.Repeat("x", 200)+string(rune('A'+i)))
	}
	query := `up{tenant_id=~"` + strings.Repeat("a", 1000) + `.*"}`
	if _, err := forTenants(t, intersect, names...).Expression(query, newBudget()); err != nil {
		t.Errorf("where nothing is compared: %v", err)
	}
	_, err := forTenants(t, reject, names...).Expression(query, newBudget())
	if err == nil || !strings.Contains(err.Error(), "too costly for a token with tenants") {
		t.Errorf("where every name is: %v", err)
	}
}

func TestASelectorIsVerified(t *testing.T) {
	e := forTenants(t, intersect, "acme")
	up := labels.MustNewMatcher(labels.MatchEqual, "__name__", "up")
	if got, err := e.spellSelector([]*labels.Matcher{up}, []*labels.Matcher{up}); err == nil {
		t.Errorf("%s goes out", got)
	}
}

func TestFederationOfNothingSelectsNothing(t *testing.T) {
	e := forTenants(t, intersect, "acme")
	for text, want := range map[string]string{`{}`: "", `{a=""}`: `{a="",tenant_id="acme"}`} {
		if got, err := e.FederatedSelector(text, newBudget()); err != nil || got != want {
			t.Errorf("%s: %q %v, want %q", text, got, err, want)
		}
		if got, err := e.Selector(text, newBudget()); err == nil {
			t.Errorf("%s selects %s", text, got)
		}
	}
}

func TestAQueryWithoutDataIsBoundedAndParsed(t *testing.T) {
	for _, tt := range []struct {
		query    string
		maxTerms int
		good     bool
	}{{"a + b", 0, true}, {"a + b", 3, true}, {"a + b", 2, false}, {"a +", 0, false}, {strings.Repeat("a", 101), 0, false}} {
		err := Limits{QueryBytes: 100, QueryDepth: 9, QueryTerms: 9}.Budget().Check(tt.query, tt.maxTerms)
		if (err == nil) != tt.good {
			t.Errorf("%.10s with %d terms: %v", tt.query, tt.maxTerms, err)
		}
	}
}

func TestLongTextsAreNotKept(t *testing.T) {
	c := newTextCache(nil, nil)
	for _, n := range []int{100, cachedText} {
		c.add(textKey{"p", anExpression, strings.Repeat("a", n)}, enforcedText{text: "b"})
	}
	if n := c.texts.Len(); n != 1 {
		t.Errorf("%d texts are kept", n)
	}
}

func TestHowFarAQueryReads(t *testing.T) {
	e := forTenants(t, intersect, "acme")
	hour := Limits{QueryBytes: 1000, QueryDepth: 100, QueryTerms: 1000, MaxRange: time.Hour}
	points := Limits{QueryBytes: 1000, QueryDepth: 100, QueryTerms: 1000, MaxPoints: 10}
	for _, tt := range []struct {
		query  string
		limits Limits
		good   bool
	}{
		{`rate(a[30m])`, hour, true},
		{`rate(a[2h])`, hour, false},
		{`rate(a[30m * 1])`, hour, false},
		{`max_over_time(a[30m:1m * 1])`, hour, false},
		{`max_over_time(rate(a[40m])[40m:1m])`, hour, false},
		{`max_over_time(a[10m:1m])`, points, true},
		{`max_over_time(a[11m:1m])`, points, false},
		{`max_over_time(a[10m:1m * 1])`, points, false},
	} {
		b := tt.limits.Budget()
		if _, err := e.Expression(tt.query, b); err != nil {
			t.Fatal(err)
		}
		err := b.CheckReach()
		if err == nil {
			err = b.CheckEvaluation(0, 0)
		}
		if (err == nil) != tt.good {
			t.Errorf("%s: %v", tt.query, err)
		}
	}
	if diff := cmp.Diff(time.Duration(math.MaxInt64), saturated(math.MaxInt64, 1)); diff != "" {
		t.Error(diff)
	}
}

func TestASpanOfTime(t *testing.T) {
	for _, tt := range []struct {
		longest, span time.Duration
		good          bool
	}{
		{time.Hour, time.Hour, true},
		{time.Hour, time.Hour + time.Millisecond, false},
		{0, math.MaxInt64, true},
	} {
		if err := (Limits{MaxRange: tt.longest}).Budget().CheckSpan(tt.span); (err == nil) != tt.good {
			t.Errorf("%s of %s: %v", tt.span, tt.longest, err)
		}
	}
}

func TestAnEnforcerHoldsItsMatchersAndNoOthers(t *testing.T) {
	equal := func(name, value string) *labels.Matcher { return labels.MustNewMatcher(labels.MatchEqual, name, value) }
	original := []*labels.Matcher{equal("a", "b")}
	e := forTenants(t, intersect, "acme")
	if !e.Holds(original, []*labels.Matcher{equal("a", "b"), equal("tenant_id", "acme")}) {
		t.Error("what it makes is refused")
	}
	if e.Holds(original, []*labels.Matcher{equal("a", "b"), equal("tenant_id", "acme"), equal("c", "d")}) {
		t.Error("a matcher that nobody sent passes")
	}
	if (&Enforcer{}).Holds(nil, nil) {
		t.Error("the zero Enforcer holds its matchers")
	}
}
