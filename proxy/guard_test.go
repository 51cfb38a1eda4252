package proxy

import (
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/filter"
	"github.com/promfence/promfence/proxy/promql"
	"github.com/promfence/promfence/proxy/scope"
)

// kind says which of the four ways a row is guarded in, and by which filter.
func (g Guard) kind() string {
	name := ""
	if g.filter != nil {
		full := runtime.FuncForPC(reflect.ValueOf(g.filter).Pointer()).Name()
		name = " " + full[strings.LastIndexByte(full, '.')+1:]
	}
	switch rule := g.rule.(type) {
	case scope.Rule:
		return "narrowed" + name
	case scope.Unnarrowed:
		return "filtered" + name
	case scope.Writing:
		return "writes" + name
	case scope.Dataless:
		return "no tenant data" + name
	default:
		return "unguarded" + name + reflect.TypeOf(rule).String()
	}
}

// A reviewer stops at every row that is not narrowed.
func TestHowRowsAreGuarded(t *testing.T) {
	want := map[string]string{
		"/query": "narrowed", "/query_range": "narrowed", "/query_exemplars": "narrowed Exemplars",
		"/series": "narrowed", "/labels": "narrowed", "/label/{name}/values": "narrowed",
		"/query_explain": "narrowed", "/query_range_explain": "narrowed", "/query_cost": "narrowed", "/query_range_cost": "narrowed",
		"/search/metric_names": "narrowed MetricNames", "/search/label_names": "narrowed", "/search/label_values": "narrowed",
		"/read": "narrowed", "/federate": "narrowed", "/explain": "narrowed",

		"/rules": "filtered Rules", "/alerts": "filtered Alerts", "/metadata": "filtered Metadata",
		"/targets": "filtered Targets", "/targets/metadata": "narrowed TargetsMetadata",

		"alertmanager /alerts": "filtered ActiveAlerts", "alertmanager /alerts/groups": "filtered AlertGroups",
		"alertmanager /receivers": "filtered Receivers", "alertmanager /status": "filtered ServerStatus",
		"alertmanager /silences": "filtered Silences", "alertmanager /silence/{id}": "filtered Silence",
		"alertmanager POST /silences": "writes", "alertmanager DELETE /silence/{id}": "writes",

		"/status/buildinfo": "no tenant data", "/format_query": "no tenant data", "/parse_query": "no tenant data",
	}
	got := map[string]string{}
	for _, row := range Routes {
		name := row.Path
		switch {
		case row.Guard.writes:
			name = "alertmanager " + row.Methods[0] + " " + name
		case row.Alerting():
			name = "alertmanager " + name
		}
		got[name] = row.Guard.kind()
		if row.Guard.body != (row.Path == "/read") {
			t.Errorf("%s: a remote-read body: %t", row.Path, row.Guard.body)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("guards (-want +got):\n%s", diff)
	}
}

func TestAGuardThatNobodyMadeRefuses(t *testing.T) {
	l, err := policy.ForTenants("tenant_id", "acme")
	if err != nil {
		t.Fatal(err)
	}
	e, err := new(promql.Enforcers).For(l)
	if err != nil {
		t.Fatal(err)
	}
	in := func() scope.Input {
		return scope.Input{Enforcer: e, Limits: Limits{QueryBytes: 100, QueryDepth: 10, QueryTerms: 10}.query(), Params: scope.Params{{Name: "query", Value: "up"}}}
	}
	for name, g := range map[string]Guard{
		"none": {}, "a zero rule": narrowed(scope.Rule{}), "a filter that was forgotten": filtered(nil, nil),
		"a zero rule with a filter": both(scope.Rule{}, filter.View.Targets, nil), "a zero rule for no data": holdsNoTenantData(scope.Dataless{}),
		"a zero rule that writes": writes(scope.Writing{}), "a choice without a filter": chosen(scope.AlertFilters(), nil),
		"a silence of nobody's": writes(scope.PostedSilence()),
	} {
		if req, err := g.narrow(in()); err == nil || !req.IsZero() {
			t.Errorf("%s: %v, %v", name, req, err)
		}
	}
	for name, g := range map[string]Guard{
		"narrowed": narrowed(scope.Expression()), "filtered": filtered(filter.View.Targets, nil),
		"both": both(scope.Expression(), filter.View.Exemplars, nil), "no tenant data": holdsNoTenantData(scope.Parsed(0)),
	} {
		if req, err := g.narrow(in()); err != nil || req.IsZero() || req.NeedsFilter() != (name == "filtered") {
			t.Errorf("%s: %v, %v", name, req, err)
		}
	}
}
