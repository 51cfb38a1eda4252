package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/promfence/promfence/auth/policy"
)

func TestParseNarrowing(t *testing.T) {
	names := func(n int) string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprint("t", i))
		}
		return strings.Join(out, ",")
	}
	for _, tt := range []struct {
		name  string
		lines []string
		same  string // an equal line; "": refused
	}{
		{"one name", []string{"acme"}, "acme"},
		{"spaces around", []string{" acme ,\tglobex "}, "acme,globex"},
		{"another order", []string{"globex,acme"}, "acme,globex"},
		{"percent-encoded", []string{"%61cm%65"}, "acme"},
		{"lower-case digits", []string{"%c3%a9"}, "%C3%A9"},
		{"an encoded comma", []string{"a%2Cb"}, "a%2cb"},
		{"as many as allowed", []string{names(20)}, names(20)},
		{"256 bytes", []string{strings.Repeat("%61", 256)}, strings.Repeat("a", 256)},
		{"more than allowed", []string{names(21)}, ""},
		{"two lines", []string{"acme", "acme"}, ""},
		{"empty", []string{""}, ""},
		{"blank", []string{"  "}, ""},
		{"an empty name between", []string{"acme,,globex"}, ""},
		{"an empty name at the end", []string{"acme,"}, ""},
		{"a name twice", []string{"acme,acme"}, ""},
		{"a name twice in two spellings", []string{"acme,%61cme"}, ""},
		{"a space inside", []string{"ac me"}, ""},
		{"a byte that must be encoded", []string{"é"}, ""},
		{"a plus sign", []string{"a+b"}, ""},
		{"a pipe", []string{"a|b"}, ""},
		{"a cut escape", []string{"acme%4"}, ""},
		{"an escape that is none", []string{"%zz"}, ""},
		{"a signed escape", []string{"%+1"}, ""},
		{"an encoded line break", []string{"acme%0A"}, ""},
		{"an encoded NUL", []string{"%00"}, ""},
		{"an encoded blank", []string{"%20"}, ""},
		{"no UTF-8", []string{"%ff"}, ""},
		{"257 bytes", []string{strings.Repeat("a", 257)}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for header := range 2 {
				both, same := [2][]string{}, [2][]string{}
				both[header], same[header] = tt.lines, []string{tt.same}
				got, err := policy.ParseNarrowing(both[0], both[1], 20)
				if (err == nil) != (tt.same != "") || got.IsZero() != (err != nil) {
					t.Fatalf("got %+v, %v", got, err)
				}
				if err != nil {
					continue
				}
				if want, err := policy.ParseNarrowing(same[0], same[1], 20); err != nil || got.Key() != want.Key() || got.Key() == "" {
					t.Errorf("the key is %q, want %q, %v", got.Key(), want.Key(), err)
				}
			}
		})
	}
	if n, err := policy.ParseNarrowing(nil, nil, 20); err != nil || !n.IsZero() || n.Key() != "" {
		t.Errorf("without headers: %+v, %v", n, err)
	}
}

func TestKeysOfDifferentNarrowingsDiffer(t *testing.T) {
	seen := map[string]string{}
	for _, headers := range [][2]string{
		{"a", ""}, {"", "a"}, {"a", "a"}, {"a,b", ""}, {"", "a,b"}, {"a", "b"}, {"ab", ""}, {"b", "a"}, {"a", "b,c"}, {"a,b", "c"}, {"", "1%3Aa"},
	} {
		key := narrowing(t, headers[0], headers[1]).Key()
		if other, ok := seen[key]; ok {
			t.Errorf("%q and %s have the key %q", headers, other, key)
		}
		seen[key] = fmt.Sprintf("%q", headers)
	}
}

// Without policies a caller may choose among the token's tenants.
func TestTenantsAreNarrowedWithoutPolicies(t *testing.T) {
	mine := tenants(t, "acme", "globex", "initech")
	for _, tt := range []struct{ policies, tenants, want string }{
		{"", "", `{tenant_id=~"acme|globex|initech"}`},
		{"", "globex", `{tenant_id="globex"}`},
		{"", "globex,acme", `{tenant_id=~"acme|globex"}`},
		{"", "evil", ""},
		{"", "acme,evil", ""},
		{"", "ACME", ""},
		{"teams", "", ""},
		{"teams", "acme", ""},
	} {
		got, err := narrowing(t, tt.policies, tt.tenants).Tenants(mine)
		if got.String() != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%q and %q: got %s, %v, want %s", tt.policies, tt.tenants, got, err, tt.want)
		}
	}
	if got, err := narrowing(t, "", "acme").Tenants(policy.Labels{}); err == nil || !got.IsZero() {
		t.Errorf("nobody's tenants were narrowed to %s", got)
	}
	same, _ := narrowing(t, "", "acme").Tenants(mine)
	if same.Key() != tenants(t, "acme").Key() {
		t.Error("narrowed to a tenant, and yet another key than that of its token")
	}
}

func TestNarrowing(t *testing.T) {
	named := granting("named", values("tenant_id", "acme"), values("region", "us"))
	named.OnlyWhenNamed = new(bool)
	*named.OnlyWhenNamed = true
	foreign := granting("foreign", values("tenant_id", "evil"))
	foreign.When = []policy.Condition{{Claim: "none", Present: true}}
	r := rules(t,
		granting("both", values("tenant_id", "acme", "globex"), values("region", "eu")),
		granting("one", values("tenant_id", "acme"), values("region", "asia")),
		named, foreign,
	)
	const outside = "a tenant that the token does not let you see"
	const unknown = "a policy that does not apply to the token"
	for _, tt := range []struct {
		name, policies, tenants string
		want                    string // a selector, or what the error says
		joined                  string
	}{
		{"nothing asked", "", "", "cannot be joined", ""},
		{"one policy", "one", "", `{tenant_id="acme",region="asia"}`, "one"},
		{"one that must be named", "named", "", `{tenant_id="acme",region="us"}`, "named"},
		{"two policies", "one,named", "", `{tenant_id="acme",region=~"asia|us"}`, "named,one"},
		{"a tenant of both, which can be joined then", "", "acme", `{tenant_id="acme",region=~"asia|eu"}`, "both,one"},
		{"a tenant of one of them: the other is left out", "", "globex", `{tenant_id="globex",region="eu"}`, "both,one"},
		{"two tenants, which cannot be joined", "", "acme,globex", "cannot be joined", ""},
		{"policy and tenant", "both", "globex", `{tenant_id="globex",region="eu"}`, "both"},
		{"a tenant of another policy", "one", "globex", outside, ""},
		{"a tenant beside one that is nobody's", "", "acme,initech", outside, ""},
		{"a tenant of a policy that does not apply", "", "evil", outside, ""},
		{"a tenant that no policy names", "", "initech", outside, ""},
		{"a policy that does not apply", "foreign", "", unknown, ""},
		{"a policy that does not exist", "nonesuch", "", unknown, ""},
		{"one that applies and one that does not", "one,foreign", "", unknown, ""},
		{"a name in another case", "ONE", "", unknown, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := r.Decide(token(t, `{}`), narrowing(t, tt.policies, tt.tenants))
			if tt.joined == "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) || !d.Labels.IsZero() {
					t.Errorf("got %s, %v, want %s", d.Labels, err, tt.want)
				}
				return
			}
			if err != nil || d.Labels.String() != tt.want || strings.Join(d.Policies, ",") != tt.joined {
				t.Errorf("got %s of %v, %v, want %s of %s", d.Labels, d.Policies, err, tt.want, tt.joined)
			}
		})
	}
}
