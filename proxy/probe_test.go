package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/promfence/promfence/proxy"
)

// A policyUpstream reads X-Prom-Label-Policy as its documentation says: entries are
// separated by commas, nothing is trimmed, and a tenant of X-Scope-OrgID without an
// entry is not restricted. Each of its tenants has a series for every environment.
type policyUpstream struct {
	t       *testing.T
	ignores string // the tenant for which it does not read the header
	fails   string // what it answers to every probe instead
	status  int    // and with which status

	mu      sync.Mutex
	probes  map[string]int // by what X-Scope-OrgID named
	queries []string
}

func (u *policyUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.FormValue("query")
	tenants := strings.Split(r.Header.Get("X-Scope-OrgID"), "|")
	u.mu.Lock()
	isProbe := strings.HasPrefix(query, "group(")
	if isProbe {
		u.probes[r.Header.Get("X-Scope-OrgID")]++
	} else {
		u.queries = append(u.queries, query)
	}
	u.mu.Unlock()
	if isProbe && u.fails != "" {
		w.WriteHeader(u.status)
		_, _ = io.WriteString(w, u.fails)
		return
	}
	var found []string
	for _, tenant := range tenants {
		for _, env := range []string{"dev", "prod"} {
			if u.shows(tenant, env, r.Header.Get("X-Prom-Label-Policy"), query) {
				found = append(found, fmt.Sprintf(`{"metric":{"tenant_id":%q,"env":%q},"value":[1,"1"]}`, tenant, env))
			}
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[%s]}}`, strings.Join(found, ","))
}

// shows holds a series against the header and against the selectors of a query.
func (u *policyUpstream) shows(tenant, env, header, query string) bool {
	series := labels.FromStrings("tenant_id", tenant, "env", env)
	for entry := range strings.SplitSeq(header, ",") {
		name, selector, _ := strings.Cut(entry, ":")
		if name != tenant || tenant == u.ignores {
			continue
		}
		selector, err := url.PathUnescape(selector)
		if err != nil {
			u.t.Errorf("the entry %q: %v", entry, err)
		}
		if !u.matches(series, selector) {
			return false
		}
	}
	return u.matches(series, query)
}

func (u *policyUpstream) matches(series labels.Labels, query string) bool {
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		u.t.Errorf("%q: %v", query, err)
		return false
	}
	for _, selector := range parser.ExtractSelectors(expr) {
		if !slices.ContainsFunc(selector, func(m *labels.Matcher) bool { return m.Name != "__name__" && !m.Matches(series.Get(m.Name)) }) {
			return true
		}
	}
	return false
}

func newPolicyUpstream(t *testing.T, u *policyUpstream) *fence {
	t.Helper()
	u.t, u.probes = t, map[string]int{}
	server := httptest.NewServer(u)
	t.Cleanup(server.Close)
	return newFence(t, func(o *proxy.Options) {
		o.Auth, o.Audit = newPolicies(t), &journal{}
		o.TenantHeader, o.LabelPolicy = "X-Scope-OrgID", true
		var err error
		if o.Upstream, err = url.Parse(server.URL); err != nil {
			t.Fatal(err)
		}
	})
}

const probesMetric = "promfence_label_policy_probes_total"

func (f *fence) wantProbes(t *testing.T, held, leaked, failed int) {
	t.Helper()
	want := fmt.Sprintf(`
# HELP %[1]s Questions for what a tenant's label policy forbids, by what the upstream showed: held, leaked or failed.
# TYPE %[1]s counter
%[1]s{result="failed"} %[2]d
%[1]s{result="held"} %[3]d
%[1]s{result="leaked"} %[4]d
`, probesMetric, failed, held, leaked)
	if err := testutil.GatherAndCompare(f.Metrics, strings.NewReader(want), probesMetric); err != nil {
		t.Error(err)
	}
}

// Each tenant is probed once, by itself, before its first request; and PromQL is
// narrowed as well.
func TestAnUpstreamThatHoldsTheLabelPolicyIsAsked(t *testing.T) {
	u := &policyUpstream{}
	f := newPolicyUpstream(t, u)
	for range 3 {
		status, body, _ := f.ask(t, "/api/v1/query?query=up", team, "", "")
		if status != 200 || !strings.Contains(body, `"tenant_id":"acme","env":"dev"`) || !strings.Contains(body, `"globex"`) || strings.Contains(body, "prod") {
			t.Fatalf("%d %s", status, body)
		}
	}
	if fmt.Sprint(u.probes) != "map[acme:1 globex:1]" {
		t.Errorf("the probes are %v", u.probes)
	}
	if want := `up{env!~"prod|",tenant_id=~"acme|globex"}`; len(u.queries) != 3 || u.queries[0] != want {
		t.Errorf("the queries are %q, want %s", u.queries, want)
	}
	f.wantProbes(t, 2, 0, 0)
	if err := f.Proxy.Ready(); err != nil {
		t.Error(err)
	}
}

// The upstream's other tenants go on.
func TestAnUpstreamThatIgnoresTheLabelPolicyIsNotAsked(t *testing.T) {
	u := &policyUpstream{ignores: "globex"}
	f := newPolicyUpstream(t, u)
	for range 2 {
		status, body, _ := f.ask(t, "/api/v1/query?query=up", team, "", "")
		if status != http.StatusBadGateway || strings.Contains(body, "globex") {
			t.Errorf("%d %s", status, body)
		}
	}
	if status, body, _ := f.ask(t, "/api/v1/query?query=up", team, "", "globex"); status != http.StatusBadGateway {
		t.Errorf("globex alone: %d %s", status, body)
	}
	if len(u.queries) > 0 {
		t.Errorf("the upstream was asked %q", u.queries)
	}
	if status, body, _ := f.ask(t, "/api/v1/query?query=up", team, "", "acme"); status != 200 {
		t.Errorf("acme: %d %s", status, body)
	}
	f.wantProbes(t, 1, 1, 0)
	if log := f.Log.String(); !strings.Contains(log, `"tenant":"globex"`) || !strings.Contains(log, "was not seen to enforce X-Prom-Label-Policy") {
		t.Errorf("the log: %s", log)
	}
	if err := f.Proxy.Ready(); err != nil {
		t.Errorf("readiness depends on the upstream: %v", err)
	}
}

// What is no whole, empty answer says nothing about the upstream.
func TestAProbeThatFailsRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		answer string
	}{
		"an error":              {500, `{"status":"success","data":{"result":[]}}`},
		"not found":             {404, `{"status":"success","data":{"result":[]}}`},
		"nothing":               {200, " "},
		"no JSON":               {200, "<html>"},
		"an answer that is cut": {200, `{"status":"success","data":{"result":[`},
		"no result":             {200, `{"status":"success","data":{}}`},
		"a list":                {200, `{"status":"success","data":[]}`},
		"no success":            {200, `{"status":"error","data":{"result":[]}}`},
	} {
		t.Run(name, func(t *testing.T) {
			u := &policyUpstream{status: tt.status, fails: tt.answer}
			f := newPolicyUpstream(t, u)
			if status, body, _ := f.ask(t, "/api/v1/query?query=up", team, "", "acme"); status != http.StatusBadGateway || len(u.queries) > 0 {
				t.Errorf("%d %s, and the upstream was asked %q", status, body, u.queries)
			}
			f.wantProbes(t, 0, 0, 1)
		})
	}
}

// Who is confined to tenants alone is told to the upstream as before.
func TestTenantsAloneNeedNoProbe(t *testing.T) {
	u := &policyUpstream{}
	f := newPolicyUpstream(t, u)
	if status, body, _ := f.ask(t, "/api/v1/query?query=up", `{"agent":"acme"}`, "", ""); status != 200 || !strings.Contains(body, "prod") {
		t.Errorf("%d %s", status, body)
	}
	if len(u.probes) > 0 {
		t.Errorf("the probes are %v", u.probes)
	}
}

// Requests that come at the same time wait for one probe.
func TestOneProbeOfATenantIsInFlight(t *testing.T) {
	u := &policyUpstream{}
	f := newPolicyUpstream(t, u)
	var asking sync.WaitGroup
	for range 20 {
		asking.Go(func() {
			if status, body, _ := f.ask(t, "/api/v1/query?query=up", team, "", "acme"); status != 200 {
				t.Errorf("%d %s", status, body)
			}
		})
	}
	asking.Wait()
	if u.probes["acme"] != 1 || len(u.queries) != 20 {
		t.Errorf("the probes are %v, and %d queries", u.probes, len(u.queries))
	}
}
