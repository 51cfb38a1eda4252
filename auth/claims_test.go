package auth_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/authtest"
)

// Every claim that is not a usable tenant is a 403 that names the claim.
func TestTenantClaim(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	a := fixedKeys(t, i, nil)
	many := make([]string, 21)
	for n := range many {
		many[n] = fmt.Sprint("t", n)
	}
	for _, tt := range []struct {
		name  string
		claim any
		want  []string // nil: refused
	}{
		{"text", "acme", []string{"acme"}},
		{"array", []string{"globex", "acme"}, []string{"acme", "globex"}},
		{"array of one", []string{"acme"}, []string{"acme"}},
		{"array with a duplicate", []string{"acme", "acme"}, []string{"acme"}},
		{"text that looks like a pattern", ".*", []string{".*"}},
		{"text that looks like two", "acme|globex", []string{"acme|globex"}},
		{"text that looks like an array", `["acme"]`, []string{`["acme"]`}},
		{"text in capitals", "ACME", []string{"ACME"}},
		{"decomposed text", "cafe\u0301", []string{"cafe\u0301"}},
		{"as many as allowed", many[:20], nil},
		{"more than allowed", many, nil},
		{"missing", nil, nil},
		{"empty", "", nil},
		{"blank", "  ", nil},
		{"line break at the end", "acme\n", nil},
		{"NUL", "acme\x00", nil},
		{"replacement character", "acme\ufffd", nil},
		{"long", strings.Repeat("x", 257), nil},
		{"integer", 42, []string{"42"}},
		{"zero", 0, []string{"0"}},
		{"negative integer", -7, []string{"-7"}},
		{"integers and text", []any{7, "acme", 42}, []string{"42", "7", "acme"}},
		{"the largest integer that all readers agree on", json.Number("9007199254740991"), []string{"9007199254740991"}},
		{"an integer beyond", json.Number("9007199254740992"), nil},
		{"a negative integer beyond", json.Number("-9007199254740992"), nil},
		{"an integer beyond 64 bits", json.Number("99999999999999999999"), nil},
		{"minus zero", json.Number("-0"), nil},
		{"integer written as a fraction", json.Number("42.0"), nil},
		{"integer written with an exponent", json.Number("42e0"), nil},
		{"fraction", 1.5, nil},
		{"true", true, nil},
		{"object", map[string]any{"tenant_id": "acme"}, nil},
		{"empty object", map[string]any{}, nil},
		{"empty array", []string{}, nil},
		{"array with an empty text", []string{"acme", ""}, nil},
		{"array with a fraction", []any{"acme", 1.5}, nil},
		{"array with true", []any{"acme", true}, nil},
		{"array with null", []any{"acme", nil}, nil},
		{"array in an array", []any{[]string{"acme"}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name == "as many as allowed" {
				id, err := a.Authenticate(bearer(t, i.Token(t, tt.claim, nil)))
				if err != nil || len(id.Tenants.Names()) != 20 {
					t.Errorf("got %q, %v", id.Tenants.Names(), err)
				}
				return
			}
			r := bearer(t, i.Token(t, tt.claim, nil))
			if tt.want != nil {
				wantTenants(t, a, r, tt.want...)
				return
			}
			if e := refusedFor(t, a, r, auth.BadTenant); !strings.Contains(e.Message, "tenant_id") {
				t.Errorf("message %q does not name the claim", e.Message)
			}
		})
	}
	t.Run("null", func(t *testing.T) {
		token := i.Key().Sign(t, []byte(`{"alg":"RS256"}`), []byte(fmt.Sprintf(
			`{"iss":%q,"aud":%q,"exp":9999999999,"tenant_id":null}`, i.URL, authtest.Audience)))
		wantReason(t, a, bearer(t, token), auth.BadTenant)
	})
	for _, name := range []string{"Tenant_ID", "TENANT_ID", "tenantId", "tenant", "tenant_id ", "tenant_id\x00", "ſenant_id", "tenant_ıd"} {
		t.Run(fmt.Sprintf("under the name %q", name), func(t *testing.T) {
			wantReason(t, a, bearer(t, i.Token(t, nil, map[string]any{name: "acme"})), auth.BadTenant)
		})
	}
}

func TestMaxTenants(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	a := fixedKeys(t, i, func(o *auth.Options) { o.MaxTenants = 1 })
	wantTenants(t, a, bearer(t, i.Token(t, []string{"acme"}, nil)), "acme")
	wantReason(t, a, bearer(t, i.Token(t, []string{"acme", "globex"}, nil)), auth.BadTenant)
}

// Where the tenant stands, for every way that providers nest it.
func TestClaimPath(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	url := "https://example.com/tenant_id"
	deep := map[string]any{"b": map[string]any{"c": "acme"}}
	for _, tt := range []struct {
		name, path string
		claims     map[string]any
		ok         bool
	}{
		{"nested", "a.b.c", map[string]any{"a": deep}, true},
		{"nested, by pointer", "/a/b/c", map[string]any{"a": deep}, true},
		{"nested, other case inside", "a.b.C", map[string]any{"a": deep}, false},
		{"nested, stops early", "a.b", map[string]any{"a": deep}, false},
		{"nested, goes on too long", "a.b.c.d", map[string]any{"a": deep}, false},
		{"nested, through an array", "a.0", map[string]any{"a": []string{"acme"}}, false},
		{"dotted path is not a name", "a.b", map[string]any{"a.b": "acme"}, false},
		{"quoted name with a dot", `"a.b"`, map[string]any{"a.b": "acme"}, true},
		{"quoted name is not a path", `"a.b"`, map[string]any{"a": map[string]any{"b": "acme"}}, false},
		{"quoted URL", `"` + url + `"`, map[string]any{url: "acme"}, true},
		{"pointer to a URL", "/https:~1~1example.com~1tenant_id", map[string]any{url: "acme"}, true},
		{"pointer with a tilde", "/a~0b", map[string]any{"a~b": "acme"}, true},
		{"pointer with both escapes", "/a~01b", map[string]any{"a~1b": "acme"}, true},
		{"inside of a quoted name", `"https://example.com/claims".tenant`, map[string]any{"https://example.com/claims": map[string]any{"tenant": "acme"}}, true},
		{"quoted inside of a plain one", `app."x.y"`, map[string]any{"app": map[string]any{"x.y": "acme"}}, true},
		{"name with a colon", "cognito:tenant", map[string]any{"cognito:tenant": "acme"}, true},
		{"names of members", "organization.*", map[string]any{"organization": map[string]any{"acme": map[string]any{"id": 1}}}, true},
		{"names of members, of a text", "organization.*", map[string]any{"organization": "acme"}, false},
		{"names of members, of an array", "organization.*", map[string]any{"organization": []string{"acme"}}, false},
		{"names of members, of an empty object", "organization.*", map[string]any{"organization": map[string]any{}}, false},
		{"names of members, one of them blank", "organization.*", map[string]any{"organization": map[string]any{"acme": 1, " ": 1}}, false},
		{"names of members under a quoted name", `"urn:zitadel:iam:org:project:roles".*`, map[string]any{"urn:zitadel:iam:org:project:roles": map[string]any{"acme": map[string]any{}}}, true},
		{"member whose name is a star", `organization."*"`, map[string]any{"organization": map[string]any{"*": "acme"}}, true},
		{"member whose name is a star, not there", `organization."*"`, map[string]any{"organization": map[string]any{"acme": "acme"}}, false},
		{"namespace of a service account", `"kubernetes.io".namespace`, map[string]any{"kubernetes.io": map[string]any{"namespace": "acme", "pod": map[string]any{"name": "x"}}}, true},
		{"array", "realm.groups", map[string]any{"realm": map[string]any{"groups": []string{"acme"}}}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := fixedKeys(t, i, func(o *auth.Options) { o.TenantClaim = tt.path })
			r := bearer(t, i.Token(t, "globex", tt.claims))
			if tt.ok {
				wantTenants(t, a, r, "acme")
			} else {
				wantReason(t, a, r, auth.BadTenant)
			}
		})
	}
}

// What Mimir and Thanos would read as a list, a path or another tenant.
func TestTenantHeaderNarrowsTheSyntax(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	for _, tt := range []struct {
		header string
		claim  any
		want   []string
	}{
		{"X-Scope-OrgID", "acme", []string{"acme"}},
		{"x-scope-orgid", []string{"acme", "globex"}, []string{"acme", "globex"}},
		{"X-Scope-OrgID", "acme|globex", nil},
		{"X-Scope-OrgID", []string{"acme", "a|b"}, nil},
		{"THANOS-TENANT", "Acme_1.x-y", []string{"Acme_1.x-y"}},
		{"THANOS-TENANT", []string{"acme", "acme"}, []string{"acme"}},
		{"THANOS-TENANT", []string{"acme", "globex"}, nil},
		{"THANOS-TENANT", strings.Repeat("x", 150), []string{strings.Repeat("x", 150)}},
		{"THANOS-TENANT", strings.Repeat("x", 151), nil},
		{"THANOS-TENANT", ".", nil},
		{"THANOS-TENANT", "..", nil},
		{"THANOS-TENANT", "...", []string{"..."}},
		{"THANOS-TENANT", "../acme", nil},
		{"THANOS-TENANT", "acme,globex", nil},
		{"THANOS-TENANT", "acme globex", nil},
		{"THANOS-TENANT", "é", nil},
		{"", "acme|globex", []string{"acme|globex"}},
	} {
		t.Run(fmt.Sprintf("%s %.20v", tt.header, tt.claim), func(t *testing.T) {
			a := fixedKeys(t, i, func(o *auth.Options) { o.TenantHeader = tt.header })
			r := bearer(t, i.Token(t, tt.claim, nil))
			if tt.want != nil {
				wantTenants(t, a, r, tt.want...)
			} else {
				wantReason(t, a, r, auth.BadTenant)
			}
		})
	}
}

// The identity's label policy names exactly the token's tenants, on the configured label.
func TestTheLabelPolicyIsTheTokensTenants(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	for label, want := range map[string]string{"": `{tenant_id=~"acme|globex"}`, "customer": `{customer=~"acme|globex"}`} {
		a := fixedKeys(t, i, func(o *auth.Options) { o.TenantLabel = label })
		id, err := a.Authenticate(bearer(t, i.Token(t, []string{"globex", "acme"}, nil)))
		if err != nil || id.Labels.String() != want {
			t.Errorf("label %q: got %s, %v, want %s", label, id.Labels, err, want)
		}
	}
}

func TestNamesOfMembersAreBounded(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	a := fixedKeys(t, i, func(o *auth.Options) { o.MaxTenants, o.TenantClaim = 2, "organization.*" })
	of := func(names ...string) string {
		members := map[string]any{}
		for _, n := range names {
			members[n] = nil
		}
		members["acme"] = 1 // a nil would be taken away at the top level only
		return i.Token(t, nil, map[string]any{"organization": members})
	}
	wantTenants(t, a, bearer(t, of("globex")), "acme", "globex")
	wantReason(t, a, bearer(t, of("globex", "initech")), auth.BadTenant)
}

// Entra ID leaves groups out of a token that would become too long, and says so.
func TestLeftOutGroupsAreNamed(t *testing.T) {
	const said = "too many groups: the provider left them out"
	i := authtest.NewOfflineIssuer(t)
	a := fixedKeys(t, i, func(o *auth.Options) { o.TenantClaim = "groups" })
	for _, tt := range []struct {
		name   string
		claims map[string]any
		said   bool
	}{
		{"a claim elsewhere", map[string]any{"_claim_names": map[string]any{"groups": "src1"}, "_claim_sources": map[string]any{"src1": map[string]any{}}}, true},
		{"another claim elsewhere", map[string]any{"_claim_names": map[string]any{"wids": "src1"}}, false},
		{"hasgroups", map[string]any{"hasgroups": true}, true},
		{"hasgroups as text", map[string]any{"hasgroups": "true"}, true},
		{"hasgroups false", map[string]any{"hasgroups": false}, false},
		{"nothing of the kind", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := refusedFor(t, a, bearer(t, i.Token(t, nil, tt.claims)), auth.BadTenant)
			if strings.Contains(e.Message, said) != tt.said || !strings.Contains(e.Message, "groups") {
				t.Errorf("message %q, want %q in it: %v", e.Message, said, tt.said)
			}
		})
	}
	wantTenants(t, a, bearer(t, i.Token(t, nil, map[string]any{"hasgroups": true, "groups": []string{"acme"}})), "acme")
}
