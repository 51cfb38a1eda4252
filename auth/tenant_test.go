package auth_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/auth"
)

func TestParseTenant(t *testing.T) {
	if got, err := auth.ParseTenant(" acme "); err != nil || got.String() != " acme " {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := auth.ParseTenant("acme\n"); err == nil || got != (auth.Tenant{}) || strings.Contains(err.Error(), "acme") {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestTenants(t *testing.T) {
	set, err := auth.ParseTenants("globex", "acme", "globex")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"acme", "globex"}, set.Names()); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	set.Names()[0] = "evil"
	if set.Names()[0] != "acme" || set.Has("evil") || set.Has("ACME") || set.Has("") || !set.Has("acme") {
		t.Error("a caller changed the set, or Has folds")
	}
	one, _ := auth.ParseTenants("acme")
	if one.Key() == set.Key() || one.IsZero() {
		t.Error("different sets with equal keys")
	}
}

func TestKeysOfDifferentSetsDiffer(t *testing.T) {
	seen := map[string][]string{}
	for _, names := range [][]string{
		{"a"}, {"a", "b"}, {"ab"}, {"a,b"}, {"a|b"}, {"a:b"}, {"a1:b"}, {"1:a"}, {"1:a1:b"}, {"a", "1:b"}, {"11:b", "a"}, {"a", "b", "c"}, {"a", "b1:c"},
	} {
		set, err := auth.ParseTenants(names...)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[set.Key()]; ok {
			t.Errorf("%q and %q have the key %q", names, other, set.Key())
		}
		seen[set.Key()] = names
	}
}

func TestZeroValuesRefuse(t *testing.T) {
	var none auth.Tenants
	if none.Has("") || none.Has("acme") || none.Names() != nil || none.Key() != "" || !none.IsZero() {
		t.Error("the zero Tenants allows something")
	}
	if set, err := auth.NewTenants(auth.Tenant{}); err == nil || !set.IsZero() {
		t.Errorf("NewTenants took a zero Tenant: %q", set.Names())
	}
	if set, err := auth.NewTenants(); err == nil || !set.IsZero() {
		t.Error("NewTenants took nobody")
	}
	if set, err := auth.ParseTenants("acme", ""); err == nil || !set.IsZero() {
		t.Error("ParseTenants took an empty name")
	}
}
