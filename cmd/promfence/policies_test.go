package main_test

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/promfence/promfence/auth/authtest"
	promfence "github.com/promfence/promfence/cmd/promfence"
)

// Mistakes of both kinds, in how policies are written and in what they mean, come with
// all others.
func TestCheckTellsEveryMistakeInPolicies(t *testing.T) {
	good := settings(authtest.NewIssuer(t), "http://127.0.0.1:9090")
	for name, tt := range map[string]struct {
		policies string
		want     []string
	}{
		"in what they mean": {`
  - {name: a, labels: [{label: tenant_id, except: [x]}]}
  - {name: a, when: [{claim: groups}], labels: [{label: env, values: [x]}]}`, []string{
			"policies[0].labels[0].except: ", "policies[1].name: ", "policies[1].when[0].any_of: ", "policies[1].labels: ", "PROMFENCE_AUTH_TENANT_CLAIM: ",
		}},
		"in how they are written": {`
  - {name: a, labels: [{label: tenant_id, values: [007]}]}
  - {naem: b}`, []string{"policies[0].labels[0].values: ", "policies[1].naem: no such setting; did you mean name?", "PROMFENCE_AUTH_TOKEN_HEADERS: "}},
		"all tenants": {`
  - {name: a, labels: [{label: tenant_id, any: true}]}`, []string{"policies[0].issuers: ", "audit.file", "allow_all_tenants", "PROMFENCE_AUTH_TENANT_CLAIM: "}},
	} {
		for _, command := range []string{"serve", "check"} {
			t.Run(command+" "+name, func(t *testing.T) {
				file := write(t, filepath.Join(t.TempDir(), "promfence.yaml"), []byte("policies:"+tt.policies+"\n"))
				err := promfence.Run(t.Context(), []string{command, "--config", file}, append(good, "PROMFENCE_AUTH_TENANT_CLAIM=org", "PROMFENCE_AUTH_TOKEN_HEADERS=X-Promfence-Token"), io.Discard, io.Discard)
				for _, want := range tt.want {
					if !strings.Contains(fmt.Sprint(err), want) {
						t.Errorf("%v\ndoes not say %s", err, want)
					}
				}
			})
		}
	}
}

func TestCheckWarnsOfPolicies(t *testing.T) {
	good := settings(authtest.NewIssuer(t), "http://127.0.0.1:9090")
	file := write(t, filepath.Join(t.TempDir(), "promfence.yaml"), []byte(`
policies:
  - {name: everybody, labels: [{label: tenant_id, values: [acme]}, {label: env, except: [prod]}]}
  - {name: teams, labels: [{label: tenant_id, claim: groups, strip_prefix: /tenants/}]}
`))
	var stdout, stderr bytes.Buffer
	if err := promfence.Run(t.Context(), []string{"check", "--config", file}, good, &stdout, &stderr); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"warning: the policy everybody applies to every token\n", "warning: the policies everybody and teams can apply to the same token and cannot be joined"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("%s\ndoes not say %s", stderr.String(), want)
		}
	}
	if !strings.Contains(stdout.String(), `"strip_prefix":"/tenants/"`) {
		t.Errorf("the settings in effect lack the policies:\n%s", stdout.String())
	}
}

// A caller's rights are those of their policies, and narrower at their wish.
func TestServesByPolicies(t *testing.T) {
	idp, asked := authtest.NewIssuer(t), make(chan string, 1)
	file := write(t, filepath.Join(t.TempDir(), "promfence.yaml"), []byte(`
policies:
  - {name: teams, labels: [{label: tenant_id, claim: groups, strip_prefix: /tenants/}, {label: env, except: [prod]}]}
`))
	p := start(t, append(settings(idp, upstream(t, asked, nil)), "PROMFENCE_CONFIG="+file)...)
	until(t, p.server+"/-/ready", 200)
	token := idp.Token(t, "evil", map[string]any{"groups": []string{"/tenants/acme", "/tenants/globex"}})
	status, body, _ := get(t, p.server+"/api/v1/query?query=up", token)
	if status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if got := <-asked; got != `up{env!~"prod|",tenant_id=~"acme|globex"}` {
		t.Errorf("the upstream was asked %s", got)
	}
	if status, body, _ := get(t, p.server+"/api/v1/query?query=up", idp.Token(t, "evil", nil)); status != 403 || !strings.Contains(body, "no policy applies") {
		t.Errorf("without a policy: %d %s", status, body)
	}
}
