package scope_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/promql"
	"github.com/promfence/promfence/proxy/scope"
)

func enforcer(t *testing.T) *promql.Enforcer {
	t.Helper()
	l, err := policy.ForTenants("tenant_id", "acme")
	if err != nil {
		t.Fatal(err)
	}
	e, err := promql.NewEnforcers(promql.Options{}).For(l)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

var limits = scope.Limits{BodyBytes: 1 << 20, Limits: promql.Limits{QueryBytes: 64 << 10, QueryDepth: 100, QueryTerms: 2000}}

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
	ps, err = scope.ReadParams([]byte(text), known)
	if err != nil {
		t.Fatal(err)
	}
	return ps, known
}

func TestRules(t *testing.T) {
	refuse := func(url.Values) error { return apierr.BadData("refused by the check") }
	accept := func(url.Values) error { return nil }
	many := strings.TrimSuffix(strings.Repeat("match[]=up&", 101), "&")
	for _, tt := range []struct {
		name       string
		rule       narrower
		sent, want string // want is the form that is sent, decoded, or a part of a refusal after "!"
	}{
		{"an expression", scope.Expression(), "query=up&time=1", `query=up{tenant_id="acme"}&time=1`},
		{"no expression", scope.Expression(), "time=1", `!invalid parameter "query"`},
		{"a broken one", scope.Expression(), "query=(", `!invalid parameter "query"`},
		{"selectors", scope.Selectors(scope.Required), "match[]=up&match[]={a=\"b\"}", `match[]={__name__="up",tenant_id="acme"}&match[]={a="b",tenant_id="acme"}`},
		{"none of those required", scope.Selectors(scope.Required), "limit=1", "!no match[]"},
		{"none, so ours is added", scope.Selectors(scope.Added), "limit=1", `limit=1&match[]={tenant_id="acme"}`},
		{"one, so none is added", scope.Selectors(scope.Added), "match[]=up", `match[]={__name__="up",tenant_id="acme"}`},
		{"an empty one", scope.Selectors(scope.Added), "match[]={}", `!invalid parameter "match[]"`},
		{"none of a federation", scope.Selectors(scope.Federated), "", ""},
		{"an empty one of a federation", scope.Selectors(scope.Federated), "match[]={}", ""},
		{"one that matches nothing there", scope.Selectors(scope.Federated), `match[]={a=""}`, `match[]={a="",tenant_id="acme"}`},
		{"too many selectors", scope.Selectors(scope.Required), many, "!too many match[]"},
		{"a selector of targets", scope.TargetSelector(accept), `match_target={job="a"}&limit=1`, `match_target={job="a",tenant_id="acme"}`},
		{"no selector of targets", scope.TargetSelector(accept), `metric=x`, `metric=x&match_target={tenant_id="acme"}`},
		{"an empty selector of targets", scope.TargetSelector(accept), `match_target={}`, `match_target={tenant_id="acme"}`},
		{"a broken selector of targets", scope.TargetSelector(accept), `match_target={`, `!invalid parameter "match_target"`},
		{"a selector of targets beside what is refused", scope.TargetSelector(refuse), `match_target={}`, `!refused by the check`},
		{"what the filter applies is left out", scope.Selectors(scope.Added).LeavingOut(accept, "limit"), `match[]=up&limit=1`, `match[]={__name__="up",tenant_id="acme"}`},
		{"what the filter applies, refused", scope.Selectors(scope.Added).LeavingOut(refuse, "limit"), `match[]=up`, `!refused by the check`},
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
		"an expression": scope.Expression(), "selectors": scope.Selectors(scope.Added), "remote read": scope.RemoteRead(),
		"left to a filter": scope.LeaveToFilter(nil), "left out": scope.Selectors(scope.Added).LeavingOut(nil), "no data": scope.NoParameters(), "parsed": scope.Parsed(0),
	} {
		for _, e := range []*promql.Enforcer{nil, {}} {
			if req, err := rule.Narrow(in(e)); err == nil || !req.IsZero() {
				t.Errorf("%s for nobody: %v, %v", name, req, err)
			}
		}
	}
	if req, err := scope.Everything(&promql.Enforcer{}, "match[]"); err == nil || !req.IsZero() {
		t.Errorf("everything of nobody: %v, %v", req, err)
	}
	if !(scope.Request{}).IsZero() {
		t.Error("the zero Request passes for one")
	}
}

func TestEverythingIsWhatTheLabelPolicyAllows(t *testing.T) {
	req, err := scope.Everything(enforcer(t), "match_target")
	if got, _ := req.Param("match_target"); err != nil || got != `{tenant_id="acme"}` || req.NeedsFilter() {
		t.Errorf("%s, %v", req.Form(), err)
	}
}

// Rows that look up series get the longest range that they may have.
func TestTimesThatAreLeftOut(t *testing.T) {
	in := scope.Input{Enforcer: enforcer(t), Limits: limits, Known: []string{"match[]", "start", "end"}}
	in.Limits.MaxRange = time.Hour
	in.Params = scope.Params{{Name: "match[]", Value: "up"}, {Name: "end", Value: "7200"}}
	req, err := scope.Selectors(scope.Required).Narrow(in)
	if start, _ := req.Param("start"); err != nil || start != "3600.000" {
		t.Errorf("from %q, %v", start, err)
	}
	in.Params = scope.Params{{Name: "match[]", Value: "up"}, {Name: "start", Value: "0"}, {Name: "end", Value: "7200"}}
	if _, err := scope.Selectors(scope.Required).Narrow(in); err == nil || !strings.Contains(err.Error(), "limits.max_range") {
		t.Errorf("two hours: %v", err)
	}
}
