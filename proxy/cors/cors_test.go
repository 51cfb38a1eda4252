package cors_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/promfence/promfence/proxy/cors"
)

// preflight sends a request to a policy, and returns its answer; 0 = it was no preflight.
func preflight(t *testing.T, p cors.Policy, method string, h http.Header) (int, http.Header) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/api/v1/query", nil)
	r.Header = h
	w := httptest.NewRecorder()
	if !p.Preflight(w, r) {
		return 0, nil
	}
	return w.Code, w.Header()
}

func TestOnlyNamedOriginsMayRead(t *testing.T) {
	origins := map[string][]string{
		"all": {"*"}, "one": {"https://app.example.com"}, "off": nil, "below": {"https://*.example.com", "http://*.local:3000"},
	}
	tests := []struct {
		name, setting, origin, want string
	}{
		{"any page", "all", "https://evil.example", "*"},
		{"no page at all", "all", "", "*"},
		{"a listed page", "one", "https://app.example.com", "https://app.example.com"},
		{"another page", "one", "https://evil.example", ""},
		{"off", "off", "https://app.example.com", ""},
		{"one label below", "below", "https://app-2.example.com", "https://app-2.example.com"},
		{"one label below, with a port", "below", "http://app.local:3000", "http://app.local:3000"},
		{"two labels below", "below", "https://a.b.example.com", ""},
		{"no label below", "below", "https://example.com", ""},
		{"an empty label", "below", "https://.example.com", ""},
		{"another host that ends alike", "below", "https://evilexample.com", ""},
		{"another host that begins alike", "below", "https://app.example.com.evil.example", ""},
		{"another scheme", "below", "http://app.example.com", ""},
		{"another port", "below", "https://app.example.com:8443", ""},
		{"a user before the host", "below", "https://evil.example@x.example.com", ""},
		{"a path in the label", "below", "https://evil.example/.example.com", ""},
		{"the pattern itself", "below", "https://*.example.com", "https://*.example.com"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := cors.New(origins[tt.setting], nil, false)
			h := http.Header{}
			p.Allow(h, tt.origin)
			if got := h.Get("Access-Control-Allow-Origin"); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if varies := h.Get("Vary") == "Origin"; varies != (tt.setting == "one" || tt.setting == "below") {
				t.Errorf("Vary: %q", h["Vary"])
			}
			if tt.origin == "" {
				return // a preflight always names its page
			}
			status, h := preflight(t, p, http.MethodOptions, http.Header{"Origin": {tt.origin}, "Access-Control-Request-Method": {"GET"}})
			if allowed := h.Get("Access-Control-Allow-Headers") != ""; status != http.StatusNoContent || allowed != (tt.want != "") {
				t.Errorf("preflight: %d %v", status, h)
			}
		})
	}
}

// A preflight needs no token, so nothing else may pass for one.
func TestAPreflightIsAnOPTIONSRequestOfAPage(t *testing.T) {
	page, asks := http.Header{"Origin": {"https://a"}}, http.Header{"Access-Control-Request-Method": {"GET"}}
	both := http.Header{"Origin": {"https://a"}, "Access-Control-Request-Method": {"GET"}}
	for _, tt := range []struct {
		name, method string
		header       http.Header
		status       int
	}{
		{"a preflight", http.MethodOptions, both, http.StatusNoContent},
		{"by another method", http.MethodGet, both, 0},
		{"by POST", http.MethodPost, both, 0},
		{"without a page", http.MethodOptions, asks, 0},
		{"without a question", http.MethodOptions, page, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if status, _ := preflight(t, cors.New([]string{"*"}, nil, false), tt.method, tt.header); status != tt.status {
				t.Errorf("answered with %d, want %d", status, tt.status)
			}
		})
	}
}

// Tracing libraries add headers of theirs to every call of a page.
func TestPreflightAllowsTheHeadersThatAPageAsksFor(t *testing.T) {
	const fixed = "Accept, Content-Type, X-Request-Id, X-Promfence-Policy, X-Promfence-Tenant, Authorization"
	many := strings.TrimSuffix(strings.Repeat("x-a,", 101), ",")
	p := cors.New([]string{"*"}, []string{"Authorization"}, false)
	for _, tt := range []struct {
		name  string
		asked []string
		want  string
	}{
		{"tracing", []string{"authorization,baggage,sentry-trace,traceparent,x-datadog-trace-id"}, "authorization, baggage, sentry-trace, traceparent, x-datadog-trace-id"},
		{"blanks", []string{"cache-control, pragma,	x-requested-with"}, "cache-control, pragma, x-requested-with"},
		{"nothing asked", nil, fixed},
		{"nothing in it", []string{""}, fixed},
		{"a hole", []string{"a,,b"}, fixed},
		{"no token", []string{"a,b c"}, fixed},
		{"no ASCII", []string{"a,\u00e9"}, fixed},
		{"two lines", []string{"a", "b"}, fixed},
		{"as many as allowed", []string{many[:len(many)-4]}, strings.ReplaceAll(many[:len(many)-4], ",", ", ")},
		{"more than allowed", []string{many}, fixed},
		{"as long as allowed", []string{strings.Repeat("x", 4096)}, strings.Repeat("x", 4096)},
		{"longer than allowed", []string{strings.Repeat("x", 4097)}, fixed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, h := preflight(t, p, http.MethodOptions, http.Header{
				"Origin": {"https://app.example.com"}, "Access-Control-Request-Method": {"GET"}, "Access-Control-Request-Headers": tt.asked,
			})
			if got := h.Get("Access-Control-Allow-Headers"); status != http.StatusNoContent || got != tt.want {
				t.Errorf("%d, allowed %q, want %q", status, got, tt.want)
			}
		})
	}
}
