package auth_test

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/fence"
)

// forge signs what the issuer could have said, with somebody's key.
func forge(t *testing.T, k authtest.Key, issuer, aud string) string {
	t.Helper()
	return k.Token(t, nil, map[string]any{
		"iss": issuer, "aud": aud, "sub": "forged", "tenant_id": "acme", "exp": time.Now().Add(time.Hour).Unix(),
	})
}

// rsaKey is one that no other test has: those of authtest are drawn from four.
func rsaKey(t *testing.T) authtest.Key {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return authtest.Key{ID: "key-" + rand.Text()[:8], Alg: "RS256", Private: k}
}

// withID is a key under the name of another.
func withID(k authtest.Key, id string) authtest.Key {
	k.ID = id
	return k
}

// People come with the ID token of their login, alert rules, which have no
// user, with the token of a machine. Grafana sends the machine's with every
// request of the datasource.
func TestPeopleAndAlertRulesShareADatasource(t *testing.T) {
	t.Parallel()
	people, machines, behind := newProvider(t), newProvider(t), harness.Answering(t)
	people.names("id1", map[string]any{"tenant_id": "acme"})
	people.names("id2", map[string]any{"tenant_id": "globex"})
	machines.names("grafana-alerting", map[string]any{"tenant_id": "acme"}) // the fixed tenant counts, not this
	secret := rand.Text() + rand.Text()
	f := fence.Start(t, "UPSTREAM_URL="+behind.URL, "CONFIG="+file(t, "promfence.yaml", fmt.Sprintf(`
auth:
  token_headers: [X-Id-Token, X-Service-Token]
  issuers:
    - issuer: %s
      audience: grafana
    - issuer: %s
      audience: promfence
      tenant: ops
    - issuer: reports
      audience: promfence
      hmac_secret_file: %s
      tenant: reports
`, people.URL, machines.URL, file(t, "secret", secret+"\n"))))

	service := http.Header{"X-Service-Token": {machines.machineToken(t, "grafana-alerting")}}
	person := func(user string) http.Header {
		l := people.login(t, user)
		h := maps.Clone(service)
		h["Authorization"], h["X-Id-Token"] = []string{"Bearer " + l.Access}, []string{l.ID}
		h["Cookie"] = []string{"grafana_session=0f5b8c"}
		return h
	}
	acme, globex := person("test-user@127.0.0.1"), person("test-user2")
	reads(t, f, behind, acme, "acme")
	reads(t, f, behind, globex, "globex")
	reads(t, f, behind, service, "ops")
	hmac := authtest.Key{Alg: "HS256", Private: []byte(secret)}
	reads(t, f, behind, http.Header{"X-Service-Token": {forge(t, hmac, "reports", audience)}}, "reports")

	refusals := map[string]struct {
		change func(http.Header)
		status int
	}{
		"a bad login is not rescued by the machine": {func(h http.Header) { h["X-Id-Token"][0] += "A" }, 401},
		"an empty login is one":                     {func(h http.Header) { h["X-Id-Token"] = []string{""} }, 401},
		"two logins":                                {func(h http.Header) { h["X-Id-Token"] = []string{acme["X-Id-Token"][0], globex["X-Id-Token"][0]} }, 401},
		"the machine in the place of a login, for another audience": {func(h http.Header) {
			h["X-Id-Token"] = []string{forge(t, machines.key(), machines.URL, "grafana")}
		}, 401},
		"a person's access token alone": {func(h http.Header) { delete(h, "X-Id-Token"); delete(h, "X-Service-Token") }, 401},
	}
	for name, tt := range refusals {
		t.Run(name, func(t *testing.T) {
			h := person("test-user@127.0.0.1")
			tt.change(h)
			refused(t, f, behind, h, tt.status)
		})
	}
}

func TestAKeyOfOneIssuerNeverVerifiesAnothersToken(t *testing.T) {
	t.Parallel()
	a, b, behind := newProvider(t), newProvider(t), harness.Answering(t)
	ka, kb := rsaKey(t), rsaKey(t)
	a.rotate(ka)
	b.rotate(kb)
	a.retire()
	b.retire()
	f := fence.Start(t, "UPSTREAM_URL="+behind.URL, "CONFIG="+file(t, "promfence.yaml", fmt.Sprintf(`
auth:
  issuers:
    - {issuer: %s, audience: for-a}
    - {issuer: %s, audience: for-b, tenant: ops}
`, a.URL, b.URL)))
	reads(t, f, behind, bearer(forge(t, ka, a.URL, "for-a")), "acme")
	reads(t, f, behind, bearer(forge(t, kb, b.URL, "for-b")), "ops")
	attacks := map[string]string{
		"b signs as a":                  forge(t, kb, a.URL, "for-a"),
		"b signs as a, as a's key":      forge(t, withID(kb, ka.ID), a.URL, "for-a"),
		"b signs as a, as no key":       forge(t, withID(kb, ""), a.URL, "for-a"),
		"a signs as b":                  forge(t, ka, b.URL, "for-b"),
		"a signs as b, as b's key":      forge(t, withID(ka, kb.ID), b.URL, "for-b"),
		"a signs as b, as no key":       forge(t, withID(ka, ""), b.URL, "for-b"),
		"a for b's audience":            forge(t, ka, a.URL, "for-b"),
		"b for a's audience":            forge(t, kb, b.URL, "for-a"),
		"b signs as a for b's audience": forge(t, kb, a.URL, "for-b"),
	}
	for name, token := range attacks {
		t.Run(name, func(t *testing.T) { refused(t, f, behind, bearer(token), http.StatusUnauthorized) })
	}
}

// Grafana signs who is logged in, for all its organizations with one key, which
// it publishes itself. The audience tells them apart.
func TestGrafanasOwnSignature(t *testing.T) {
	t.Parallel()
	k, behind := authtest.NewKey(t, "ES256"), harness.Answering(t)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/signing-keys/keys", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(authtest.JWKS(k))
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	f := fence.Start(t, "UPSTREAM_URL="+behind.URL, "CONFIG="+file(t, "promfence.yaml", fmt.Sprintf(`
auth:
  token_headers: [X-Grafana-Id]
  issuers:
    - {issuer: %[1]s/, audience: "org:1", jwks_url: %[1]s/api/signing-keys/keys, tenant: acme}
    - {issuer: %[1]s/, audience: "org:2", jwks_url: %[1]s/api/signing-keys/keys, tenant: globex}
`, s.URL)))
	id := func(org string) http.Header {
		token := k.Token(t, map[string]any{"typ": "jwt"}, map[string]any{
			"iss": s.URL + "/", "aud": "org:" + org, "sub": "user:1", "identifier": "1", "type": "user",
			"iat": time.Now().Unix(), "exp": time.Now().Add(10 * time.Minute).Unix(),
			"authenticatedBy": "oauth_generic_oauth", "email": "someone@example.com",
		})
		// What else Grafana forwards is nobody's business.
		return http.Header{"X-Grafana-Id": {token}, "X-Id-Token": {"eyJhbGciOi"}, "Authorization": {"Bearer glsa_hidden"}}
	}
	reads(t, f, behind, id("1"), "acme")
	reads(t, f, behind, id("2"), "globex")
	refused(t, f, behind, id("3"), http.StatusUnauthorized)
	alone := id("1")
	delete(alone, "X-Grafana-Id")
	refused(t, f, behind, alone, http.StatusUnauthorized)
}

// Some providers let only claims through whose name is a URL of their customer.
func TestAClaimThatIsNamedByAURL(t *testing.T) {
	t.Parallel()
	for _, claim := range []string{`"https://example.com/tenant_id"`, "/https:~1~1example.com~1tenant_id"} {
		t.Run(strings.NewReplacer("/", "_").Replace(claim), func(t *testing.T) {
			p, behind := newProvider(t), harness.Answering(t)
			p.names("spa", map[string]any{"https://example.com/tenant_id": "acme", "tenant_id": "globex"})
			p.names("plain", map[string]any{"tenant_id": "globex"})
			p.names("nested", map[string]any{"https://example": map[string]any{"com/tenant_id": "globex"}})
			f := fence.Start(t, discovered(p, behind, "AUTH_TENANT_CLAIM="+claim)...)
			reads(t, f, behind, bearer(p.machineToken(t, "spa")), "acme")
			for _, other := range []string{"plain", "nested"} {
				got := refused(t, f, behind, bearer(p.machineToken(t, other)), http.StatusForbidden)
				if strings.Contains(got.Body, "globex") {
					t.Errorf("%s: the refusal tells the claim: %s", other, got.Body)
				}
			}
		})
	}
}

// With the default header, the access token is the credential even where an ID
// token is beside it, and some providers' access tokens are no JWT.
func TestWhatGrafanaForwardsCountsByTheHeadersThatAreSet(t *testing.T) {
	t.Parallel()
	p, behind := newProvider(t), harness.Answering(t)
	p.names("id2", map[string]any{"tenant_id": "globex"})
	p.names("acme", map[string]any{"tenant_id": "acme"})
	l, access := p.login(t, "test-user2"), p.machineToken(t, "acme")
	f := fence.Start(t, discovered(p, behind)...)
	reads(t, f, behind, http.Header{"Authorization": {"Bearer " + access}, "X-Id-Token": {l.ID}}, "acme")
	refused(t, f, behind, http.Header{"Authorization": {"Bearer " + l.Access}, "X-Id-Token": {l.ID}}, http.StatusUnauthorized)
	refused(t, f, behind, http.Header{"X-Id-Token": {access}}, http.StatusUnauthorized)
	refused(t, f, behind, http.Header{}, http.StatusUnauthorized)
}
