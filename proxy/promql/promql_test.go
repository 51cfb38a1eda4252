package promql

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/apierr"
)

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

func enforcer(tb testing.TB, rejects bool, l policy.Labels) *Enforcer {
	tb.Helper()
	e, err := (&Enforcers{RejectConflicts: rejects}).For(l)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// forTenants makes an Enforcer that remembers nothing else.
func forTenants(tb testing.TB, rejects bool, names ...string) *Enforcer {
	tb.Helper()
	return enforcer(tb, rejects, tenants(tb, names...))
}

func newBudget() *Budget {
	return Limits{QueryBytes: 64 << 10, QueryDepth: 100, QueryTerms: 2000}.Budget()
}

func TestExpression(t *testing.T) {
	tests := []struct{ name, query, want string }{
		{"a bare metric", `up`, `up{tenant_id="acme"}`},
		{"a rate", `sum(rate(http_requests_total[5m]))`, `sum(rate(http_requests_total{tenant_id="acme"}[5m]))`},
		{"no selector", `1+1`, `1 + 1`},
		{"an aggregation's parameter", `topk(scalar(x), y)`, `topk(scalar(x{tenant_id="acme"}), y{tenant_id="acme"})`},
		{"count_values", `count_values("tenant_id", up)`, `count_values("tenant_id", up{tenant_id="acme"})`},
		{"quantile by an expression", `quantile(scalar(max(x)), y)`, `quantile(scalar(max(x{tenant_id="acme"})), y{tenant_id="acme"})`},
		{"both sides", `a / on (x) group_left () b`, `a{tenant_id="acme"} / on (x) group_left () b{tenant_id="acme"}`},
		{"a subquery", `max_over_time(rate(x[5m])[1h:1m] offset 1d)`, `max_over_time(rate(x{tenant_id="acme"}[5m])[1h:1m] offset 1d)`},
		{"@ and offset", `x @ 1609746000 offset -5m`, `x{tenant_id="acme"} @ 1609746000.000 offset -5m`},
		{"a metric name by matcher", `{__name__=~"up|down"}`, `{__name__=~"up|down",tenant_id="acme"}`},
		{"UTF-8 names", `{"my.metric", "a b"="c"}`, `{"a b"="c",__name__="my.metric",tenant_id="acme"}`},
		{"the caller's own equal matcher", `up{tenant_id="acme"}`, `up{tenant_id="acme"}`},
		{"the same, twice", `up{tenant_id="acme",tenant_id="acme"}`, `up{tenant_id="acme"}`},
		{"somebody else's tenant", `up{tenant_id="globex"}`, `up{tenant_id="acme",tenant_id="globex"}`},
		{"a quoted label name", `up{"tenant_id"="globex"}`, `up{tenant_id="acme",tenant_id="globex"}`},
		{"a regexp for tenants", `up{tenant_id=~".*"}`, `up{tenant_id="acme",tenant_id=~".*"}`},
		{"a negated tenant", `up{tenant_id!="acme"}`, `up{tenant_id!="acme",tenant_id="acme"}`},
		{"no tenant", `up{tenant_id=""}`, `up{tenant_id="",tenant_id="acme"}`},
		{"set operators", `a or b unless c and d`, `a{tenant_id="acme"} or b{tenant_id="acme"} unless c{tenant_id="acme"} and d{tenant_id="acme"}`},
		{"a comment", "up # {tenant_id=\"globex\"}\n", `up{tenant_id="acme"}`},
		{"text that looks like a matcher", `label_replace(up, "a", "{tenant_id=\"globex\"}", "", "")`, `label_replace(up{tenant_id="acme"}, "a", "{tenant_id=\"globex\"}", "", "")`},
		{"absent", `absent(up)`, `absent(up{tenant_id="acme"})`},
		{"Thanos's functions", `xrate(x[5m])`, `xrate(x{tenant_id="acme"}[5m])`},
		{"a function of Prometheus 3.16", `integral(x[5m], 2)`, `integral(x{tenant_id="acme"}[5m], 2)`},
		{"that function without its second argument", `integral(x[5m])`, `integral(x{tenant_id="acme"}[5m])`},
		{"a function of Prometheus 2", `holt_winters(x[5m], scalar(y), 0.5)`, `holt_winters(x{tenant_id="acme"}[5m], scalar(y{tenant_id="acme"}), 0.5)`},
		{"its name of Prometheus 3", `double_exponential_smoothing(x[5m], 0.5, 0.5)`, `double_exponential_smoothing(x{tenant_id="acme"}[5m], 0.5, 0.5)`},
		{"duration expressions", `rate(x[1m * 5])`, `rate(x{tenant_id="acme"}[1m * 5])`},
		{"fill modifiers", `a + fill(0) b`, `a{tenant_id="acme"} + fill (0) b{tenant_id="acme"}`},
		{"extended ranges", `rate(x[5m] anchored)`, `rate(x{tenant_id="acme"}[5m] anchored)`},
		{"a string", `"x"`, `"x"`},
		{"infinity to the power", `Inf ^ up > Inf`, `Inf ^ up{tenant_id="acme"} > +Inf`},
		{"the smallest number", `5e-324 + 1e300`, `5e-324 + 1e+300`},
		{"a duration as a number", `time() - 1609746000s1ms + 1001ms`, `time() - 18631d7h40m1ms + 1s1ms`},
		{"no duration, below zero", `1 / -0s`, `1 / -0s`},
		{"a part of a millisecond more", `sum_over_time(x[0.0015])`, `sum_over_time(x{tenant_id="acme"}[1ms])`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := forTenants(t, intersect, "acme").Expression(tt.query, newBudget())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("enforced (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDurationsAsNumbersKeepTheirValue(t *testing.T) {
	for ms := range 20_000 {
		want := &parser.NumberLiteral{Val: (time.Duration(ms) * time.Millisecond).Seconds(), Duration: true}
		var b strings.Builder
		spell(&b, want)
		got, err := promQL.ParseExpr(b.String())
		if n, ok := got.(*parser.NumberLiteral); err != nil || !ok || !sameNumber(n, want) {
			t.Fatalf("%d ms are spelled %s: %v", ms, b.String(), err)
		}
	}
}

func TestExpressionForSeveralTenants(t *testing.T) {
	got, err := forTenants(t, intersect, "beta", "a.b|c").Expression(`up{tenant_id="beta"}`, newBudget())
	if err != nil {
		t.Fatal(err)
	}
	if want := `up{tenant_id="beta",tenant_id=~"a\\.b\\|c|beta"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestExpressionRefused(t *testing.T) {
	rejecting := forTenants(t, reject, "acme")
	tests := []struct {
		name, query string
		m           *Enforcer
		status      int
		text        string
	}{
		{"nothing", ``, nil, 400, "no expression found"},
		{"a broken query", `sum(`, nil, 400, "1:5: parse error"},
		{"an unknown function", `frob(x)`, nil, 400, "unknown function"},
		{"info", `1 + info(up)`, nil, 400, "group_left"},
		{"info in a parameter", `topk(scalar(info(up)), x)`, nil, 400, "info()"},
		{"info with selectors", `info(up, {tenant_id="globex"})`, nil, 400, "info()"},
		{"every series", `{}`, nil, 400, "non-empty matcher"},
		{"a broken regexp", `up{a=~"("}`, nil, 400, "missing closing"},
		{"too long", `up{a="` + strings.Repeat("x", 64<<10) + `"}`, nil, 400, "limits.max_query_bytes"},
		{"too deep", strings.Repeat("(", 101) + "1" + strings.Repeat(")", 101), nil, 400, "limits.max_query_depth"},
		{"too many terms", strings.Repeat("a+", 2000) + "a", nil, 400, "limits.max_query_terms"},
		{"too many signs", strings.Repeat("-", 3000) + "a", nil, 400, "limits.max_query_terms"},
		{"a dear regexp", `up{a=~"` + strings.Repeat("(.{1000})?", 50) + `"}`, nil, 400, "too costly"},
		{"folded classes", `up{a=~"(?i)` + strings.Repeat(`[\\x{80}-\\x{10ffff}]`, 3) + `"}`, nil, 400, "too costly"},
		{"groups in groups", `up{a=~"` + strings.Repeat("(a|b", 330) + "c" + strings.Repeat(")", 330) + `"}`, nil, 400, "nest fewer groups"},
		{"words of which each begins the next", `up{a=~"(` + chain(350) + `)"}`, nil, 400, "too costly"},
		{"the longest of them first", `up{a=~"(` + chain(-345) + `)"}`, nil, 400, "too costly"},
		{"the same beside what only looks special", `up{a=~"x]|` + chain(340) + `"}`, nil, 400, "too costly"},
		{"a long list for each of many words", `up{a=~"` + strings.Repeat("(a|b)", 8) + strings.Repeat("(c)", 900) + `"}`, nil, 400, "too costly"},
		{"many parts that may be left out", `up{a=~"` + optional(300) + `"}`, nil, 400, "too costly"},
		{"a large class many times", `up{a=~"[` + everySecondRune(2000) + `]{990}"}`, nil, 400, "too costly"},
		{"a property many times", `{` + strings.Repeat("a=~`\\pL{990}`,", 7) + `}`, nil, 400, "too costly"},
		{"times that may be fewer", `{` + strings.Repeat(`a=~"a{0,1000}",`, 38) + `}`, nil, 400, "too costly"},
		{"a costly regexp and many terms", `up{a=~"` + strings.Repeat("a?", 10000) + `"}` + strings.Repeat("^2", 1900), nil, 400, "too costly"},
		{"many duration terms", `a[` + strings.Repeat("1h^", 100) + `1]`, nil, 400, "durations of the query have too many terms"},
		{"small numbers", strings.Repeat("5e-324+", 700) + "1", nil, 400, "limits.max_query_terms"},
		{"less than a millisecond", `up[0.0004]`, nil, 400, "whole milliseconds"},
		{"a step of less", `up[1h:0.0004]`, nil, 400, "whole milliseconds"},
		{"a millisecond that its printer drops", `rate(x[1001ms + 1s])`, nil, 400, "without arithmetic"},
		{"a sign that its printer drops", `up offset +(15s) + 1`, nil, 400, "cannot be narrowed exactly"},
		{"many regexps", `{` + strings.Repeat(`a=~"x",`, 501) + `}`, nil, 400, "too many regular expressions"},
		{"a name that no parser takes as it is printed", `sum by ("NaN") (a)`, nil, 400, `the label name "NaN"`},
		{"such a name between two vectors", `a * on (x) group_left ("without") b`, nil, 400, `the label name "without"`},
		{"many selectors of several tenants", strings.Repeat("a+", 500) + "a", forTenants(t, intersect, "a", "b"), 400, "too many selectors"},
		{"several long tenants", strings.Repeat("a+", 130) + "a", forTenants(t, intersect, strings.Repeat("a", 250), strings.Repeat("b", 250)), 400, "too many selectors"},
		{"a conflict, refused", `up{tenant_id="globex"}`, rejecting, 403, "none of your tenants"},
		{"a conflict by regexp, refused", `up{tenant_id=~"glo.*"}`, rejecting, 403, "none of your tenants"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := tt.m
			if m == nil {
				m = forTenants(t, intersect, "acme")
			}
			got, err := m.Expression(tt.query, newBudget())
			e, ok := errors.AsType[*apierr.Error](err)
			if !ok {
				t.Fatalf("want an error, got %q, %v", got, err)
			}
			if e.Status != tt.status || !strings.Contains(e.Message, tt.text) {
				t.Errorf("got %d %q, want %d and %q in it", e.Status, e.Message, tt.status, tt.text)
			}
		})
	}
}

// What dashboards choose pods by.
func TestRegexpsOfPodsAreNotDear(t *testing.T) {
	var words, deployments []string
	for i := range 20 {
		words = append(words, fmt.Sprintf("workload-%d", i))
	}
	for i := range 8 {
		deployments = append(deployments, fmt.Sprintf("deployment%d-[a-z0-9]+-[a-z0-9]{5}", i))
	}
	m := forTenants(t, intersect, "acme")
	for name, pattern := range map[string]string{
		"of words":       "(" + strings.Join(words, "|") + ")-[a-z0-9]+-[a-z0-9]{5}",
		"of deployments": strings.Join(deployments, "|"),
		"of a set":       strings.Join(words, "-[0-9]+|") + "-[0-9]+",
	} {
		selector := `rate(x{pod=~"` + pattern + `"}[5m])`
		query := strings.Repeat(selector+" + ", 5) + selector
		if _, err := m.Expression(query, newBudget()); err != nil {
			t.Errorf("%s, in six selectors: %v", name, err)
		}
	}
}

// chain is ab, aab, aaab and so on, or the other way round.
func chain(n int) string {
	words := make([]string, max(n, -n))
	for i := range words {
		words[i] = strings.Repeat("a", i+1) + "b"
	}
	if n < 0 {
		slices.Reverse(words)
	}
	return strings.Join(words, "|")
}

// optional is n different characters, each of which may be left out.
func optional(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteRune(rune(0x4e00 + i))
		b.WriteByte('?')
	}
	return b.String()
}

// everySecondRune is n characters of which no two make a range.
func everySecondRune(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteRune(rune(0x3400 + 2*i))
	}
	return b.String()
}

// TestListsOfWordsAreAccepted: Grafana makes these of its variables' values.
func TestListsOfWordsAreAccepted(t *testing.T) {
	list := func(n int, format string) string {
		words := make([]string, n)
		for i := range words {
			words[i] = fmt.Sprintf(format, i)
		}
		return strings.Join(words, "|")
	}
	for name, q := range map[string]string{
		"escaped, in brackets":       `up{instance=~"(` + list(2000, `host-%04d\\.example\\.com:9100`) + `)"}`,
		"escaped, without brackets":  `up{instance=~"` + list(2000, `host-%04d\\.example\\.com:9100`) + `"}`,
		"up to the query's length":   `up{instance=~"(` + list(4300, `host-%04d:9100`) + `)"}`,
		"shorter, up to its length":  `up{instance=~"(` + list(6400, `host-%04d`) + `)"}`,
		"short, up to its length":    `up{pod=~"(` + list(12000, `%d`) + `)"}`,
		"without brackets":           `up{pod=~"` + list(10000, `%d`) + `"}`,
		"with what is around them":   `up{instance=~"(` + list(1000, `host-%04d`) + `):.*"}`,
		"in two variables":           `up{instance=~"(` + list(1000, `host-%04d`) + `)|(` + list(1000, `host-%04d\\.example\\.com`) + `)"}`,
		"paths, each below another":  `up{path=~"(` + list(600, `/a/b/c/d/%[1]d|/a/b/c/d/%[1]d/e|/a/b/c/d/%[1]d/e/f`) + `)"}`,
		"in each of many selectors":  strings.TrimSuffix(strings.Repeat(`up{instance=~"(`+list(100, `host-%04d:9100`)+`)"} + `, 20), "+ "),
		"of other words for each":    `up{job=~"(a|b|c)-(` + list(200, `%d`) + `)", env!~"(dev|test|e2e).*"}`,
		"as authors of rules write":  `up{path!~"/api/v[0-9]+/(users|orders)(/[a-z0-9-]+)?/?", code=~"5..|429", host=~"^(?i:web|db)-[0-9]{1,3}\\..+$", id!~".*[^0-9a-f].*"}`,
		"patterns beside each other": `up{job=~"` + list(500, `.*job-%04d.*`) + `"}`,
	} {
		if _, err := forTenants(t, intersect, "acme").Expression(q, newBudget()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRejectLetsFittingMatchersPass(t *testing.T) {
	got, err := forTenants(t, reject, "acme").Expression(`up{tenant_id=~"acme|globex"}`, newBudget())
	if want := `up{tenant_id="acme",tenant_id=~"acme|globex"}`; err != nil || got != want {
		t.Errorf("got %q, %v; want %s", got, err, want)
	}
}

// escapes returns a selector of an enforced query that does not hold the
// tenant, found by nothing that the code under test uses.
func escapes(tb testing.TB, enforced string) string {
	tb.Helper()
	return lacks(tb, enforced, `tenant_id="acme"`)
}

// lacks returns a selector of a query that does not hold a matcher.
func lacks(tb testing.TB, query, matcher string) string {
	tb.Helper()
	expr, err := promQL.ParseExpr(query)
	if err != nil {
		tb.Fatalf("%q does not parse: %v", query, err)
	}
	for _, ms := range parser.ExtractSelectors(expr) {
		if !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return m.String() == matcher }) {
			return (&parser.VectorSelector{LabelMatchers: ms}).String()
		}
	}
	return ""
}

// promqltestQueries are the expressions in the tests of Prometheus's engine.
func promqltestQueries(tb testing.TB) []string {
	tb.Helper()
	dir, err := exec.CommandContext(tb.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/prometheus/prometheus").Output()
	if err != nil {
		tb.Fatalf("go list: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "promql/promqltest/testdata/*.test"))
	if err != nil || len(files) == 0 {
		tb.Fatalf("no test files: %v", err)
	}
	eval := regexp.MustCompile(`(?m)^\s*eval(?:_\w+)?\s+(?:range from \S+ to \S+ step \S+|instant at \S+)\s+(.+?)\s*$`)
	var queries []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		for _, m := range eval.FindAllStringSubmatch(string(text), -1) {
			queries = append(queries, m[1])
		}
	}
	return queries
}

// TestEveryExpressionOfTheEngine holds the promise over what the authors of
// PromQL try: what parses is enforced everywhere, or is info().
func TestEveryExpressionOfTheEngine(t *testing.T) {
	queries := promqltestQueries(t)
	m := forTenants(t, intersect, "acme")
	enforced := 0
	for _, q := range queries {
		if _, err := promQL.ParseExpr(q); err != nil {
			continue
		}
		got, err := m.Expression(q, newBudget())
		if e, ok := errors.AsType[*apierr.Error](err); ok && e.Status == http.StatusBadRequest && strings.Contains(q, "info") {
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", q, err)
			continue
		}
		enforced++
		if s := escapes(t, got); s != "" {
			t.Errorf("%s: %s escaped as %s", q, s, got)
		}
	}
	t.Logf("%d of %d expressions were enforced", enforced, len(queries))
	if enforced < 1500 {
		t.Errorf("only %d of %d expressions were enforced", enforced, len(queries))
	}
}

func TestSpellIsString(t *testing.T) {
	for _, q := range promqltestQueries(t) {
		expr, err := promQL.ParseExpr(q)
		if err != nil {
			continue
		}
		var b strings.Builder
		if spell(&b, expr); b.String() != expr.String() {
			t.Errorf("spelled %s, want %s", b.String(), expr)
		}
	}
}

// FuzzExpression states the promise: whatever the query, either the upstream is
// not asked, or every selector that it is asked for holds the tenant.
func FuzzExpression(f *testing.F) {
	for _, q := range promqltestQueries(f) {
		f.Add(q)
	}
	m := forTenants(f, intersect, "acme")
	f.Fuzz(func(t *testing.T, q string) {
		got, err := m.Expression(q, newBudget())
		if err == nil {
			if s := escapes(t, got); s != "" {
				t.Errorf("%q: %s escaped as %s", q, s, got)
			}
			return
		}
		// The printer cannot spell every tree, such as x offset ++min_of(step(), 1s) ^ 0:
		// then the verification refuses, which is a 500.
		e, ok := errors.AsType[*apierr.Error](err)
		if !ok || e.Status >= http.StatusInternalServerError && !errors.Is(err, ErrVerify) {
			t.Errorf("%q: %v", q, err)
		}
	})
}
