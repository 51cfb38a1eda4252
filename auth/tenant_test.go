package auth_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/auth"
)

func TestParseTenant(t *testing.T) {
	for _, tt := range []struct {
		name, tenant string
		ok           bool
	}{
		{"plain", "acme", true},
		{"one character", "a", true},
		{"regular expression's characters", "a.*|b", true},
		{"quotes and braces", `a"},b={"`, true},
		{"other scripts", "アクメ株式会社", true},
		{"spaces around, which are part of it", " acme ", true},
		{"256 bytes", strings.Repeat("x", 256), true},
		{"257 bytes", strings.Repeat("x", 257), false},
		{"257 bytes in fewer characters", strings.Repeat("é", 129), false},
		{"empty", "", false},
		{"a space", " ", false},
		{"a no-break space", "\u00a0", false},
		{"a zero-width space", "\u200b", false},
		{"a byte order mark", "\ufeff", false},
		{"NUL inside", "ac\x00me", false},
		{"line break", "acme\n", false},
		{"tab", "\tacme", false},
		{"DEL", "acme\x7f", false},
		{"C1 control", "acme\u0085", false},
		{"line separator", "acme\u2028", false},
		{"invalid UTF-8", "ac\xffme", false},
		{"overlong UTF-8", "\xc0\xafacme", false},
		{"surrogate in UTF-8", "\xed\xa0\x80", false},
		{"replacement character", "acme\ufffd", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := auth.ParseTenant(tt.tenant)
			if (err == nil) != tt.ok {
				t.Fatalf("ParseTenant(%q): %v", tt.tenant, err)
			}
			if tt.ok && got.String() != tt.tenant || !tt.ok && got != (auth.Tenant{}) {
				t.Errorf("ParseTenant(%q) = %q", tt.tenant, got)
			}
			if err != nil && strings.TrimSpace(tt.tenant) != "" && strings.Contains(err.Error(), tt.tenant) {
				t.Errorf("the error repeats the value: %v", err)
			}
		})
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
