package openapi_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/promfence/promfence/openapi"
)

const strict = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; " +
	"form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

func TestConsoleIsServedWithItsProgramAndWithout(t *testing.T) {
	for name, h := range map[string]http.Handler{
		"bundled":  openapi.ConsoleWith(compressed(t, "export {}\n"), openapi.SignIn{}),
		"plain":    openapi.ConsoleWith(nil, openapi.SignIn{}),
		"as built": openapi.Console(openapi.SignIn{}),
	} {
		t.Run(name, func(t *testing.T) {
			page := ask(t, h, "GET", "/console")
			if page.status != 200 || !strings.HasPrefix(page.header.Get("Content-Type"), "text/html") {
				t.Fatalf("/console: %d %q", page.status, page.header.Get("Content-Type"))
			}
			for _, found := range regexp.MustCompile(`(?:src|href)="(console/[^"]*)"`).FindAllStringSubmatch(page.body, -1) {
				if got := ask(t, h, "GET", "/"+found[1]); got.status != 200 || got.header.Get("Content-Security-Policy") != strict {
					t.Errorf("%s: %d, policy %q", found[1], got.status, got.header.Get("Content-Security-Policy"))
				}
			}
			if got := page.header.Get("Content-Security-Policy"); got != strict {
				t.Errorf("policy %q", got)
			}
			if strings.Contains(page.body, "//") || strings.Contains(page.body, "<style") || regexp.MustCompile(`<script(?:>|[^>]*>[^<])`).MatchString(page.body) {
				t.Error("the page names another server, or holds an inline style or script")
			}
			for _, path := range []string{"/console/", "/console/../docs", "/console/dist/README", "/console/src/main.js", "/consoles"} {
				if got := ask(t, h, "GET", path).status; got != 404 {
					t.Errorf("%s: %d", path, got)
				}
			}
			if got := ask(t, h, "POST", "/console").status; got != 405 {
				t.Errorf("POST: %d", got)
			}
		})
	}
}

func TestSignInOpensThePolicyForTheProviderOnly(t *testing.T) {
	known := []string{}
	h := openapi.ConsoleWith(compressed(t, "export {}\n"), openapi.SignIn{
		ClientID: "console", Scopes: "openid", Issuer: "https://idp.example.com/realms/a",
		Endpoints: func() []string { return known },
	})
	connect := func() string {
		t.Helper()
		_, rest, _ := strings.Cut(ask(t, h, "GET", "/console").header.Get("Content-Security-Policy"), "connect-src ")
		sources, _, _ := strings.Cut(rest, ";")
		return sources
	}
	if got := connect(); got != "'self' https://idp.example.com" {
		t.Errorf("before the provider was asked: %s", got)
	}
	known = []string{"https://idp.example.com/token", "https://keys.example.com:8443/jwks", "https://*/x", "https://a;script-src *", "javascript:alert(1)", "data:,x", ""}
	if got := connect(); got != "'self' https://idp.example.com https://keys.example.com:8443" {
		t.Errorf("after: %s", got)
	}
	if got := ask(t, h, "GET", "/console/settings.json").body; got != `{"client_id":"console","scopes":"openid","issuer":"https://idp.example.com/realms/a"}` {
		t.Errorf("settings: %s", got)
	}
}
