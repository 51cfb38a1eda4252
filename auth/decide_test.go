package auth_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/auth/policy"
)

// ask is a request with a token and more headers.
func ask(t *testing.T, token string, header ...string) *http.Request {
	t.Helper()
	r := bearer(t, token)
	for i := 0; i < len(header); i += 2 {
		r.Header[header[i]] = append(r.Header[header[i]], header[i+1])
	}
	return r
}

// outcome is the label policy that a request gets, or the reason why it gets none.
func outcome(a *auth.Authenticator, r *http.Request) string {
	id, err := a.Authenticate(r)
	if e, ok := errors.AsType[*auth.Error](err); ok {
		if !id.Labels.IsZero() || !id.Tenants.IsZero() || id.Policies != nil {
			return "refused, and yet an identity"
		}
		return string(e.Reason)
	}
	return id.Labels.String()
}

// Headers that ask for less, where tokens name their tenants.
func TestACallerAsksForLess(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	a := fixedKeys(t, i, nil)
	token := i.Token(t, []string{"acme", "globex"}, nil)
	const both = `{tenant_id=~"acme|globex"}`
	for range 2 { // the second time from the cache
		for _, tt := range []struct {
			name   string
			header []string
			want   string
		}{
			{"no header", nil, both},
			{"one tenant", []string{"X-Promfence-Tenant", "acme"}, `{tenant_id="acme"}`},
			{"the other tenant", []string{"X-Promfence-Tenant", "globex"}, `{tenant_id="globex"}`},
			{"both", []string{"X-Promfence-Tenant", "globex, acme"}, both},
			{"somebody else's", []string{"X-Promfence-Tenant", "initech"}, "policy"},
			{"one and somebody else's", []string{"X-Promfence-Tenant", "acme,initech"}, "policy"},
			{"a policy where there are none", []string{"X-Promfence-Policy", "acme"}, "policy"},
			{"two lines", []string{"X-Promfence-Tenant", "acme", "X-Promfence-Tenant", "acme"}, "header"},
			{"an empty header", []string{"X-Promfence-Tenant", ""}, "header"},
			{"an empty policy", []string{"X-Promfence-Policy", ""}, "header"},
			{"a misspelled header", []string{"X-Promfence-Tenants", "acme"}, "header"},
			{"the prefix alone", []string{"X-Promfence-", "acme"}, "header"},
			{"a header in capitals", []string{"X-PROMFENCE-TENANT", "acme"}, "header"},
			{"a header that a hop was told to remove", []string{"X-Promfence-Tenant", "acme", "Connection", "keep-alive, x-promfence-tenant"}, "header"},
			{"and that it has removed", []string{"Connection", "X-Promfence-Tenant"}, "header"},
			{"on another line", []string{"Connection", "keep-alive", "Connection", "X-PROMFENCE-POLICY"}, "header"},
			{"another header in Connection", []string{"Connection", "X-Other"}, both},
			{"a header with another prefix", []string{"X-Promfenced", "acme"}, both},
		} {
			if got := outcome(a, ask(t, token, tt.header...)); got != tt.want {
				t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
			}
		}
	}
}

// What is wrong with a header is told only to who has shown a token.
func TestTheTokenIsLookedAtBeforeTheHeaders(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	a := fixedKeys(t, i, nil)
	expired := i.Token(t, "acme", map[string]any{"exp": 1})
	if got := outcome(a, ask(t, expired, "X-Promfence-Tenants", "acme")); got != "expired" {
		t.Errorf("got %s", got)
	}
	if got := outcome(a, with(t, "X-Promfence-Tenants", "acme")); got != "missing" {
		t.Errorf("without a token: got %s", got)
	}
}

// A narrowed identity is counted by its whole token's tenants.
func TestNarrowingChangesNoBucket(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	a := fixedKeys(t, i, func(o *auth.Options) { o.Limits.RequestsPerSecond = 7 })
	token := i.Token(t, []string{"acme", "globex"}, nil)
	whole, err := a.Authenticate(ask(t, token))
	if err != nil || whole.Bucket == "" || whole.Limits.Burst != 7 {
		t.Fatalf("bucket %q, limits %+v, %v", whole.Bucket, whole.Limits, err)
	}
	part, err := a.Authenticate(ask(t, token, "X-Promfence-Tenant", "acme"))
	if err != nil || part.Bucket != whole.Bucket || part.Limits != whole.Limits {
		t.Errorf("another bucket or other limits: %+v, %v", part, err)
	}
	if names := part.Tenants.Names(); len(names) != 1 || names[0] != "acme" {
		t.Errorf("the tenants are still %q", names)
	}
}

// The upstream's tenant header is held against what is left.
func TestTheTenantHeaderCarriesTheNarrowedTenant(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	a := fixedKeys(t, i, func(o *auth.Options) { o.TenantHeader = "THANOS-TENANT" })
	token := i.Token(t, []string{"acme", "a|b"}, nil)
	for tenant, want := range map[string]string{"acme": `{tenant_id="acme"}`, "acme,a%7Cb": "tenant", "a%7Cb": "tenant"} {
		if got := outcome(a, ask(t, token, "X-Promfence-Tenant", tenant)); got != want {
			t.Errorf("%s: got %s, want %s", tenant, got, want)
		}
	}
	if got := outcome(a, ask(t, token)); got != "tenant" {
		t.Errorf("not narrowed: got %s", got)
	}
}

// withPolicies is an authenticator with two policies: teams by group, and operators
// who may see all tenants.
func withPolicies(t *testing.T, i *authtest.Issuer, change func(*auth.Options)) *auth.Authenticator {
	t.Helper()
	rules, err := policy.New(policy.Options{
		TenantLabel: "tenant_id", MaxTenants: 20, Audited: true,
		Entries: []policy.Entry{{Issuer: i.URL, Audiences: []string{authtest.Audience}, AllTenants: true}},
		Policies: []policy.Policy{
			{Name: "teams", Issuers: []string{i.URL}, Audiences: []string{authtest.Audience}, Labels: []policy.Label{
				{Label: "tenant_id", Claim: "groups", StripPrefix: "/tenants/"}, {Label: "env", Except: []string{"prod"}},
			}},
			{Name: "operators", Issuers: []string{i.URL}, When: []policy.Condition{{Claim: "groups", AnyOf: []string{"sre"}}}, Labels: []policy.Label{
				{Label: "tenant_id", Any: true},
			}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return fixedKeys(t, i, func(o *auth.Options) {
		o.Policies, o.AllowAllTenants = rules, true
		if change != nil {
			change(o)
		}
	})
}

func TestPolicies(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	a := withPolicies(t, i, nil)
	member := i.Token(t, "evil", map[string]any{"groups": []string{"/tenants/acme", "/tenants/globex", "/x"}})
	operator := i.Token(t, "evil", map[string]any{"groups": []string{"/tenants/acme", "sre"}})
	nobody := i.Token(t, "evil", nil)
	for range 2 { // the second time from the cache
		for _, tt := range []struct {
			name, token string
			header      []string
			want        string
		}{
			{"by group, not by tenant_id", member, nil, `{tenant_id=~"acme|globex",env!~"prod|"}`},
			{"narrowed", member, []string{"X-Promfence-Tenant", "globex"}, `{tenant_id="globex",env!~"prod|"}`},
			{"the policy named", member, []string{"X-Promfence-Policy", "teams"}, `{tenant_id=~"acme|globex",env!~"prod|"}`},
			{"a policy that does not apply", member, []string{"X-Promfence-Policy", "operators"}, "policy"},
			{"no policy applies", nobody, nil, "policy"},
			{"an operator at first sight", operator, nil, `{tenant_id="acme",env!~"prod|"}`},
			{"an operator by name", operator, []string{"X-Promfence-Policy", "operators"}, `{tenant_id!=""}`},
			{"an operator who looks at one", operator, []string{"X-Promfence-Policy", "operators", "X-Promfence-Tenant", "initech"}, `{tenant_id="initech"}`},
		} {
			if got := outcome(a, ask(t, tt.token, tt.header...)); got != tt.want {
				t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
			}
		}
	}
	id, err := a.Authenticate(ask(t, operator, "X-Promfence-Policy", "operators"))
	if err != nil || !id.AllTenants || !id.Tenants.IsZero() || fmt.Sprint(id.Policies) != "[operators]" {
		t.Errorf("got %+v, %v", id, err)
	}
	want := `
# HELP promfence_policy_left_out_values_total Values of claims that a policy could not use for a label, in tokens that were not verified before.
# TYPE promfence_policy_left_out_values_total counter
promfence_policy_left_out_values_total{label="tenant_id",policy="teams"} 8
`
	if err := testutil.CollectAndCompare(a, strings.NewReader(want), "promfence_policy_left_out_values_total"); err != nil {
		t.Error(err)
	}
}

func TestAllTenantsNeedTheIssuersConsent(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	operator := i.Token(t, nil, map[string]any{"groups": []string{"sre"}})
	all := []string{"X-Promfence-Policy", "operators"}
	if got := outcome(withPolicies(t, i, func(o *auth.Options) { o.AllowAllTenants = false }), ask(t, operator, all...)); got != "policy" {
		t.Errorf("without consent: got %s", got)
	}
	if got := outcome(withPolicies(t, i, func(o *auth.Options) { o.TenantHeader = "X-Scope-OrgID" }), ask(t, operator, all...)); got != "tenant" {
		t.Errorf("with a tenant header: got %s", got)
	}
	narrowed := append(all, "X-Promfence-Tenant", "acme")
	if got := outcome(withPolicies(t, i, func(o *auth.Options) { o.TenantHeader = "X-Scope-OrgID" }), ask(t, operator, narrowed...)); got != `{tenant_id="acme"}` {
		t.Errorf("with a tenant header and narrowed: got %s", got)
	}
}

// A token for another audience of the same entry gets no policy of this one.
func TestAPolicyIsForTheAudienceThatWasMeant(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	member := i.Token(t, nil, map[string]any{"aud": []string{"other", authtest.Audience}, "groups": []string{"/tenants/acme"}})
	if got := outcome(withPolicies(t, i, nil), ask(t, member)); got != `{tenant_id="acme",env!~"prod|"}` {
		t.Errorf("got %s", got)
	}
	anybody := func(o *auth.Options) { o.Audience, o.InsecureAnyAudience = nil, true }
	if got := outcome(withPolicies(t, i, anybody), ask(t, member)); got != "policy" {
		t.Errorf("with any audience: got %s", got)
	}
}
