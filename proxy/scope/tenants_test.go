package scope_test

import (
	"testing"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/scope"
)

// labelPolicy is that of a token with these tenants, confined by other labels.
func labelPolicy(t *testing.T, tenants []string, others ...policy.Label) policy.Labels {
	t.Helper()
	tenant := policy.Label{Label: "tenant_id", Values: tenants}
	if tenants == nil {
		tenant = policy.Label{Label: "tenant_id", Any: true}
	}
	named := false
	rules, err := policy.New(policy.Options{
		TenantLabel: "tenant_id", MaxTenants: 20, Audited: true, Entries: []policy.Entry{{Issuer: "idp", AllTenants: true}},
		Policies: []policy.Policy{{Name: "p", Issuers: []string{"idp"}, OnlyWhenNamed: &named, Labels: append(others, tenant)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := rules.Decide(policy.Token{Issuer: "idp", AllTenants: true}, policy.Narrowing{})
	if err != nil {
		t.Fatal(err)
	}
	return d.Labels
}

var (
	env     = policy.Label{Label: "env", Except: []string{"prod"}}
	awkward = policy.Label{Label: "region", Values: []string{"a,b:c d", `e"f%`}}
)

// One header line, an entry for each tenant, joined by a comma without a space.
func TestTenantHeaders(t *testing.T) {
	const refused = "!"
	for name, tt := range map[string]struct {
		labels           policy.Labels
		tenants, entries string
	}{
		"a tenant alone":             {labelPolicy(t, []string{"acme"}), "acme", ""},
		"tenants alone":              {labelPolicy(t, []string{"globex", "acme"}), "acme|globex", ""},
		"a tenant and a label":       {labelPolicy(t, []string{"acme"}, env), "acme", "acme:%7Benv%21~%22prod%7C%22%7D"},
		"an entry for every tenant":  {labelPolicy(t, []string{"globex", "acme"}, env), "acme|globex", "acme:%7Benv%21~%22prod%7C%22%7D,globex:%7Benv%21~%22prod%7C%22%7D"},
		"commas, colons and spaces":  {labelPolicy(t, []string{"acme"}, awkward), "acme", "acme:%7Bregion=~%22a%2Cb:c%20d%7Ce%5C%22f%25%22%7D"},
		"all tenants":                {labelPolicy(t, nil), refused, ""},
		"all tenants and a label":    {labelPolicy(t, nil, env), refused, ""},
		"a tenant that would be two": {labelPolicy(t, []string{"a|b"}, env), refused, ""},
		"a tenant with a comma":      {labelPolicy(t, []string{"acme", "a,b"}, env), refused, ""},
		"a tenant with a colon":      {labelPolicy(t, []string{"a:b"}, env), refused, ""},
		"a tenant with a space":      {labelPolicy(t, []string{"a b"}), refused, ""},
		"a tenant that is a folder":  {labelPolicy(t, []string{".."}), refused, ""},
		"nobody":                     {policy.Labels{}, refused, ""},
	} {
		t.Run(name, func(t *testing.T) {
			tenants, others, err := scope.TenantHeaders(tt.labels)
			entries := others.Get("X-Prom-Label-Policy")
			if tt.tenants == refused {
				if err == nil || tenants != "" || entries != "" {
					t.Errorf("%q, %q, %v", tenants, entries, err)
				}
				return
			}
			if err != nil || tenants != tt.tenants || entries != tt.entries {
				t.Errorf("got  %q, %q, %v\nwant %q, %q", tenants, entries, err, tt.tenants, tt.entries)
			}
		})
	}
}

func TestForbiddenIsAskedForAndMustNotStream(t *testing.T) {
	req, found := scope.Forbidden(labelPolicy(t, []string{"acme"}, env, awkward))
	query, _ := req.Param("query")
	const want = `group({tenant_id="acme",env=~"prod|"}) or group({tenant_id="acme",region!~"a,b:c d|e\"f%"})`
	if !found || !req.NeedsFilter() || query != want {
		t.Errorf("%t, needs a filter %t\ngot  %s\nwant %s", found, req.NeedsFilter(), query, want)
	}
	for _, l := range []policy.Labels{{}, labelPolicy(t, []string{"acme"})} {
		if req, found := scope.Forbidden(l); found || !req.IsZero() {
			t.Errorf("%s forbids %s", l, req.Form())
		}
	}
}
