package auth_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/authtest"
)

func TestProbeTellsWhatEachIssuerHas(t *testing.T) {
	i, dead := authtest.NewOfflineIssuer(t), authtest.NewOfflineIssuer(t)
	rsa, ec, weak := authtest.NewKey(t, "RS256"), authtest.NewKey(t, "ES256"), authtest.NewKey(t, "ES256").JWK()
	weak["use"] = "enc"
	i.Respond(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(authtest.JWKSOf(rsa.JWK(), weak, ec.JWK()))
	})
	dead.Fail(http.StatusBadGateway)
	a, err := auth.New(auth.Options{
		Issuer: i.URL, Audience: []string{"a"}, JWKSURL: i.JWKSURL + "?key=hidden", HTTPClient: between(i, dead),
		Issuers: []auth.IssuerOptions{
			{Issuer: "https://other.test", Audience: []string{"a"}, JWKSURL: "https://other.test/jwks", PublicKeyFile: file(t, "key.pem", ec.PEM(t))},
			{Issuer: "machines", Audience: []string{"a"}, HMACSecretFile: file(t, "secret", []byte(strings.Repeat("s", 32)))},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := a.Probe(t.Context())
	want := []auth.Probe{
		{Issuer: i.URL, URL: i.JWKSURL + "?xxxxx", Keys: 2, Algorithms: []string{"ES256", "RS256"}, Skipped: []string{`key 2: for another use ("enc")`}},
		{Issuer: "https://other.test", At: "Issuers[0].", URL: "https://other.test/jwks"},
		{Issuer: "machines", At: "Issuers[1].", Keys: 1, Algorithms: []string{"HS256", "HS384", "HS512"}},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(auth.Probe{}, "Err")); diff != "" {
		t.Error(diff)
	}
	if got[0].Err != nil || got[1].Err == nil || got[2].Err != nil {
		t.Errorf("errors %v, %v, %v", got[0].Err, got[1].Err, got[2].Err)
	}
	// Asking gives nobody keys.
	if without := a.Without(); !slices.Contains(without, i.URL) {
		t.Errorf("without keys are %q", without)
	}
}

// A server that never answers ends the question, not the one who asks.
func TestProbeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, err := auth.New(auth.Options{
			Issuer: "https://idp.test", Audience: []string{"a"},
			HTTPClient: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			})},
		})
		if err != nil {
			t.Fatal(err)
		}
		if p := a.Probe(t.Context())[0]; p.Err == nil {
			t.Errorf("%+v", p)
		}
	})
}

func TestDiscoverAsksWithTheIssuersOwnAccess(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	s := newAPIServer(t, func() []byte { return authtest.JWKS(i.Key()) })
	o := auth.Options{
		Issuer: s.URL, Audience: []string{"a"}, CAFile: file(t, "ca.pem", s.ca), BearerTokenFile: file(t, "token", []byte("first")),
		Issuers: []auth.IssuerOptions{{Issuer: "machines", Audience: []string{"a"}, HMACSecretFile: file(t, "secret", []byte(strings.Repeat("s", 32)))}},
	}
	a, err := auth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := a.Discover(t.Context(), s.URL); err != nil || got.Keys != s.URL+"/openid/v1/jwks" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := a.Discover(t.Context(), "https://other.test"); err == nil || !strings.Contains(err.Error(), "no issuer") {
		t.Errorf("somebody else's document: %v", err)
	}
	if _, err := a.Discover(t.Context(), "machines"); err == nil {
		t.Error("an issuer without a server has a document")
	}
	if err := os.Remove(filepath.Clean(o.BearerTokenFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Discover(t.Context(), s.URL); err == nil || errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "bearer_token_file") {
		t.Errorf("without its token: %v", err)
	}
}
