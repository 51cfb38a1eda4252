package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/promfence/promfence/config"
)

func TestConsoleMayAskTheProvidersEndpoints(t *testing.T) {
	asked := 0
	var issuer string
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; r.URL.Path != "/.well-known/openid-configuration" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		_, _ = w.Write([]byte(`{"issuer":"` + issuer + `","token_endpoint":"https://tokens.example.com/t","jwks_uri":"https://keys.example.com/k"}`))
	}))
	t.Cleanup(provider.Close)
	issuer = provider.URL
	policy := func(c config.Console) string {
		w := httptest.NewRecorder()
		newConsole(c).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/console", nil))
		return w.Header().Get("Content-Security-Policy")
	}
	if got := policy(config.Console{Enabled: true, ClientID: "console", Issuer: issuer}); !strings.Contains(got, "connect-src 'self' "+issuer+" https://tokens.example.com https://keys.example.com;") {
		t.Errorf("policy %q", got)
	}
	// Somebody else's document opens nothing.
	if got := policy(config.Console{Enabled: true, ClientID: "console", Issuer: issuer + "/"}); strings.Contains(got, "tokens.example.com") {
		t.Errorf("with another issuer's document: %q", got)
	}
	if got := policy(config.Console{Enabled: true}); !strings.Contains(got, "connect-src 'self';") || asked != 2 {
		t.Errorf("without sign-in: %q, asked %d times", got, asked)
	}
	if newConsole(config.Console{}) != nil {
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
	p := &provider{issuer: server.URL, client: server.Client()}
	for range 5 {
		if got := p.endpoints(); got != nil {
			t.Errorf("endpoints %q", got)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}
