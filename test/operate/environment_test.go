package operate_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/test/harness/fence"
)

// Keys may lie behind a company's proxy. The upstream never does: a proxy would read
// everything, and answer what it likes. Neither host exists, so that whoever is asked
// for it is a proxy (Go takes none for loopback).
func TestKeysComeThroughAProxyAndAnswersDoNot(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	var mu sync.Mutex
	asked := map[string]int{}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked[r.Host]++
		mu.Unlock()
		resp, err := http.Get(issuer.JWKSURL)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		_, _ = io.Copy(w, resp.Body)
	}))
	t.Cleanup(proxy.Close)
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, proxy.URL)
		t.Setenv(strings.ToLower(name), proxy.URL)
	}
	t.Setenv("NO_PROXY", "")
	t.Setenv("no_proxy", "")
	for _, upstream := range []string{"http://upstream.invalid:9090", "https://upstream.invalid:9090"} {
		f := fence.Start(t, "AUTH_ISSUER="+issuer.URL, "AUTH_AUDIENCE="+authtest.Audience, "AUTH_JWKS_URL=http://idp.invalid/keys", "UPSTREAM_URL="+upstream)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.URL+"/api/v1/query?query=up", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+issuer.Token(t, "acme", nil))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusBadGateway {
			t.Errorf("%s: %d", upstream, resp.StatusCode)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if asked["idp.invalid"] < 2 || len(asked) != 1 {
		t.Errorf("the proxy was asked for %v, want the keys of each and nothing else", asked)
	}
}
