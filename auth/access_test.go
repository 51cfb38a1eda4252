package auth_test

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/authtest"
)

// An apiServer serves keys as Kubernetes does: by a certificate of its own
// authority, to whoever shows a token, and each document in one type only.
type apiServer struct {
	*httptest.Server
	ca    []byte
	token atomic.Value
}

func newAPIServer(t *testing.T, keys func() []byte) *apiServer {
	t.Helper()
	s := &apiServer{}
	s.token.Store("first")
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		produces := map[string]string{
			"/.well-known/openid-configuration": "application/json", "/openid/v1/jwks": "application/jwk-set+json",
		}[r.URL.Path]
		switch {
		case produces == "":
			http.NotFound(w, r)
		case r.Header.Get("Authorization") != "Bearer "+s.token.Load().(string):
			w.WriteHeader(http.StatusForbidden)
		case strings.TrimSpace(strings.Split(r.Header.Get("Accept"), ",")[0]) != produces:
			w.WriteHeader(http.StatusNotAcceptable)
		case r.URL.Path == "/openid/v1/jwks":
			_, _ = w.Write(keys())
		default:
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":"%s/openid/v1/jwks"}`, s.URL, s.URL)
		}
	}))
	t.Cleanup(s.Close)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return s
}

func TestKubernetesAsIssuer(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	s := newAPIServer(t, func() []byte { return authtest.JWKS(i.Key()) })
	claims := map[string]any{"iss": s.URL, "kubernetes.io": map[string]any{"namespace": "acme"}}
	token := i.Token(t, nil, claims)
	good := func(t *testing.T) auth.Options {
		return auth.Options{
			Issuer: s.URL, Audience: []string{authtest.Audience}, TenantClaim: `"kubernetes.io".namespace`,
			CAFile: file(t, "ca.crt", s.ca), BearerTokenFile: file(t, "token", []byte("first\n")),
		}
	}
	wantTenants(t, ready(t, start(t, good(t))), bearer(t, token), "acme")
	for name, change := range map[string]func(*auth.Options){
		"without its authority": func(o *auth.Options) { o.CAFile = "" },
		"of another authority":  func(o *auth.Options) { o.CAFile = file(t, "ca.crt", certificate(t)) },
		"without a token":       func(o *auth.Options) { o.BearerTokenFile = "" },
		"with another token":    func(o *auth.Options) { o.BearerTokenFile = file(t, "token", []byte("second")) },
	} {
		t.Run(name, func(t *testing.T) {
			o := good(t)
			change(&o)
			a := start(t, o)
			eventually(t, "tried", func() bool { return strings.Contains(fmt.Sprint(a.Ready()), "no keys yet") })
			wantReason(t, a, bearer(t, token), auth.Unavailable)
		})
	}
}

// A projected token is replaced every hour, an authority once in years: neither
// takes a restart, nor the wait for the next planned fetch.
func TestChangedTokenAndAuthorityAreUsed(t *testing.T) {
	t.Parallel() // it waits for another try
	i := authtest.NewOfflineIssuer(t)
	s := newAPIServer(t, func() []byte { return authtest.JWKS(i.Key()) })
	ca, token := file(t, "ca.crt", certificate(t)), file(t, "token", []byte("second"))
	a := start(t, auth.Options{Issuer: s.URL, Audience: []string{authtest.Audience}, CAFile: ca, BearerTokenFile: token, RefreshInterval: time.Second})
	eventually(t, "tried", func() bool { return strings.Contains(fmt.Sprint(a.Ready()), "no keys yet") })
	for path, content := range map[string][]byte{ca: s.ca, token: []byte("first")} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a.ReadFiles()
	eventually(t, "ready", func() bool { return a.Ready() == nil })
}

// What nobody announces is fetched at the next interval; a changed file announces it.
func TestAChangedTokenIsTriedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, i *authtest.Issuer) {
		o := options(i)
		o.BearerTokenFile, o.RefreshInterval = file(t, "token", []byte("first")), time.Hour
		a := start(t, o)
		time.Sleep(time.Minute)
		a.ReadFiles()
		if n := fetched(i, func() { time.Sleep(time.Minute) }); n != 0 {
			t.Errorf("%d fetches for an unchanged file, want 0", n)
		}
		if err := os.WriteFile(o.BearerTokenFile, []byte("second"), 0o600); err != nil {
			t.Fatal(err)
		}
		n := fetched(i, func() {
			a.ReadFiles()
			time.Sleep(time.Second)
		})
		if n != 1 {
			t.Errorf("%d fetches for a changed file, want 1", n)
		}
	})
}

// The token is for the servers of discovery and keys: not for whom they redirect
// to, and for nobody who listens on the way.
func TestBearerTokenGoesNowhereElse(t *testing.T) {
	for _, tt := range []struct {
		name, jwksURI, redirect string
		want                    map[string]bool // host: with the token
	}{
		{"keys beside the discovery", "https://issuer.test/jwks", "", map[string]bool{"issuer.test": true}},
		{"keys on a server of their own", "https://keys.test/jwks", "", map[string]bool{"issuer.test": true, "keys.test": true}},
		{"redirect to another server", "https://issuer.test/jwks", "https://keys.test/jwks", map[string]bool{"issuer.test": true, "keys.test": false}},
		{"redirect to a subdomain", "https://issuer.test/jwks", "https://keys.issuer.test/jwks", map[string]bool{"issuer.test": true, "keys.issuer.test": false}},
		{"redirect to another path", "https://issuer.test/jwks", "https://issuer.test/keys", map[string]bool{"issuer.test": true, "issuer.test/keys": false}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, i *authtest.Issuer) {
				got := map[string]bool{}
				o := options(i)
				o.JWKSURL, o.BearerTokenFile = "", file(t, "token", []byte("s3cret"))
				o.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					at := r.URL.Host
					if at+r.URL.Path == "issuer.test/keys" {
						at += r.URL.Path
					}
					got[at] = r.Header.Get("Authorization") == "Bearer s3cret"
					switch {
					case strings.HasPrefix(r.URL.Path, "/.well-known/"):
						return answer(fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, i.URL, tt.jwksURI)), nil
					case tt.redirect != "" && r.URL.String() != tt.redirect:
						a := answer("")
						a.StatusCode = http.StatusFound
						a.Header.Set("Location", tt.redirect)
						return a, nil
					}
					return answer(string(authtest.JWKS(i.Key()))), nil
				})}
				a := start(t, o)
				synctest.Wait()
				wantTenants(t, a, bearer(t, plain(t, i)), "acme")
				if fmt.Sprint(got) != fmt.Sprint(tt.want) {
					t.Errorf("the token went to %v, want %v", got, tt.want)
				}
			})
		})
	}
	t.Run("keys over plain http", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			asked := false
			o := auth.Options{
				Issuer: "http://127.0.0.1:1", Audience: []string{"x"}, BearerTokenFile: file(t, "token", []byte("s3cret")),
				Logger: slog.New(slog.NewTextHandler(&log, nil)),
				HTTPClient: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					asked = asked || r.URL.Host == "keys.test"
					return answer(`{"issuer":"http://127.0.0.1:1","jwks_uri":"http://keys.test/jwks"}`), nil
				})},
			}
			start(t, o)
			synctest.Wait()
			if asked || !strings.Contains(log.String(), "over https or loopback only") || strings.Contains(log.String(), "s3cret") {
				t.Errorf("asked: %v, and the log says\n%s", asked, &log)
			}
		})
	})
}
