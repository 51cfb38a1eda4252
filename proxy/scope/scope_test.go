package scope_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/promql"
	"github.com/promfence/promfence/proxy/scope"
)

func enforcer(t *testing.T, tenants ...string) *promql.Enforcer {
	t.Helper()
	if len(tenants) == 0 {
		tenants = []string{"acme"}
	}
	l, err := policy.ForTenants("tenant_id", tenants...)
	if err != nil {
		t.Fatal(err)
	}
	e, err := new(promql.Enforcers).For(l)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

var limits = promql.Limits{QueryBytes: 64 << 10, QueryDepth: 100, QueryTerms: 2000}

type narrower interface {
	Narrow(in scope.Input) (scope.Request, error)
}

// form reads parameters as a row that knows all of them.
func form(t *testing.T, text string) (ps scope.Params, known []string) {
	t.Helper()
	values, err := url.ParseQuery(text)
	if err != nil {
		t.Fatal(err)
	}
	for name := range values {
		known = append(known, name)
	}
	err = ps.Read([]byte(text), known, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return ps, known
}

func TestRules(t *testing.T) {
	refuse := func(url.Values) error { return apierr.BadData("refused by the check") }
	accept := func(url.Values) error { return nil }
	for _, tt := range []struct {
		name       string
		rule       narrower
		sent, want string // want is the form that is sent, decoded, or a part of a refusal after "!"
	}{
		{"an expression", scope.Expression(), "query=up&time=1", `query=up{tenant_id="acme"}&time=1`},
		{"no expression", scope.Expression(), "time=1", `!invalid parameter "query"`},
		{"a broken one", scope.Expression(), "query=(", `!invalid parameter "query"`},
		{"selectors", scope.Selectors(), "match[]=up&match[]={a=\"b\"}", `match[]={__name__="up",tenant_id="acme"}&match[]={a="b",tenant_id="acme"}`},
		{"none of those required", scope.Selectors(), "limit=1", "!no match[]"},
		{"none, so ours is added", scope.Selectors().Added(), "limit=1", `limit=1&match[]={tenant_id="acme"}`},
		{"one, so none is added", scope.Selectors().Added(), "match[]=up", `match[]={__name__="up",tenant_id="acme"}`},
		{"an empty one", scope.Selectors().Added(), "match[]={}", `!invalid parameter "match[]"`},
		{"none of a federation", scope.Selectors().Federated(), "", ""},
		{"an empty one of a federation", scope.Selectors().Federated(), "match[]={}", ""},
		{"one that matches nothing there", scope.Selectors().Federated(), `match[]={a=""}`, `match[]={a="",tenant_id="acme"}`},
		{"a selector of targets", scope.TargetSelector().LeavingOut(accept, "limit"), `match_target={job="a"}&limit=1`, `match_target={job="a",tenant_id="acme"}`},
		{"no selector of targets", scope.TargetSelector(), `metric=x`, `metric=x&match_target={tenant_id="acme"}`},
		{"an empty selector of targets", scope.TargetSelector(), `match_target={}`, `match_target={tenant_id="acme"}`},
		{"a broken selector of targets", scope.TargetSelector(), `match_target={`, `!invalid parameter "match_target"`},
		{"a selector of targets beside what is refused", scope.TargetSelector().LeavingOut(refuse), `match_target={}`, `!refused by the check`},
		{"what the filter applies is left out", scope.Selectors().Added().LeavingOut(accept, "limit"), `match[]=up&limit=1`, `match[]={__name__="up",tenant_id="acme"}`},
		{"what the filter applies, refused", scope.Selectors().Added().LeavingOut(refuse, "limit"), `match[]=up`, `!refused by the check`},
		{"left to a filter", scope.LeaveToFilter(nil, "limit"), `state=active&limit=1`, `state=active`},
		{"left to a filter, refused", scope.LeaveToFilter(refuse), `state=active`, `!refused by the check`},
		{"a selector that the filter stands behind", scope.LeaveToFilter(nil), `match[]=up`, `match[]={__name__="up"}`},
		{"an empty one", scope.LeaveToFilter(nil), `match[]={}`, `match[]={}`},
		{"one that is none", scope.LeaveToFilter(nil), `match[]=up) or (x`, `!invalid parameter "match[]"`},
		{"no parameters", scope.NoParameters(), `query=up`, ``},
		{"a query to be parsed", scope.Parsed(0), `query=up&x=y`, `query=up`},
		{"nothing to be parsed", scope.Parsed(0), ``, `!invalid parameter "query"`},
		{"a query to be parsed that is too long", scope.Parsed(0), `query=` + strings.Repeat("x", 65<<10), `!limits.max_query_bytes`},
		{"one with too many terms", scope.Parsed(0), `query=` + strings.Repeat("-", 2001) + "x", `!limits.max_query_terms`},
		{"one that is nested too deeply", scope.Parsed(0), `query=` + strings.Repeat("(", 101) + "x", `!limits.max_query_depth`},
		{"one with dear regexps", scope.Parsed(0), "query=x{" + url.QueryEscape(strings.Repeat("a=~`\\pL`,", 20)) + "}", `!too costly`},
		{"one with too many terms to be formatted", scope.Parsed(300), `query=` + strings.Repeat("-", 301) + "x", `!too many terms to be formatted`},
		{"one with just as many", scope.Parsed(300), `query=` + strings.Repeat("-", 299) + "x", `query=` + strings.Repeat("-", 299) + "x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ps, known := form(t, tt.sent)
			req, err := tt.rule.Narrow(scope.Input{Enforcer: enforcer(t), Limits: limits, Known: known, Params: ps})
			if text, refused := strings.CutPrefix(tt.want, "!"); refused {
				if e, ok := errors.AsType[*apierr.Error](err); !ok || e.Status != 400 || !strings.Contains(e.Message, text) || !req.IsZero() {
					t.Errorf("got %q, %v, want a 400 that says %s", req.Form(), err, text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := url.QueryUnescape(req.Form()); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if _, left := tt.rule.(scope.Unnarrowed); req.IsZero() || req.NeedsFilter() != left {
				t.Errorf("zero: %t, needs a filter: %t", req.IsZero(), req.NeedsFilter())
			}
		})
	}
}

func TestZeroValuesAreRefused(t *testing.T) {
	in := func(e *promql.Enforcer) scope.Input {
		return scope.Input{Enforcer: e, Limits: limits, Known: []string{"query"}, Params: scope.Params{{Name: "query", Value: "1"}}}
	}
	for name, rule := range map[string]narrower{
		"a rule": scope.Rule{}, "a rule for a filter": scope.Unnarrowed{}, "a rule for no data": scope.Dataless{},
	} {
		if req, err := rule.Narrow(in(enforcer(t))); err == nil || !req.IsZero() {
			t.Errorf("%s that nobody made: %v, %v", name, req, err)
		}
	}
	for name, rule := range map[string]narrower{
		"an expression": scope.Expression(), "selectors": scope.Selectors().Added(), "remote read": scope.RemoteRead(),
		"left to a filter": scope.LeaveToFilter(nil), "left out": scope.Selectors().Added().LeavingOut(nil), "no data": scope.NoParameters(), "parsed": scope.Parsed(0),
	} {
		for _, e := range []*promql.Enforcer{nil, {}} {
			if req, err := rule.Narrow(in(e)); err == nil || !req.IsZero() {
				t.Errorf("%s for nobody: %v, %v", name, req, err)
			}
		}
	}
	if !(scope.Request{}).IsZero() {
		t.Error("the zero Request passes for one")
	}
}

// A question of promfence's own has no parameters and no limits.
func TestARuleOfNoParametersAsksForWhatTheLabelPolicyAllows(t *testing.T) {
	for name, rule := range map[string]scope.Rule{"match[]": scope.Selectors().Added(), "match_target": scope.TargetSelector()} {
		req, err := rule.Narrow(scope.Input{Enforcer: enforcer(t)})
		if got, _ := req.Param(name); err != nil || got != `{tenant_id="acme"}` || req.NeedsFilter() {
			t.Errorf("%s, %v", req.Form(), err)
		}
	}
}

func TestWhatIsNoSelectorsRuleSaysNothingOfAbsentOnes(t *testing.T) {
	for name, rule := range map[string]scope.Rule{
		"added to an expression": scope.Expression().Added(), "a federated body": scope.RemoteRead().Federated(), "nothing": scope.Rule{}.Added(),
	} {
		in := scope.Input{Enforcer: enforcer(t), Limits: limits, Params: scope.Params{{Name: "query", Value: "up"}}}
		if req, err := rule.Narrow(in); err == nil || !req.IsZero() {
			t.Errorf("%s: %s, %v", name, req.Form(), err)
		}
	}
}

// Lookups get the longest range that they may have, and nothing of that size is
// refused. What lies beyond now is judged as now.
func TestTimesOfLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // now is 946684800
		for _, tt := range []struct{ name, sent, want string }{
			{"no times", "", "start=946681200.000"},
			{"no start", "end=7200", "end=7200&start=3600.000"},
			{"an empty start", "start=&end=7200.5", "end=7200.5&start=3600.500"},
			{"a start that is too early", "start=0&end=7200", "end=7200&start=3600.000"},
			{"one of another spelling", "start=1970-01-01T00:00:00Z&end=1970-01-01T02:00:00Z", "end=1970-01-01T02:00:00Z&start=3600.000"},
			{"a start within", "start=3600.000&end=7200", "start=3600.000&end=7200"},
			{"one that is just too early", "start=3599.999&end=7200", "end=7200&start=3600.000"},
			{"no end", "start=5", "start=946681200.000"},
			{"an end beyond now", "start=0&end=9e9", "end=9e9&start=946681200.000"},
			{"a day that ends with today", "start=946681200&end=946771200", "start=946681200&end=946771200"},
			{"milliseconds", "start=946683000000&end=946684800000", "start=946683000000&end=946684800000"},
			{"an end in milliseconds", "start=946683000&end=946684800000", "start=946683000&end=946684800000"},
			{"a start after the end", "start=7200&end=3600", "start=7200&end=3600"},
			{"a start that none reads", "start=-10y&end=3600", ""},
			{"an end that none reads", "end=now", ""},
			{"an endless start", "start=-Inf", ""},
		} {
			in := scope.Input{Enforcer: enforcer(t), Limits: limits, Known: []string{"match[]", "start", "end"}}
			in.Limits.MaxRange = time.Hour
			in.Params, _ = form(t, "match[]=up&"+tt.sent)
			req, err := scope.Selectors().Narrow(in)
			if tt.want == "" {
				if e, ok := errors.AsType[*apierr.Error](err); !ok || e.Status != 400 {
					t.Errorf("%s: %v", tt.name, err)
				}
				continue
			}
			got, _ := url.QueryUnescape(strings.TrimPrefix(req.Form(), "match%5B%5D=%7B__name__%3D%22up%22%2Ctenant_id%3D%22acme%22%7D&"))
			if err != nil || got != tt.want {
				t.Errorf("%s: %s, %v, want %s", tt.name, got, err, tt.want)
			}
		}
	})
}

// A range query's future counts: an offset makes the past of it.
func TestTimesOfQueries(t *testing.T) {
	for _, tt := range []struct{ sent, refusal string }{
		{"query=up&start=9e9&end=9000003600&step=60", ""},
		{"query=up&start=9e9&end=9000003601&step=60", "the query reads 1h1s, from start to end: at most 1h are accepted (limits.max_range)"},
		{"query=rate(up[5m])&start=0&end=3600&step=60", "the query reads 1h from start to end, and adds a window of 5m (its longest range, the subqueries around it, and its lookback_delta): together at most 1h are accepted (limits.max_range)"},
		{"query=rate(up[5m])&start=0&end=3300&step=60", ""},
	} {
		in := scope.Input{Enforcer: enforcer(t), Limits: limits, Known: []string{"query", "start", "end", "step"}}
		in.Limits.MaxRange = time.Hour
		in.Params, _ = form(t, tt.sent)
		_, err := scope.Expression().Narrow(in)
		if got := fmt.Sprint(err); tt.refusal == "" && err != nil || tt.refusal != "" && got != tt.refusal {
			t.Errorf("%s: %v, want %q", tt.sent, err, tt.refusal)
		}
	}
}

// A list of selectors is long and not deep: each adds to the terms of its request.
func TestAThousandSelectors(t *testing.T) {
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, `match[]={__name__="m_%d",job="a",env!="b"}&`, i)
	}
	narrow := func(sent string, tenants ...string) error {
		in := scope.Input{Enforcer: enforcer(t, tenants...), Limits: limits, Known: []string{"match[]"}}
		in.Params, _ = form(t, sent)
		req, err := scope.Selectors().Federated().Narrow(in)
		if n := strings.Count(req.Form(), "tenant_id%3D"); err == nil && n != len(in.Params) {
			t.Errorf("%d of %d selectors are narrowed", n, len(in.Params))
		}
		return err
	}
	if err := narrow(many.String(), "acme"); err != nil {
		t.Errorf("of one tenant: %v", err)
	}
	long := strings.Repeat("x", 200)
	for _, tt := range []struct {
		name, budget string
		tenants      []string
	}{
		{"two tenants", "more than 500 regular expressions", []string{"a", "b"}},
		{"two long ones", "more than 65536 bytes", []string{long, long + "y"}},
		{"one of a long name", "", []string{long}},
	} {
		err := narrow(many.String(), tt.tenants...)
		if e, ok := errors.AsType[*apierr.Error](err); tt.budget == "" && err != nil || tt.budget != "" && (!ok || e.Status != 400 || !strings.Contains(e.Message, tt.budget)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.budget)
		}
	}
	if err := narrow(`match[]={a="`+strings.Repeat(`",b="`, 700)+`"}`, "acme"); err == nil || !strings.Contains(err.Error(), "limits.max_query_terms") {
		t.Errorf("one selector of many terms: %v", err)
	}
}
