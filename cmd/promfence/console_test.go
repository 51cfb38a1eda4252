package main

import (
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/config"
)

// trusting believes an issuer whose certificates come from these authorities.
func trusting(t *testing.T, issuer, caFile string) *auth.Authenticator {
	t.Helper()
	a, err := auth.New(auth.Options{Issuer: issuer, Audience: []string{authtest.Audience}, CAFile: caFile})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// policyOfConsole is what the page may connect to.
func policyOfConsole(t *testing.T, c config.Console, keys *auth.Authenticator) string {
	t.Helper()
	w := httptest.NewRecorder()
	newConsole(c, keys).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/console", nil))
	return w.Header().Get("Content-Security-Policy")
}

func TestConsoleMayAskTheProvidersEndpoints(t *testing.T) {
	asked := 0
	var issuer string
	provider := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; r.URL.Path != "/.well-known/openid-configuration" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		fmt.Fprintf(w, `{"issuer":%q,"token_endpoint":"https://tokens.example.com/t","jwks_uri":"https://keys.example.com/k"}`, issuer)
	}))
	t.Cleanup(provider.Close)
	provider.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	issuer = provider.URL
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: provider.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	signIn := config.Console{Enabled: true, ClientID: "console", Issuer: issuer}
	if got := policyOfConsole(t, signIn, trusting(t, issuer, ca)); !strings.Contains(got, "connect-src 'self' "+issuer+" https://tokens.example.com https://keys.example.com;") {
		t.Errorf("policy %q", got)
	}
	// Nobody vouches for the provider's certificate.
	if got := policyOfConsole(t, signIn, trusting(t, issuer, "")); strings.Contains(got, "tokens.example.com") || asked != 1 {
		t.Errorf("without its authority: %q, asked %d times", got, asked)
	}
	// Somebody else's document opens nothing.
	signIn.Issuer += "/"
	if got := policyOfConsole(t, signIn, trusting(t, issuer+"/", ca)); strings.Contains(got, "tokens.example.com") || asked != 2 {
		t.Errorf("with another issuer's document: %q, asked %d times", got, asked)
	}
	if got := policyOfConsole(t, config.Console{Enabled: true}, trusting(t, issuer, ca)); !strings.Contains(got, "connect-src 'self';") || asked != 2 {
		t.Errorf("without sign-in: %q, asked %d times", got, asked)
	}
	if newConsole(config.Console{}, trusting(t, issuer, ca)) != nil {
		t.Error("a console that is off is served")
	}
}

func TestAProviderThatFailsIsNotAskedByEveryPage(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(server.Close)
	p := &provider{issuer: server.URL, discover: trusting(t, server.URL, "").Discover}
	for range 5 {
		if got := p.endpoints(); got != nil {
			t.Errorf("endpoints %q", got)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}
