package auth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/fence"
)

// What a provider sends is not always one text.
func TestClaimsAsAProviderSendsThem(t *testing.T) {
	t.Parallel()
	p, behind := newProvider(t), harness.Answering(t)
	roles := `"urn:zitadel:iam:org:project:roles".*`
	for _, tt := range []struct {
		id, path string
		claims   map[string]any
		tenant   string // "" = 403
	}{
		{"number", "tenant_id", map[string]any{"tenant_id": 42}, "42"},
		{"largest", "tenant_id", map[string]any{"tenant_id": 9007199254740991}, "9007199254740991"},
		{"fraction", "tenant_id", map[string]any{"tenant_id": 4.5}, ""},
		{"truth", "tenant_id", map[string]any{"tenant_id": true}, ""},
		{"roles", roles, map[string]any{"urn:zitadel:iam:org:project:roles": map[string]any{"acme": map[string]any{"1": "example.com"}}}, "acme"},
		{"organization", "organization.*", map[string]any{"organization": map[string]any{"acme": map[string]any{"id": "7"}}}, "acme"},
		{"no-roles", "organization.*", map[string]any{"organization": map[string]any{}}, ""},
		{"a-list", "organization.*", map[string]any{"organization": []string{"acme"}}, ""},
		{"an-object", "organization", map[string]any{"organization": map[string]any{"acme": map[string]any{}}}, ""},
	} {
		t.Run(tt.id, func(t *testing.T) {
			p.names(tt.id, tt.claims)
			f := fence.Start(t, discovered(p, behind, "AUTH_TENANT_CLAIM="+tt.path)...)
			token := bearer(p.machineToken(t, tt.id))
			if tt.tenant == "" {
				refused(t, f, behind, token, http.StatusForbidden)
			} else {
				reads(t, f, behind, token, tt.tenant)
			}
		})
	}
}

// Two members are two tenants, and an integer beside a text is one of two.
func TestSeveralTenantsAsAProviderSendsThem(t *testing.T) {
	t.Parallel()
	p, behind := newProvider(t), harness.Answering(t)
	p.names("both", map[string]any{"tenant_id": []any{"acme", 42}})
	f := fence.Start(t, discovered(p, behind)...)
	if got := query(t, f, bearer(p.machineToken(t, "both"))); got.Status != http.StatusOK {
		t.Fatalf("%d %s", got.Status, got.Body)
	}
	if asked := behind.Take(); len(asked) != 1 || asked[0].Params().Get("query") != `up{tenant_id=~"42|acme"}` {
		t.Errorf("the upstream was asked %v", asked)
	}
}

// A customer's provider that is down keeps out its own people and nobody else.
func TestADeadIssuerStopsItsOwnCallersOnly(t *testing.T) {
	t.Parallel()
	p, behind := tenanted(t), harness.Answering(t)
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	k := authtest.NewKey(t, "ES256")
	settings := func(more string) string {
		return fmt.Sprintf(`
upstream: {url: %s}
auth:
  issuers:
    - {issuer: %s, audience: %s}
    - {issuer: %s, audience: %s}
%s`, behind.URL, dead.URL, audience, p.URL, audience, more)
	}
	path := filepath.Join(t.TempDir(), "promfence.yaml")
	if err := os.WriteFile(path, []byte(settings("")), 0o600); err != nil {
		t.Fatal(err)
	}
	f := fence.Start(t, "CONFIG="+path) // Start waits until it is ready
	working, stranded := bearer(p.machineToken(t, "acme")), bearer(forge(t, k, dead.URL, audience))
	both := func() {
		t.Helper()
		reads(t, f, behind, working, "acme")
		got := refused(t, f, behind, stranded, http.StatusServiceUnavailable)
		if got.Header.Get("Retry-After") == "" {
			t.Error("503 without Retry-After")
		}
		if ready := get(t, f.URL+"/-/ready"); ready.Status != http.StatusOK {
			t.Errorf("ready: %d %s", ready.Status, ready.Body)
		}
	}
	both()
	metrics := get(t, f.Admin+"/metrics").Body
	for issuer, keys := range map[string]int{dead.URL: 0, p.URL: 1} {
		if want := fmt.Sprintf("\npromfence_issuer_keys{issuer=%q} %d\n", issuer, keys); !strings.Contains(metrics, want) {
			t.Errorf("no %q in the metrics", want)
		}
	}
	if !strings.Contains(f.Log(), `"message":"no keys of this issuer yet`) {
		t.Errorf("the log does not name who is missing:\n%s", f.Log())
	}

	// Settings of auth and others are taken while it is down.
	if err := os.WriteFile(path, []byte(settings("  leeway: 10s\ntenancy: {label: customer}\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	f.Await(t, func() error {
		if !strings.Contains(f.Log(), `"message":"settings reloaded"`) {
			return fmt.Errorf("not reloaded after %s", time.Now())
		}
		return nil
	})
	behind.Take()
	if got := query(t, f, working); got.Status != http.StatusOK {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if asked := behind.Take(); len(asked) != 1 || asked[0].Params().Get("query") != `up{customer="acme"}` {
		t.Errorf("the upstream was asked %v", asked)
	}
	refused(t, f, behind, stranded, http.StatusServiceUnavailable)
}
