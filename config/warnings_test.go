package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/config"
)

// Settings that are right and hardly meant are named, and their neighbors are not.
func TestWarnings(t *testing.T) {
	const api, index = "promfence adds /api/v1 to it; want the URL without that", "brackets are part of the claim's name; an array is taken whole, without an index"
	for _, tt := range []struct {
		name, yaml string
		want       []config.Mistake
	}{
		{"nothing", "upstream: {url: http://a/api}\nauth: {issuer: https://i, audience: a, tenant_claim: groups}", nil},
		{"the API's path", "upstream: {url: http://a/prom/api/v1/}\nauth: {issuer: https://i, audience: a}", []config.Mistake{{Key: "upstream.url", Want: api}}},
		{"an endpoint", "upstream: {url: http://a/api/v1/query}\nauth: {issuer: https://i, audience: a}", []config.Mistake{{Key: "upstream.url", Want: api}}},
		{"a path that only begins so", "upstream: {url: http://a/api/v1beta}\nauth: {issuer: https://i, audience: a}", nil},
		{"an index", "upstream: {url: http://a}\nauth: {issuer: https://i, audience: a, tenant_claim: 'groups[0]'}", []config.Mistake{{Key: "auth.tenant_claim", Want: index}}},
		{"brackets in quotes", "upstream: {url: http://a}\nauth: {issuer: https://i, audience: a, tenant_claim: '\"groups[0]\"'}", nil},
		{"of issuers", `upstream: {url: http://a}
auth:
  issuers:
    - {issuer: https://i, audience: a, tenant_claim: 'groups[0]'}
    - {issuer: https://j, audience: a, tenant: '*'}
    - {issuer: https://k, audience: a, tenant: '.*'}
    - {issuer: https://l, audience: a, tenant: 'acme,globex'}
    - {issuer: https://m, audience: a, tenant: acme}`, []config.Mistake{
			{Key: "auth.issuers[0].tenant_claim", Want: index},
			{Key: "auth.issuers[1].tenant", Want: "it is a name like any other and stands for no other tenant"},
			{Key: "auth.issuers[2].tenant", Want: "it is a name like any other and stands for no other tenant"},
			{Key: "auth.issuers[3].tenant", Want: "it is one tenant whose name holds a comma"},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "promfence.yaml")
			if err := os.WriteFile(file, []byte(tt.yaml), 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := config.Load([]string{"--config", file}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, c.Warnings()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
