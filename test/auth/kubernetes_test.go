package auth_test

import (
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/fence"
)

// A cluster is a Kubernetes API server as far as its service accounts' tokens go:
// its certificate comes from the cluster's own authority, it shows its keys to who
// has a token, and answers 406 where Accept begins with a type that it does not have.
type cluster struct {
	*httptest.Server
	key authtest.Key

	mu      sync.Mutex
	token   string   // of promfence's own pod
	refused []string // who was, and why
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{key: authtest.NewKey(t, "RS256"), token: "first"}
	c.Server = httptest.NewTLSServer(c)
	t.Cleanup(c.Close)
	c.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	return c
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	produces, body := "application/json", fmt.Sprintf(`{"issuer":%q,"jwks_uri":"%s/openid/v1/jwks","response_types_supported":["id_token"]}`, c.URL, c.URL)
	if r.URL.Path == "/openid/v1/jwks" {
		produces, body = "application/jwk-set+json", string(authtest.JWKS(c.key))
	}
	accept := r.Header.Get("Accept")
	switch {
	case r.Header.Get("Authorization") != "Bearer "+c.token:
		c.refused = append(c.refused, "403 "+r.URL.Path)
		http.Error(w, `{"kind":"Status","status":"Failure","reason":"Forbidden","code":403}`, http.StatusForbidden)
	case len(accept) < len(produces) || accept[:len(produces)] != produces:
		c.refused = append(c.refused, "406 "+r.URL.Path+" "+accept)
		http.Error(w, `{"kind":"Status","status":"Failure","reason":"NotAcceptable","code":406}`, http.StatusNotAcceptable)
	default:
		w.Header().Set("Content-Type", produces)
		_, _ = w.Write([]byte(body))
	}
}

// take replaces the token of promfence's pod and tells who was refused before.
func (c *cluster) take(token string) (refused []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	refused, c.token, c.refused = c.refused, token, nil
	return refused
}

// pod is a projected token of a service account, as the API server makes them.
func (c *cluster) pod(t *testing.T, namespace, audience string) string {
	t.Helper()
	now := time.Now().Unix()
	return c.key.Token(t, nil, map[string]any{
		"iss": c.URL, "aud": []string{audience}, "exp": now + 3607, "iat": now, "nbf": now, "jti": "ed7ea8a2-58d1-4d6d-8a5a-1b6a4e3d0c11",
		"sub": "system:serviceaccount:" + namespace + ":grafana",
		"kubernetes.io": map[string]any{
			"namespace":      namespace,
			"pod":            map[string]any{"name": "grafana-0", "uid": "8c5a2d7e-0001"},
			"serviceaccount": map[string]any{"name": "grafana", "uid": "0f0f2d7e-0002"},
			"warnafter":      now + 3000,
		},
	})
}

func TestAPodReadsItsNamespace(t *testing.T) {
	t.Parallel()
	c, behind := newCluster(t), harness.Answering(t)
	token := file(t, "token", "first")
	ca := file(t, "ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw})))
	settings := fmt.Sprintf(`
upstream: {url: %s}
auth:
  issuer: %s
  audience: promfence
  tenant_claim: '"kubernetes.io".namespace'
  refresh_interval: 1s
  ca_file: %s
  bearer_token_file: %s
`, behind.URL, c.URL, ca, token)
	f := fence.Start(t, "CONFIG="+file(t, "promfence.yaml", settings))
	reads(t, f, behind, bearer(c.pod(t, "acme", "promfence")), "acme")
	reads(t, f, behind, bearer(c.pod(t, "globex", "promfence")), "globex")
	refused(t, f, behind, bearer(c.pod(t, "acme", c.URL)), http.StatusUnauthorized) // for the API server itself
	if bad := c.take("first"); bad != nil {
		t.Errorf("the API server refused %q", bad)
	}

	// The kubelet replaces the token, and the cluster its key.
	if err := os.WriteFile(token, []byte("second\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.take("second")
	c.mu.Lock()
	c.key = authtest.NewKey(t, "RS256")
	c.mu.Unlock()
	rotated := c.pod(t, "acme", "promfence")
	eventually(t, f, rotated, http.StatusOK, 30*time.Second)
	reads(t, f, behind, bearer(rotated), "acme")
}

// Without the authority or the token there are no keys, and nobody gets in.
func TestAClusterWithoutItsAuthorityOrItsToken(t *testing.T) {
	t.Parallel()
	c, behind := newCluster(t), harness.Answering(t)
	ca := file(t, "ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw})))
	for name, settings := range map[string][]string{
		"no authority":  {"AUTH_BEARER_TOKEN_FILE=" + file(t, "token", "first")},
		"no token":      {"AUTH_CA_FILE=" + ca},
		"another token": {"AUTH_CA_FILE=" + ca, "AUTH_BEARER_TOKEN_FILE=" + file(t, "token", "zeroth")},
	} {
		t.Run(name, func(t *testing.T) {
			f := fence.Launch(t, append(settings, "UPSTREAM_URL="+behind.URL, "AUTH_ISSUER="+c.URL, "AUTH_AUDIENCE=promfence", `AUTH_TENANT_CLAIM="kubernetes.io".namespace`)...)
			got := refused(t, f, behind, bearer(c.pod(t, "acme", "promfence")), http.StatusServiceUnavailable)
			if got.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			if ready := get(t, f.URL+"/-/ready"); ready.Status != http.StatusServiceUnavailable {
				t.Errorf("ready: %d", ready.Status)
			}
		})
	}
}
