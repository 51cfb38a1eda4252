package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/auth/policy"
)

// What a label policy forbids is the complement of each of its labels, and the tenants
// are those that it allows.
func TestForbiddenIsTheComplementOfEachLabel(t *testing.T) {
	missing := func(l policy.Label) policy.Label { l.Missing = true; return l }
	for name, tt := range map[string]struct {
		labels []policy.Label
		want   []string
	}{
		"the tenant alone":       {nil, nil},
		"a value":                {[]policy.Label{values("env", "dev")}, []string{`{tenant_id="acme",env!="dev"}`}},
		"two values":             {[]policy.Label{values("env", "dev", "test")}, []string{`{tenant_id="acme",env!~"dev|test"}`}},
		"a value or none":        {[]policy.Label{missing(values("env", "dev"))}, []string{`{tenant_id="acme",env!~"dev|"}`}},
		"all but one":            {[]policy.Label{except("env", "prod")}, []string{`{tenant_id="acme",env=~"prod|"}`}},
		"all but one, or none":   {[]policy.Label{missing(except("env", "prod"))}, []string{`{tenant_id="acme",env="prod"}`}},
		"two labels":             {[]policy.Label{values("env", "dev"), values("region", "eu")}, []string{`{tenant_id="acme",env!="dev"}`, `{tenant_id="acme",region!="eu"}`}},
		"a value that is quoted": {[]policy.Label{values("env", `a"b`)}, []string{`{tenant_id="acme",env!="a\"b"}`}},
	} {
		t.Run(name, func(t *testing.T) {
			r := rules(t, granting("p", append(tt.labels, values("tenant_id", "acme", "globex"))...))
			d, err := r.Decide(token(t, `{}`), policy.Narrowing{})
			if err != nil {
				t.Fatal(err)
			}
			one, err := d.Labels.ForTenant("acme")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, one.Forbidden()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := one.WithoutTenants(); got != d.Labels.WithoutTenants() {
				t.Errorf("the other labels became %s", got)
			}
			if other, err := d.Labels.ForTenant("initech"); err == nil || !other.IsZero() {
				t.Errorf("another tenant: %s, %v", other, err)
			}
		})
	}
	if one, err := (policy.Labels{}).ForTenant("acme"); err == nil || !one.IsZero() || (policy.Labels{}).Forbidden() != nil {
		t.Errorf("of nothing: %s, %v", one, err)
	}
}
