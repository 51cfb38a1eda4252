package proxy_test

import (
	"net/http"
	"strings"
	"testing"
)

// Tracing libraries add headers of theirs to every call of a page.
func TestPreflightAllowsTheHeadersThatAPageAsksFor(t *testing.T) {
	const fixed = "Accept, Content-Type, X-Request-Id, X-Promfence-Policy, X-Promfence-Tenant, Authorization"
	many := strings.TrimSuffix(strings.Repeat("x-a,", 101), ",")
	f := newFence(t, nil)
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
			r := f.Request(t, "OPTIONS", "/api/v1/query", "")
			r.Header = http.Header{
				"Origin": {"https://app.example.com"}, "Access-Control-Request-Method": {"GET"}, "Access-Control-Request-Headers": tt.asked,
			}
			resp, _ := f.Do(t, r)
			if got := resp.Header.Get("Access-Control-Allow-Headers"); resp.StatusCode != http.StatusNoContent || got != tt.want {
				t.Errorf("%d, allowed %q, want %q", resp.StatusCode, got, tt.want)
			}
		})
	}
}

// A preflight needs no token, so nothing else may pass for one.
func TestAPreflightIsAnOPTIONSRequestOfAPage(t *testing.T) {
	f := newFence(t, nil)
	for _, tt := range []struct {
		name, method string
		header       http.Header
	}{
		{"by another method", "GET", http.Header{"Origin": {"https://a"}, "Access-Control-Request-Method": {"GET"}}},
		{"by POST", "POST", http.Header{"Origin": {"https://a"}, "Access-Control-Request-Method": {"POST"}}},
		{"without a page", "OPTIONS", http.Header{"Access-Control-Request-Method": {"GET"}}},
		{"without a question", "OPTIONS", http.Header{"Origin": {"https://a"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := f.Request(t, tt.method, "/api/v1/query?query=up", "")
			r.Header = tt.header
			if resp, body := f.Do(t, r); resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
			if a := f.Asked(); a != nil {
				t.Errorf("the upstream was asked %v", a)
			}
		})
	}
}
