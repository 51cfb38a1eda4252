package proxy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy"
)

// byPolicies is an Authenticator of callers who have shown a token: an operator who
// may see all tenants, or a team confined to two labels.
type byPolicies struct {
	t     *testing.T
	rules *policy.Rules
}

func newPolicies(t *testing.T) byPolicies {
	t.Helper()
	ten := 10
	rules, err := policy.New(policy.Options{
		TenantLabel: "tenant_id", MaxTenants: 20, Audited: true, Entries: []policy.Entry{{Issuer: "idp", AllTenants: true}},
		Limits: policy.Limits{MaxQueryBytes: 1000, MaxQueryTerms: 100},
		Policies: []policy.Policy{
			{Name: "team", Labels: []policy.Label{{Label: "tenant_id", Claim: "tenants"}, {Label: "env", Except: []string{"prod"}}}, Limits: policy.LimitSettings{MaxQueryBytes: &ten}},
			{Name: "agents", When: []policy.Condition{{Claim: "agent", Present: true}}, Labels: []policy.Label{{Label: "tenant_id", Claim: "agent"}}, Scopes: []string{policy.Read, policy.Write}},
			{Name: "operators", Issuers: []string{"idp"}, When: []policy.Condition{{Claim: "sre", Present: true}}, Labels: []policy.Label{{Label: "tenant_id", Any: true}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return byPolicies{t, rules}
}

// Authenticate takes the claims from where a token would be.
func (b byPolicies) Authenticate(r *http.Request) (auth.Identity, error) {
	claims, err := policy.ParseClaims([]byte(r.Header.Get("Authorization")))
	if err != nil {
		return auth.Identity{}, &auth.Error{Reason: auth.Missing, Err: err}
	}
	n, err := policy.ParseNarrowing(r.Header[policy.PolicyHeader], r.Header[policy.TenantHeader], 20)
	if err != nil {
		return auth.Identity{}, &auth.Error{Reason: auth.BadHeader, Err: err}
	}
	d, err := b.rules.Decide(policy.Token{Issuer: "idp", AllTenants: true, Claims: claims}, n)
	if err != nil {
		return auth.Identity{}, &auth.Error{Reason: auth.BadPolicy, Message: err.Error()}
	}
	return auth.Identity{Issuer: "idp", Labels: d.Labels, Policies: d.Policies, AllTenants: d.AllTenants, Writes: d.Writes, Limits: d.Limits, Bucket: d.Bucket}, nil
}

const operator, team = `{"sre":1}`, `{"tenants":["acme","globex"]}`

// ask sends a request as somebody with these claims and headers.
func (f *fence) ask(t *testing.T, path, claims, policies, tenants string) (int, string, http.Header) {
	t.Helper()
	r := f.Request(t, http.MethodGet, path, "")
	r.Header.Set("Authorization", claims)
	for name, value := range map[string]string{policy.PolicyHeader: policies, policy.TenantHeader: tenants} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	a, body := f.Do(t, r)
	return a.StatusCode, body, a.Header
}

func TestExplainShowsTheLabelPolicy(t *testing.T) {
	f := newFence(t, func(o *proxy.Options) { o.Auth, o.Audit = newPolicies(t), &journal{} })
	for _, tt := range []struct {
		name, claims, policies, tenants string
		want                            map[string]any
	}{
		{"a team", team, "", "", map[string]any{
			"policies": []any{"team"}, "selector": `{env!~"prod|",tenant_id=~"acme|globex"}`, "tenants": []any{"acme", "globex"},
			"enforced": `up{env!~"prod|",tenant_id=~"acme|globex"}`,
		}},
		{"narrowed", team, "", "acme", map[string]any{
			"policies": []any{"team"}, "selector": `{env!~"prod|",tenant_id="acme"}`, "tenants": []any{"acme"}, "enforced": `up{env!~"prod|",tenant_id="acme"}`,
		}},
		{"all tenants", operator, "operators", "", map[string]any{
			"policies": []any{"operators"}, "selector": `{tenant_id!=""}`, "tenants": "all", "enforced": `up{tenant_id!=""}`,
		}},
		{"a tenant named all", operator, "operators", "all", map[string]any{
			"policies": []any{"operators"}, "selector": `{tenant_id="all"}`, "tenants": []any{"all"}, "enforced": `up{tenant_id="all"}`,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, body, _ := f.ask(t, "/api/v1/metrics/explain?query=up", tt.claims, tt.policies, tt.tenants)
			var got struct{ Data map[string]any }
			if err := json.Unmarshal([]byte(body), &got); status != 200 || err != nil {
				t.Fatalf("%d %s", status, body)
			}
			tt.want["query"], tt.want["label"] = "up", "tenant_id"
			if diff := cmp.Diff(tt.want, got.Data); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Whoever may see all tenants gets nothing that is not on record before.
func TestAllTenantsAreRecordedBeforeTheUpstreamIsAsked(t *testing.T) {
	for _, tt := range []struct {
		name, claims, policies, tenants string
		want                            string // tenants in the record
		narrowedFrom                    any
		refused                         bool // when it cannot be recorded
	}{
		{"all tenants", operator, "operators", "", `all`, nil, true},
		{"narrowed", operator, "operators", "acme", `[acme]`, "all", true},
		{"a team", team, "", "", `[acme globex]`, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := &journal{}
			f := newFence(t, func(o *proxy.Options) { o.Auth, o.Audit = newPolicies(t), j })
			if status, body, _ := f.ask(t, "/api/v1/query?query=up", tt.claims, tt.policies, tt.tenants); status != 200 {
				t.Fatalf("%d %s", status, body)
			}
			for i, r := range j.records(t, 2) {
				if got := fmt.Sprint(r["tenants"]); got != tt.want || r["narrowed_from"] != tt.narrowedFrom || r["policy"] == nil {
					t.Errorf("record %d: tenants %s, narrowed_from %v, policy %v", i, got, r["narrowed_from"], r["policy"])
				}
			}
			j.mu.Lock()
			j.broken = errors.New("disk full")
			j.mu.Unlock()
			f.Asked()
			for _, path := range []string{"/api/v1/query?query=up", "/api/v1/metrics/explain?query=up"} {
				status, body, _ := f.ask(t, path, tt.claims, tt.policies, tt.tenants)
				asked := len(f.Asked())
				if refused := status == http.StatusServiceUnavailable; refused != tt.refused || refused && asked > 0 {
					t.Errorf("%s without a record: %d %s, %d requests upstream", path, status, body, asked)
				}
			}
		})
	}
	t.Run("without an audit log", func(t *testing.T) {
		f := newFence(t, func(o *proxy.Options) { o.Auth = newPolicies(t) })
		status, _, _ := f.ask(t, "/api/v1/query?query=up", operator, "operators", "")
		if asked := len(f.Asked()); status != http.StatusServiceUnavailable || asked > 0 {
			t.Errorf("%d, %d requests upstream", status, asked)
		}
	})
}

// The limits are those of the policies that were chosen.
func TestAPolicyHasItsOwnLimits(t *testing.T) {
	f := newFence(t, func(o *proxy.Options) { o.Auth, o.Audit = newPolicies(t), &journal{} })
	const query = "/api/v1/query?query=sum(up)%2Bsum(up)"
	if status, body, _ := f.ask(t, query, team, "", ""); status != http.StatusBadRequest {
		t.Errorf("a team: %d %s", status, body)
	}
	if status, body, _ := f.ask(t, query, operator, "operators", ""); status != http.StatusOK {
		t.Errorf("an operator: %d %s", status, body)
	}
}

func TestPoliciesAreCounted(t *testing.T) {
	f := newFence(t, func(o *proxy.Options) { o.Auth, o.Audit = newPolicies(t), &journal{} })
	f.ask(t, "/api/v1/query?query=up", team, "", "")
	f.ask(t, "/api/v1/query?query=(", team, "", "")
	f.ask(t, "/api/v1/query?query=up", operator, "operators", "")
	f.ask(t, "/api/v1/query?query=up", operator, "operators", "acme")
	const want = `
# HELP promfence_all_tenants_requests_total Requests that might see all tenants, narrowed ones included, by each policy that was chosen.
# TYPE promfence_all_tenants_requests_total counter
promfence_all_tenants_requests_total{policy="operators"} 2
# HELP promfence_policy_requests_total Requests with a valid token, by each policy that applied to them and was chosen, and by class of the status code.
# TYPE promfence_policy_requests_total counter
promfence_policy_requests_total{class="2xx",policy="operators"} 2
promfence_policy_requests_total{class="2xx",policy="team"} 1
promfence_policy_requests_total{class="4xx",policy="team"} 1
`
	var err error
	for range 3000 { // requests are counted after their answers
		if err = testutil.GatherAndCompare(f.Metrics, strings.NewReader(want), "promfence_policy_requests_total", "promfence_all_tenants_requests_total"); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error(err)
}

// A caller's headers are no part of what the upstream is asked, and change what caches
// may keep.
func TestNarrowingHeadersAreNotForwarded(t *testing.T) {
	f := newFence(t, func(o *proxy.Options) { o.Auth, o.Audit = newPolicies(t), &journal{} })
	status, _, header := f.ask(t, "/api/v1/query?query=up", team, "team", "acme")
	if vary := header.Get("Vary"); status != 200 || !strings.Contains(vary, policy.PolicyHeader) || !strings.Contains(vary, policy.TenantHeader) {
		t.Errorf("%d, Vary: %s", status, vary)
	}
	for name := range f.Asked()[0].Header {
		if strings.HasPrefix(name, "X-Promfence-") {
			t.Errorf("the upstream got %s", name)
		}
	}
}

// Answers are filtered by the tenant label of the settings: a label policy that was made
// for another one is enforced nowhere.
func TestALabelPolicyForAnotherTenantLabelIsRefused(t *testing.T) {
	for label, status := range map[string]int{"tenant_id": http.StatusOK, "customer": http.StatusInternalServerError} {
		f := newFence(t, func(o *proxy.Options) { o.Auth = fixedLabels(label) })
		resp, body := f.Get(t, "/api/v1/query?query=up")
		if resp.StatusCode != status {
			t.Errorf("%s: %d %s", label, resp.StatusCode, body)
		}
		if asked := len(f.Asked()); (asked > 0) != (status == http.StatusOK) {
			t.Errorf("%s: the upstream was asked %d times", label, asked)
		}
	}
}

// fixedLabels is an Authenticator of acme by a label of its own.
type fixedLabels string

func (l fixedLabels) Authenticate(*http.Request) (auth.Identity, error) {
	labels, err := policy.ForTenants(string(l), "acme")
	return auth.Identity{Issuer: "idp", Labels: labels}, err
}
