package main_test

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	promfence "github.com/promfence/promfence/cmd/promfence"
)

const explained = `
upstream: {url: http://127.0.0.1:9090}
audit: {file: /dev/null}
auth:
  issuers:
    - {issuer: https://idp.example.com, audience: [promfence], jwks_file: /nonexistent/keys.json, allow_all_tenants: true}
    - {issuer: https://customer.example.com, audience: [promfence]}
policies:
  - name: teams
    issuers: [https://idp.example.com]
    labels: [{label: tenant_id, claim: groups, strip_prefix: /tenants/}]
  - name: web
    issuers: [https://idp.example.com]
    when: [{claim: roles, any_of: [web]}]
    labels: [{label: tenant_id, values: [acme]}, {label: env, except: [prod]}]
  - name: site-reliability
    issuers: [https://idp.example.com]
    when: [{claim: groups, any_of: [sre]}]
    labels: [{label: tenant_id, any: true}]
  - name: customers
    issuers: [https://customer.example.com]
    labels: [{label: tenant_id, values: [globex]}]
`

// One screen says which policies apply, why the others do not, what was left out,
// and what becomes of the query. No key is read for it.
func TestExplainSaysWhyACallerSeesWhatTheySee(t *testing.T) {
	const groups = `{"iss":"https://idp.example.com","aud":"promfence","groups":["/tenants/acme","/tenants/beta","sre"]}`
	for name, tt := range map[string]struct {
		claims  string
		args    []string
		want    []string
		refused string
	}{
		"policies that apply and others": {groups, nil, []string{
			`policy        teams applies and grants {tenant_id=~"acme|beta"}`,
			`left out of tenant_id: "sre" does not begin with strip_prefix`,
			`policy        site-reliability applies and grants {tenant_id!=""}, but is not used: only_when_named, and X-Promfence-Policy does not name it`,
			`policy        web does not apply: the claim roles holds none of web`,
			`policy        customers does not apply: it is for other issuers or audiences`,
			`tenants       acme, beta`, `label policy  {tenant_id=~"acme|beta"}`, `query         up{tenant_id=~"acme|beta"}`,
		}, ""},
		"narrowed": {groups, []string{"--tenant", "acme"}, []string{`tenants       acme`, `query         up{tenant_id="acme"}`}, ""},
		"all tenants": {groups, []string{"--policy", "site-reliability"}, []string{
			`policy        teams applies and grants {tenant_id=~"acme|beta"}, but is not used: X-Promfence-Policy names others`,
			`tenants       all`, `query         up{tenant_id!=""}`,
		}, ""},
		"another issuer, and no audience": {`{}`, []string{"--issuer", "https://customer.example.com"}, []string{`tenants       globex`}, ""},
		"policies that cannot be joined": {
			`{"iss":"https://idp.example.com","groups":["/tenants/beta"],"roles":"web"}`, nil,
			[]string{`policy        web applies and grants {tenant_id="acme",env!~"prod|"}`},
			"refused: policy: the policies that apply to the token cannot be joined into one: choose with X-Promfence-Policy among teams, web",
		},
		"no policy":           {`{"iss":"https://idp.example.com"}`, nil, []string{"policy        teams does not apply: the claim groups has no value for tenant_id"}, "refused: policy: no policy applies to the token"},
		"another's tenant":    {groups, []string{"--tenant", "globex"}, nil, "refused: policy: X-Promfence-Tenant names a tenant that the token does not let you see"},
		"the wrong audience":  {`{"iss":"https://idp.example.com","aud":"x"}`, nil, nil, "refused: audience: the token is not meant for this service"},
		"no issuer":           {`{}`, nil, nil, "refused: the claims name no issuer (iss), and there are several"},
		"an unknown issuer":   {`{"iss":"https://evil.example.com"}`, nil, nil, "refused: issuer: the token's issuer is not accepted here"},
		"duplicate members":   {`{"iss":"a","iss":"b"}`, nil, nil, "--claims: what is in the file is not a JSON object without duplicate members"},
		"a malformed tenant":  {groups, []string{"--tenant", "a,,b"}, nil, "X-Promfence-Tenant: a name is blank"},
		"a label of its own":  {groups, []string{"--label", "x"}, nil, "explain: want --label without --claims"},
		"several --tenant":    {groups, []string{"--tenant", "a", "--tenant", "b"}, nil, "explain: want one --tenant with --claims"},
		"a query that is bad": {groups, []string{"--tenant", "acme", "sum("}, nil, "want --tenant NAME or --claims FILE, and one query"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			config, claims := write(t, filepath.Join(dir, "promfence.yaml"), []byte(explained)), write(t, filepath.Join(dir, "claims.json"), []byte(tt.claims))
			var out bytes.Buffer
			err := promfence.Run(t.Context(), append([]string{"explain", "--config", config, "--claims", claims, "up"}, tt.args...), nil, &out, io.Discard)
			if (err != nil) != (tt.refused != "") || !strings.Contains(fmt.Sprint(err), tt.refused) {
				t.Errorf("ends with %v, want %q", err, tt.refused)
			}
			for _, want := range tt.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("does not say %s\n%s", want, &out)
				}
			}
		})
	}
}

// Without policies the tenants are those that the claims name.
func TestExplainReadsClaimsWithoutPolicies(t *testing.T) {
	claims := write(t, filepath.Join(t.TempDir(), "claims.json"), []byte(`{"org":{"tenant":["b","a"]}}`))
	var out bytes.Buffer
	err := promfence.Run(t.Context(), []string{"explain", "--claims", claims, `up{tenant_id="a"}`}, []string{
		"PROMFENCE_UPSTREAM_URL=http://127.0.0.1:9090", "PROMFENCE_AUTH_ISSUER=https://idp.example.com", "PROMFENCE_AUTH_AUDIENCE=a",
		"PROMFENCE_AUTH_TENANT_CLAIM=org.tenant", "PROMFENCE_TENANCY_ON_CONFLICT=reject",
	}, &out, io.Discard)
	if want := "tenants       a, b\nlabel policy  {tenant_id=~\"a|b\"}\nquery         up{tenant_id=\"a\",tenant_id=~\"a|b\"}\n"; err != nil || out.String() != want {
		t.Errorf("%v\n%s", err, &out)
	}
}

// Where there is an Alertmanager, explain says what may be silenced, and why not.
func TestExplainSaysWhatMayBeSilenced(t *testing.T) {
	dir := t.TempDir()
	claims := write(t, filepath.Join(dir, "claims.json"), []byte(`{"tenant_id":"acme","team":"web"}`))
	for _, tt := range []struct{ alertmanager, silences, want string }{
		{"alertmanager: {url: 'http://127.0.0.1:9093', silences: write}", "write", `silences      write, with a sub in the token, for {tenant_id="acme"}`},
		{"alertmanager: {url: 'http://127.0.0.1:9093', silences: write}", "read", "silences      read: no policy that is used says silences: write"},
		{"alertmanager: {url: 'http://127.0.0.1:9093'}", "write", "silences      read: alertmanager.silences does not say write"},
		{"", "write", ""},
	} {
		file := write(t, filepath.Join(dir, "promfence.yaml"), []byte(tt.alertmanager+`
upstream: {url: 'http://127.0.0.1:9090'}
auth: {issuer: 'https://idp.example.com', audience: a}
policies: [{name: web, labels: [{label: tenant_id, claim: tenant_id}], silences: `+tt.silences+`}]
`))
		var out bytes.Buffer
		err := promfence.Run(t.Context(), []string{"explain", "--claims", claims, "--config", file, "up"}, nil, &out, io.Discard)
		if err != nil || !strings.Contains(out.String(), tt.want) || strings.Contains(out.String(), "silences ") != (tt.want != "") {
			t.Errorf("%v: %v\n%s", tt, err, &out)
		}
	}
}

func TestExplainFollowsOnConflict(t *testing.T) {
	claims := write(t, filepath.Join(t.TempDir(), "claims.json"), []byte(`{"tenant_id":"acme"}`))
	for mode, refused := range map[string]bool{"intersect": false, "reject": true} {
		err := promfence.Run(t.Context(), []string{"explain", "--claims", claims, `up{tenant_id="b"}`}, []string{
			"PROMFENCE_UPSTREAM_URL=http://127.0.0.1:9090", "PROMFENCE_AUTH_ISSUER=https://idp.example.com", "PROMFENCE_AUTH_AUDIENCE=a",
			"PROMFENCE_TENANCY_ON_CONFLICT=" + mode,
		}, io.Discard, io.Discard)
		if (err != nil) != refused {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

// Whoever looks for the cause of an empty panel reads which matcher it is.
func TestExplainWarnsOfAMatcherThatFindsNothing(t *testing.T) {
	claims := write(t, filepath.Join(t.TempDir(), "claims.json"), []byte(`{"tenant_id":"acme"}`))
	settings := []string{"PROMFENCE_UPSTREAM_URL=http://127.0.0.1:9090", "PROMFENCE_AUTH_ISSUER=https://idp.example.com", "PROMFENCE_AUTH_AUDIENCE=a"}
	for _, who := range [][]string{{"--tenant", "acme"}, {"--claims", claims}} {
		for query, want := range map[string]string{
			`up{tenant_id="globex"}`:       `warning: the matcher tenant_id="globex" selects none of your tenants`,
			`up or up{tenant_id="globex"}`: `warning: the matcher tenant_id="globex" selects none of your tenants`,
			`up{tenant_id="acme"}`:         "",
			`up`:                           "",
		} {
			var warnings bytes.Buffer
			err := promfence.Run(t.Context(), slices.Concat([]string{"explain"}, who, []string{query}), settings, io.Discard, &warnings)
			if got := strings.TrimSpace(warnings.String()); err != nil || got != want {
				t.Errorf("%v %s: %v, %q, want %q", who, query, err, got, want)
			}
		}
	}
}
