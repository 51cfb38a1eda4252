package auth_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/authtest"
)

// People come through the company's provider, Grafana's alerting with a machine
// token of another issuer that stands for a fixed tenant.
func TestSeveralIssuers(t *testing.T) {
	people, grafana, scripts := authtest.NewIssuer(t), authtest.NewIssuer(t), authtest.NewIssuer(t)
	secret := authtest.NewKey(t, "HS256")
	a := ready(t, start(t, auth.Options{
		Issuer: people.URL, Audience: authtest.Audience, Algorithms: []string{"RS256"},
		Issuers: []auth.IssuerOptions{
			{Issuer: grafana.URL, Audience: "org:1", JWKSURL: grafana.JWKSURL, Tenants: []string{"ops", "acme"}},
			{Issuer: people.URL, Audience: "api", PublicKeyFile: file(t, "key.pem", scripts.Key().PEM(t)), TenantClaim: "org.id"},
			{Issuer: "machines", Audience: authtest.Audience, HMACSecretFile: file(t, "secret", secret.Private.([]byte))},
		},
	}))
	org := map[string]any{"id": "initech"}

	wantTenants(t, a, bearer(t, people.Token(t, "acme", nil)), "acme")
	wantTenants(t, a, bearer(t, grafana.Token(t, "globex", map[string]any{"aud": "org:1"})), "acme", "ops")
	wantTenants(t, a, bearer(t, grafana.Token(t, nil, map[string]any{"aud": "org:1"})), "acme", "ops")
	wantTenants(t, a, bearer(t, scripts.Token(t, "acme", map[string]any{"iss": people.URL, "aud": "api", "org": org})), "initech")
	wantTenants(t, a, bearer(t, secret.Token(t, nil, people.Claims("acme", map[string]any{"iss": "machines"}))), "acme")

	for _, tt := range []struct {
		name  string
		token string
		want  auth.Reason
	}{
		{"Grafana's key for a person", grafana.Token(t, "acme", map[string]any{"iss": people.URL}), auth.UnknownKey},
		{"a person's key for Grafana", people.Token(t, nil, map[string]any{"iss": grafana.URL, "aud": "org:1"}), auth.UnknownKey},
		{"Grafana's key under a person's kid", authtest.Key{Alg: "RS256", ID: people.Key().ID, Private: grafana.Key().Private}.
			Token(t, nil, people.Claims("acme", nil)), auth.BadSignature},
		{"the secret for a person", secret.Token(t, nil, people.Claims("acme", nil)), auth.WrongAlgorithm},
		{"a person's key for a machine", people.Token(t, "acme", map[string]any{"iss": "machines"}), auth.WrongAlgorithm},
		{"the same issuer's key for another audience", people.Token(t, nil, map[string]any{"aud": "api", "org": org}), auth.BadSignature},
		{"the other audience's key", scripts.Token(t, "acme", map[string]any{"iss": people.URL}), auth.UnknownKey},
		{"Grafana's audience from a person's issuer", people.Token(t, nil, map[string]any{"aud": "org:1"}), auth.WrongAudience},
		{"a person's audience from Grafana", grafana.Token(t, "acme", nil), auth.WrongAudience},
		{"one audience's claim with the other", scripts.Token(t, "acme", map[string]any{"iss": people.URL, "aud": "api"}), auth.BadTenant},
		{"an issuer that only publishes keys here", scripts.Token(t, "acme", nil), auth.WrongIssuer},
	} {
		t.Run(tt.name, func(t *testing.T) { wantReason(t, a, bearer(t, tt.token), tt.want) })
	}

	t.Run("for two audiences the first issuer counts", func(t *testing.T) {
		both := map[string]any{"iss": people.URL, "aud": []string{"api", authtest.Audience}, "org": org}
		wantTenants(t, a, bearer(t, people.Token(t, "acme", both)), "acme")
		wantReason(t, a, bearer(t, scripts.Token(t, "acme", both)), auth.UnknownKey)
	})
}

// Issuers fail and recover on their own.
func TestOneOfTwoProvidersDown(t *testing.T) {
	bubble(t, func(t *testing.T, i *authtest.Issuer) {
		other := authtest.NewKey(t, "RS256")
		o := options(i)
		o.Issuers = []auth.IssuerOptions{{Issuer: "other", Audience: "x", JWKSFile: file(t, "jwks.json", authtest.JWKS(other))}}
		i.Fail(500)
		a, err := auth.New(o) // without Run: a file's watch would stop the bubble's clock
		if err != nil {
			t.Fatal(err)
		}
		wantTenants(t, a, bearer(t, other.Token(t, nil, i.Claims("acme", map[string]any{"iss": "other", "aud": "x"}))), "acme")
		wantReason(t, a, bearer(t, plain(t, i)), auth.Unavailable)
		if a.Ready() == nil {
			t.Error("ready without the keys of one issuer")
		}
	})
}

// While one source of an issuer never answered, its tokens may be good.
func TestOneOfTwoSourcesDown(t *testing.T) {
	i := authtest.NewIssuer(t)
	i.Fail(500)
	o := options(i)
	inFile := authtest.NewKey(t, "ES256")
	o.JWKSFile = file(t, "jwks.json", authtest.JWKS(inFile))
	a := start(t, o)
	wantTenants(t, a, bearer(t, inFile.Token(t, nil, i.Claims("acme", nil))), "acme")
	wantReason(t, a, bearer(t, plain(t, i)), auth.Unavailable)
	i.Fail(0)
	eventually(t, "accepting the provider's key", accepts(t, a, plain(t, i)))
	wantTenants(t, a, bearer(t, inFile.Token(t, nil, i.Claims("acme", nil))), "acme")
}

func TestAnyAudience(t *testing.T) {
	bubble(t, func(t *testing.T, i *authtest.Issuer) {
		o := options(i)
		o.Audience, o.InsecureAnyAudience = "", true
		a := start(t, o)
		synctest.Wait()
		for _, aud := range []any{nil, "x", []string{"x", "y"}, []string{}} {
			wantTenants(t, a, bearer(t, i.Token(t, "acme", map[string]any{"aud": aud})), "acme")
		}
		wantReason(t, a, bearer(t, i.Token(t, "acme", map[string]any{"aud": 1})), auth.Malformed)
		time.Sleep(time.Second)
	})
}
