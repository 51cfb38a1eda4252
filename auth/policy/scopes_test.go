package policy_test

import (
	"strings"
	"testing"

	"github.com/promfence/promfence/auth/policy"
)

// What one policy grants for writing must not be joined with what another grants for
// reading alone.
func TestAllChosenPoliciesMustGiveTheScopeWrite(t *testing.T) {
	scoped := func(name, tenant string, scopes ...string) policy.Policy {
		p := granting(name, values("tenant_id", tenant))
		p.Scopes = scopes
		return p
	}
	r := rules(t, scoped("writer", "acme", "read", "write"), scoped("second", "globex", "write", "read"), scoped("reader", "initech", "read"), scoped("silent", "umbrella"))
	for chosen, want := range map[string]bool{
		"writer": true, "second": true, "writer,second": true, "reader": false, "silent": false,
		"writer,reader": false, "silent,writer": false, "": false,
	} {
		d, err := r.Decide(token(t, `{}`), narrowing(t, chosen, ""))
		if err != nil || d.Writes != want {
			t.Errorf("%q: writes %t, %v", chosen, d.Writes, err)
		}
	}
	if d, err := r.Decide(token(t, `{}`), narrowing(t, "writer", "initech")); err == nil || d.Writes {
		t.Errorf("a refusal writes: %t, %v", d.Writes, err)
	}
}

func TestScopesThatAreMistakes(t *testing.T) {
	for _, scopes := range [][]string{{}, {"write"}, {"read", "delete"}, {"read", "read"}, {""}, {"Read"}, {"read", "write", "write"}} {
		p := good()
		p.Scopes = scopes
		if _, err := policy.New(options(p)); err == nil || !strings.Contains(err.Error(), "policies[0].scopes: want [read] or [read, write]") {
			t.Errorf("%q: %v", scopes, err)
		}
	}
	for _, scopes := range [][]string{nil, {"read"}, {"read", "write"}, {"write", "read"}} {
		p := good()
		p.Scopes = scopes
		if _, err := policy.New(options(p)); err != nil {
			t.Errorf("%q: %v", scopes, err)
		}
	}
}
