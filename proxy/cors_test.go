package proxy_test

import (
	"net/http"
	"testing"
)

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
