package auth_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/proxy"
	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/fence"
	"github.com/promfence/promfence/test/harness/upstream"
)

func TestWhoProvesNoTenantIsTurnedAwayBeforeTheUpstream(t *testing.T) {
	behind := harness.Answering(t)
	f := fence.Before(t, behind.URL)
	other, key := authtest.NewIssuer(t), f.Issuer.Key()
	claims := func(tenant any, more map[string]any) map[string]any { return f.Issuer.Claims(tenant, more) }
	forger := authtest.NewKey(t, "RS256")
	forger.ID = key.ID
	confused := authtest.Key{ID: key.ID, Alg: "HS256", Private: key.PEM(t)}
	valid := key.Token(t, nil, claims("acme", nil))
	ago := func(d time.Duration) int64 { return time.Now().Add(-d).Unix() }

	tests := map[string]struct {
		authorization string
		status        int
	}{
		"no token":                           {"", 401},
		"an empty token":                     {"Bearer ", 401},
		"not a token":                        {"Bearer acme", 401},
		"another scheme":                     {"Basic YWNtZTphY21l", 401},
		"an expired token":                   {"Bearer " + key.Token(t, nil, claims("acme", map[string]any{"exp": ago(time.Minute)})), 401},
		"a token that never expires":         {"Bearer " + key.Token(t, nil, claims("acme", map[string]any{"exp": nil})), 401},
		"a token for tomorrow":               {"Bearer " + key.Token(t, nil, claims("acme", map[string]any{"nbf": ago(-20 * time.Hour)})), 401},
		"a forged signature under our kid":   {"Bearer " + forger.Token(t, nil, claims("acme", nil)), 401},
		"a changed claim":                    {"Bearer " + swapClaims(valid, forger.Token(t, nil, claims("globex", nil))), 401},
		"a signature cut off":                {"Bearer " + valid[:strings.LastIndex(valid, ".")+1], 401},
		"the algorithm none":                 {"Bearer " + unsignedToken(t, claims("acme", nil)), 401},
		"the public key as a shared secret":  {"Bearer " + confused.Token(t, nil, claims("acme", nil)), 401},
		"a foreign issuer":                   {"Bearer " + other.Token(t, "acme", nil), 401},
		"a foreign issuer's key, our issuer": {"Bearer " + other.Token(t, "acme", map[string]any{"iss": f.Issuer.URL}), 401},
		"a foreign audience":                 {"Bearer " + key.Token(t, nil, claims("acme", map[string]any{"aud": "grafana"})), 401},
		"no audience":                        {"Bearer " + key.Token(t, nil, claims("acme", map[string]any{"aud": nil})), 401},
		"two tokens in one line":             {"Bearer " + valid + ", Bearer " + valid, 401},
		"no tenant":                          {"Bearer " + key.Token(t, nil, claims(nil, nil)), 403},
		"an empty tenant":                    {"Bearer " + key.Token(t, nil, claims("", nil)), 403},
		"a fraction for a tenant":            {"Bearer " + key.Token(t, nil, claims(7.5, nil)), 403},
		"no tenant in the list":              {"Bearer " + key.Token(t, nil, claims([]string{}, nil)), 403},
		"an empty tenant in the list":        {"Bearer " + key.Token(t, nil, claims([]string{"acme", ""}, nil)), 403},
		"a line break in the tenant":         {"Bearer " + key.Token(t, nil, claims("acme\nglobex", nil)), 403},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for method, path := range proxy.Endpoints() {
				path = strings.Replace(path, "{name}", "job", 1)
				req, err := http.NewRequestWithContext(t.Context(), method, f.URL+path+"?query=up", nil)
				if err != nil {
					t.Fatal(err)
				}
				if tt.authorization != "" {
					req.Header.Set("Authorization", tt.authorization)
				}
				got := harness.Do(t, req)
				if got.Status != tt.status {
					t.Errorf("%s %s: %d, want %d: %s", method, path, got.Status, tt.status, got.Body)
				}
				if challenge := got.Header.Get("WWW-Authenticate"); (tt.status == 401) != strings.HasPrefix(challenge, "Bearer") {
					t.Errorf("%s %s: WWW-Authenticate: %q", method, path, challenge)
				}
			}
			for _, asked := range behind.Take() {
				t.Errorf("the upstream was asked %s %s", asked.Method, asked.Path)
			}
		})
	}
	if status, body := harness.Fetch(t, f.URL+"/api/v1/query", valid, harness.Form("query", "up")); status != 200 || len(behind.Take()) != 1 {
		t.Errorf("and with a valid token: %d %s", status, body)
	}
}

func TestATokenInTheURLOrOnTwoLinesIsNone(t *testing.T) {
	behind := harness.Answering(t)
	f := fence.Before(t, behind.URL)
	valid := f.Token(t, "acme")
	for _, name := range []string{"access_token", "token", "jwt"} {
		if status, _ := harness.Fetch(t, f.URL+"/api/v1/query", "", harness.Form("query", "up", name, valid)); status != 401 {
			t.Errorf("%s in the URL: %d", name, status)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.URL+"/api/v1/query?query=up", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header["Authorization"] = []string{"Bearer " + valid, "Bearer " + valid}
	if got := harness.Do(t, req); got.Status != 401 {
		t.Errorf("two lines: %d %s", got.Status, got.Body)
	}
	if asked := behind.Take(); len(asked) > 0 {
		t.Errorf("the upstream was asked %v", asked)
	}
}

func TestWithoutKeysTheAnswerIsLaterNotNever(t *testing.T) {
	behind := harness.Answering(t)
	issuer := authtest.NewIssuer(t)
	issuer.Fail(http.StatusInternalServerError)
	f := fence.Launch(t, append(fence.Trust(issuer), "UPSTREAM_URL="+behind.URL)...)
	got := harness.Send(t, http.MethodGet, f.URL+"/api/v1/query", issuer.Token(t, "acme", nil), harness.Form("query", "up"))
	if got.Status != 503 || got.Header.Get("Retry-After") == "" || !strings.Contains(got.Body, `"errorType":"unavailable"`) {
		t.Errorf("while the issuer is down: %d, Retry-After %q: %s", got.Status, got.Header.Get("Retry-After"), got.Body)
	}
	if status, _ := harness.Fetch(t, f.URL+"/-/ready", "", nil); status != 503 {
		t.Errorf("ready while the issuer is down: %d", status)
	}
	if status, _ := harness.Fetch(t, f.URL+"/-/healthy", "", nil); status != 200 {
		t.Errorf("healthy while the issuer is down: %d", status)
	}
	issuer.Fail(0)
	err := upstream.Poll(t.Context(), 20*time.Second, func() error {
		if status, body := harness.Fetch(t, f.URL+"/api/v1/query", issuer.Token(t, "acme", nil), harness.Form("query", "up")); status != 200 {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
	if err != nil {
		t.Errorf("after the issuer is back: %v", err)
	}
}

func TestNoCredentialReachesTheUpstreamOrTheLog(t *testing.T) {
	behind := harness.Answering(t)
	f := fence.Before(t, behind.URL, "LOG_LEVEL=debug")
	valid := f.Token(t, "acme")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.URL+"/api/v1/query?query=up", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+valid)
	for _, name := range []string{"Cookie", "X-Id-Token", "X-Grafana-Id", "X-Scope-OrgID", "THANOS-TENANT", "X-Forwarded-User", "Proxy-Authorization"} {
		req.Header.Set(name, "secret-globex")
	}
	if got := harness.Do(t, req); got.Status != 200 {
		t.Fatalf("%d %s", got.Status, got.Body)
	}
	for _, asked := range behind.Take() {
		if text := fmt.Sprint(asked.Header); strings.Contains(text, "secret-globex") || strings.Contains(text, valid) {
			t.Errorf("the upstream got %s", text)
		}
	}
	signature := valid[strings.LastIndex(valid, "."):]
	if text := f.Log(); strings.Contains(text, signature) || strings.Contains(text, "secret-globex") {
		t.Errorf("the log has a credential:\n%s", text)
	}
}

// unsignedToken spells one with the algorithm none (RFC 7515 appendix A.5).
func unsignedToken(t *testing.T, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	return b64([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + b64(payload) + "."
}

// swapClaims puts the claims of another token between the header and the
// signature of a good one.
func swapClaims(good, other string) string {
	g, o := strings.Split(good, "."), strings.Split(other, ".")
	return g[0] + "." + o[1] + "." + g[2]
}
