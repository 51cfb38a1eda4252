package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/auth/policy"
)

func tenants(t *testing.T, names ...string) policy.Labels {
	t.Helper()
	l, err := policy.ForTenants("tenant_id", names...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// series returns a series' labels as Allows asks for them.
func series(labels map[string]string) func(string) string {
	return func(label string) string { return labels[label] }
}

func TestTheZeroLabelsAllowNothing(t *testing.T) {
	var none policy.Labels
	if names, all := none.Tenants(); names != nil || all || !none.IsZero() || none.Key() != "" || none.String() != "" || len(none.Matchers()) != 0 {
		t.Error("the zero Labels allow something")
	}
	for _, labels := range []map[string]string{nil, {"tenant_id": "acme"}} {
		if none.Allows(series(labels)) {
			t.Errorf("the zero Labels allow %v", labels)
		}
	}
}

func TestForTenants(t *testing.T) {
	set := tenants(t, "globex", "acme", "globex")
	names, all := set.Tenants()
	if diff := cmp.Diff([]string{"acme", "globex"}, names); diff != "" || all {
		t.Errorf("names (-want +got):\n%s all: %t", diff, all)
	}
	if set.IsZero() || set.TenantLabel() != "tenant_id" || set.String() != `{tenant_id=~"acme|globex"}` {
		t.Errorf("got %s on %s", set, set.TenantLabel())
	}
	for value, want := range map[string]bool{"acme": true, "globex": true, "ACME": false, "": false, "initech": false} {
		if got := set.Allows(series(map[string]string{"tenant_id": value})); got != want {
			t.Errorf("Allows(%q) = %t", value, got)
		}
	}
	if got := tenants(t, `a"},b={"`).String(); got != `{tenant_id="a\"},b={\""}` {
		t.Errorf("a name leaves its quotes: %s", got)
	}
}

func TestForTenantsRefusesWhatIsNoTenant(t *testing.T) {
	for _, tt := range []struct {
		name, label string
		tenants     []string
	}{
		{"nobody", "tenant_id", nil},
		{"an empty name", "tenant_id", []string{"acme", ""}},
		{"a name that is no text", "tenant_id", []string{"ac\xffme"}},
		{"no label", "", []string{"acme"}},
		{"a label that is none", "tenant-id", []string{"acme"}},
		{"a label that begins with a digit", "0tenant", []string{"acme"}},
		{"the metric's name as label", "__name__", []string{"acme"}},
	} {
		if got, err := policy.ForTenants(tt.label, tt.tenants...); err == nil || !got.IsZero() {
			t.Errorf("%s: got %s, %v", tt.name, got, err)
		}
	}
}

func TestACallerCannotChangeLabels(t *testing.T) {
	set := tenants(t, "acme", "globex")
	names, _ := set.Tenants()
	names[0] = "evil"
	ms := set.Matchers()
	ms[0].Values[0], ms[0].Negative = "evil", true
	names, all := set.Tenants()
	if diff := cmp.Diff([]string{"acme", "globex"}, names); diff != "" || all {
		t.Errorf("names (-want +got):\n%s all: %t", diff, all)
	}
}

func TestKeysOfDifferentLabelsDiffer(t *testing.T) {
	seen := map[string][]string{}
	for _, names := range [][]string{
		{"a"}, {"a", "b"}, {"ab"}, {"a,b"}, {"a|b"}, {"a:b"}, {"a1:b"}, {"1:a"}, {"1:a1:b"}, {"a", "1:b"}, {"11:b", "a"}, {"a", "b", "c"}, {"a", "b1:c"}, {"all"},
	} {
		key := tenants(t, names...).Key()
		if other, ok := seen[key]; ok {
			t.Errorf("%q and %q have the key %q", names, other, key)
		}
		seen[key] = names
	}
	if tenants(t, "b", "a").Key() != tenants(t, "a", "b", "a").Key() {
		t.Error("equal sets have different keys")
	}
}

func TestMatcher(t *testing.T) {
	ab := []string{"a", "b"}
	for _, tt := range []struct {
		name    string
		matcher policy.Matcher
		text    string
		allowed []string // of "", a, b and c
	}{
		{"one value", policy.Matcher{Values: []string{"a"}}, `l="a"`, []string{"a"}},
		{"values", policy.Matcher{Values: ab}, `l=~"a|b"`, ab},
		{"values or none", policy.Matcher{Values: ab, Missing: true}, `l=~"a|b|"`, []string{"", "a", "b"}},
		{"one value or none", policy.Matcher{Values: []string{"a"}, Missing: true}, `l=~"a|"`, []string{"", "a"}},
		{"none", policy.Matcher{Missing: true}, `l=""`, []string{""}},
		{"all but one", policy.Matcher{Negative: true, Values: []string{"a"}}, `l!~"a|"`, []string{"b", "c"}},
		{"all but one, or none", policy.Matcher{Negative: true, Values: []string{"a"}, Missing: true}, `l!="a"`, []string{"", "b", "c"}},
		{"all but two", policy.Matcher{Negative: true, Values: ab}, `l!~"a|b|"`, []string{"c"}},
		{"all but two, or none", policy.Matcher{Negative: true, Values: ab, Missing: true}, `l!~"a|b"`, []string{"", "c"}},
		{"any value", policy.Matcher{Negative: true}, `l!=""`, []string{"a", "b", "c"}},
		{"quoted value", policy.Matcher{Values: []string{"a.*", `b"`}}, `l=~"a\\.\\*|b\""`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.matcher.Label = "l"
			if got := tt.matcher.String(); got != tt.text {
				t.Errorf("String() = %s, want %s", got, tt.text)
			}
			var allowed []string
			for _, v := range []string{"", "a", "b", "c"} {
				if tt.matcher.Allows(v) {
					allowed = append(allowed, v)
				}
			}
			if diff := cmp.Diff(tt.allowed, allowed); diff != "" {
				t.Errorf("allowed (-want +got):\n%s", diff)
			}
		})
	}
}
