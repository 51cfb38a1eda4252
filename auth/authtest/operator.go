package authtest

import (
	"testing"

	"github.com/promfence/promfence/auth/policy"
)

// Operator is what is decided about somebody who may see all tenants, by a policy that
// they chose.
func Operator(t testing.TB) policy.Decision {
	t.Helper()
	rules, err := policy.New(policy.Options{
		TenantLabel: "tenant_id", MaxTenants: 20, Audited: true, Entries: []policy.Entry{{Issuer: "idp", AllTenants: true}},
		Policies: []policy.Policy{{Name: "operators", Issuers: []string{"idp"}, Labels: []policy.Label{{Label: "tenant_id", Any: true}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	chosen, err := policy.ParseNarrowing([]string{"operators"}, nil, 20)
	if err != nil {
		t.Fatal(err)
	}
	d, err := rules.Decide(policy.Token{Issuer: "idp", AllTenants: true}, chosen)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
