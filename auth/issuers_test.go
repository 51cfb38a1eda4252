package auth_test

import (
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/authtest"
)

// People come through the company's provider, Grafana's alerting with a machine
// token of another issuer that stands for a fixed tenant.
func TestSeveralIssuers(t *testing.T) {
	people, grafana, scripts := authtest.NewIssuer(t), authtest.NewIssuer(t), authtest.NewIssuer(t)
	secret := authtest.NewKey(t, "HS256")
	a := ready(t, start(t, auth.Options{
		Issuer: people.URL, Audience: []string{authtest.Audience}, Algorithms: []string{"RS256"},
		Issuers: []auth.IssuerOptions{
			{Issuer: grafana.URL, Audience: []string{"org:1"}, JWKSURL: grafana.JWKSURL, Tenants: []string{"ops", "acme"}},
			{Issuer: people.URL, Audience: []string{"api"}, PublicKeyFile: file(t, "key.pem", scripts.Key().PEM(t)), TenantClaim: "org.id"},
			{Issuer: "machines", Audience: []string{authtest.Audience}, HMACSecretFile: file(t, "secret", secret.Private.([]byte))},
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
		o.Issuers = []auth.IssuerOptions{{Issuer: "other", Audience: []string{"x"}, JWKSFile: file(t, "jwks.json", authtest.JWKS(other))}}
		i.Fail(500)
		a, err := auth.New(o) // without Run: a file's watch would stop the bubble's clock
		if err != nil {
			t.Fatal(err)
		}
		wantTenants(t, a, bearer(t, other.Token(t, nil, i.Claims("acme", map[string]any{"iss": "other", "aud": "x"}))), "acme")
		wantReason(t, a, bearer(t, plain(t, i)), auth.Unavailable)
		if a.Ready() == nil {
			t.Error("ready before the provider was asked")
		}
	})
}

// A new replica serves the callers of those issuers whose keys it has. One that is
// down, or that publishes nothing to verify with, stops its own callers only.
func TestIssuerWithoutKeysStopsNobodyElse(t *testing.T) {
	odd := authtest.NewKey(t, "ES256").JWK()
	odd["alg"] = "ESP256"
	for name, down := range map[string]http.HandlerFunc{
		"that fails": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"that hangs": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"whose only key is skipped": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(authtest.JWKSOf(odd))
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, i *authtest.Issuer) {
				other := authtest.NewOfflineIssuer(t)
				other.Respond(down)
				var log bytes.Buffer
				o := options(i)
				o.HTTPClient, o.Logger = between(i, other), slog.New(slog.NewTextHandler(&log, nil))
				o.Issuers = []auth.IssuerOptions{{Issuer: "other", Audience: []string{"x"}, JWKSURL: "https://other.test/jwks"}}
				a := start(t, o)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if err := a.Ready(); err != nil {
					t.Errorf("Ready: %v", err)
				}
				wantTenants(t, a, bearer(t, plain(t, i)), "acme")
				lost := bearer(t, other.Token(t, "acme", map[string]any{"iss": "other", "aud": "x"}))
				if e := refusedFor(t, a, lost, auth.Unavailable); e.RetryAfter < time.Second {
					t.Errorf("retry after %s", e.RetryAfter)
				}
				if diff := cmp.Diff([]string{"other"}, a.Without()); diff != "" {
					t.Error(diff)
				}
				if all := gather(t, a); all["promfence_issuer_keys other"] != 0 || all["promfence_issuer_keys "+i.URL] != 1 {
					t.Errorf("the metric says %v", all)
				}
				if text := log.String(); !strings.Contains(text, "no keys of this issuer yet") || !strings.Contains(text, "issuer=other") || strings.Contains(text, "keeping those we have") {
					t.Errorf("the log does not name who is missing:\n%s", text)
				}
				other.Respond(nil)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				wantTenants(t, a, lost, "acme")
				if n := gather(t, a)["promfence_issuer_keys other"]; n != 1 || len(a.Without()) != 0 {
					t.Errorf("the metric says %v, without keys are %q", n, a.Without())
				}
			})
		})
	}
}

// With no keys at all nobody can be served, and a balancer should know.
func TestNotReadyWithoutAnyKeys(t *testing.T) {
	bubble(t, func(t *testing.T, i *authtest.Issuer) {
		i.Fail(http.StatusBadGateway)
		o := options(i)
		o.Issuers = []auth.IssuerOptions{{Issuer: "other", Audience: []string{"x"}, JWKSURL: i.JWKSURL}}
		a := start(t, o)
		time.Sleep(time.Minute)
		if err := a.Ready(); err == nil || !strings.Contains(err.Error(), i.URL) || !strings.Contains(err.Error(), "other") {
			t.Errorf("Ready: %v", err)
		}
	})
}

// between is a client that reaches one issuer at other.test and one elsewhere.
func between(i, other *authtest.Issuer) *http.Client {
	return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == "other.test" {
			return other.Client().Transport.RoundTrip(r)
		}
		return i.Client().Transport.RoundTrip(r)
	})}
}

// Whoever replaces an Authenticator loses no keys of an issuer that stays, even
// while that issuer is down, and waits for one that changed.
func TestReplacing(t *testing.T) {
	// Package net makes what its resolver needs once: not in a bubble, whose end it
	// would not outlive. An issuer with authorities of its own is asked by a real client.
	_, _ = net.DefaultResolver.LookupHost(t.Context(), "localhost")
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, o *auth.Options)
		keeps  bool
		lacks  bool
	}{
		{"nothing of the issuer", func(_ *testing.T, o *auth.Options) { o.MaxTenants = 3 }, true, false},
		{"what a token must say", func(_ *testing.T, o *auth.Options) {
			o.Audience, o.TenantClaim = []string{"new", authtest.Audience}, "sub"
		}, true, false},
		{"another issuer, which is down, is new", func(_ *testing.T, o *auth.Options) {
			o.Issuers = []auth.IssuerOptions{{Issuer: "new", Audience: []string{"x"}, JWKSURL: "https://issuer.test/jwks"}}
		}, true, false},
		{"where its keys are", func(_ *testing.T, o *auth.Options) { o.JWKSURL += "?new" }, false, true},
		{"its algorithms", func(_ *testing.T, o *auth.Options) { o.Algorithms = []string{"RS256"} }, false, true},
		{"its authorities", func(t *testing.T, o *auth.Options) { o.CAFile = file(t, "ca.pem", certificate(t)) }, false, true},
		{"its name, so that nobody has keys", func(_ *testing.T, o *auth.Options) { o.Issuer = "https://new.test" }, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, i *authtest.Issuer) {
				previous := running(t, i)
				i.Fail(http.StatusBadGateway)
				o := options(i)
				tt.change(t, &o)
				o.Previous = previous
				a := start(t, o)
				synctest.Wait()
				r := bearer(t, plain(t, i))
				if _, err := a.Authenticate(r); (err == nil) != tt.keeps {
					t.Errorf("Authenticate: %v, want the keys kept: %v", err, tt.keeps)
				}
				if lacks := a.Lacks(previous); (len(lacks) > 0) != tt.lacks {
					t.Errorf("lacks %q, want something: %v", lacks, tt.lacks)
				}
			})
		})
	}
	t.Run("whose file is broken meanwhile", func(t *testing.T) {
		i := authtest.NewOfflineIssuer(t)
		path := file(t, "jwks.json", authtest.JWKS(i.Key()))
		o := options(i)
		o.JWKSURL, o.JWKSFile = "", path
		previous, err := auth.New(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := auth.New(o); err == nil {
			t.Error("a start took a broken file")
		}
		var log bytes.Buffer
		o.Previous, o.Logger = previous, slog.New(slog.NewTextHandler(&log, nil))
		a, err := auth.New(o)
		if err != nil {
			t.Fatal(err)
		}
		wantTenants(t, a, bearer(t, plain(t, i)), "acme")
		if !strings.Contains(log.String(), "keys not reloaded") {
			t.Errorf("the log does not say so:\n%s", &log)
		}
	})
}

// Several audiences, and providers that name them elsewhere.
func TestAudiences(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	several := fixedKeys(t, i, func(o *auth.Options) { o.Audience = []string{"grafana", "cli"} })
	cognito := fixedKeys(t, i, func(o *auth.Options) { o.Audience, o.AudienceClaim = []string{"grafana", "cli"}, "client_id" })
	nested := fixedKeys(t, i, func(o *auth.Options) { o.Audience, o.AudienceClaim = []string{"grafana"}, "app.id" })
	for _, tt := range []struct {
		name   string
		a      *auth.Authenticator
		claims map[string]any
		want   auth.Reason // "": accepted
	}{
		{"the first", several, map[string]any{"aud": "grafana"}, ""},
		{"the second among others", several, map[string]any{"aud": []string{"x", "cli"}}, ""},
		{"none of them", several, map[string]any{"aud": []string{"x", "grafana,cli"}}, auth.WrongAudience},
		{"in the claim that counts by default only", several, map[string]any{"aud": nil, "client_id": "cli"}, auth.WrongAudience},
		{"in the configured claim", cognito, map[string]any{"aud": nil, "client_id": "cli"}, ""},
		{"in the configured claim, whatever aud is", cognito, map[string]any{"aud": 1, "client_id": "cli"}, ""},
		{"in aud, which does not count", cognito, map[string]any{"aud": "cli"}, auth.WrongAudience},
		{"another in the configured claim", cognito, map[string]any{"aud": "cli", "client_id": "x"}, auth.WrongAudience},
		{"a number in the configured claim", cognito, map[string]any{"client_id": 1}, auth.Malformed},
		{"nested", nested, map[string]any{"app": map[string]any{"id": "grafana"}}, ""},
		{"nested and missing", nested, map[string]any{"app": map[string]any{"Id": "grafana"}}, auth.WrongAudience},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := bearer(t, i.Token(t, "acme", tt.claims))
			if tt.want == "" {
				wantTenants(t, tt.a, r, "acme")
				return
			}
			if e := refusedFor(t, tt.a, r, tt.want); tt.want == auth.WrongAudience && !strings.Contains(e.Message, `"grafana"`) {
				t.Errorf("message %q does not say what was expected", e.Message)
			}
		})
	}
}

// While one source of an issuer never answered, its tokens may be good.
func TestOneOfTwoSourcesDown(t *testing.T) {
	t.Parallel() // it waits for another try
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
		o.Audience, o.InsecureAnyAudience = nil, true
		a := start(t, o)
		synctest.Wait()
		for _, aud := range []any{nil, "x", []string{"x", "y"}, []string{}} {
			wantTenants(t, a, bearer(t, i.Token(t, "acme", map[string]any{"aud": aud})), "acme")
		}
		wantReason(t, a, bearer(t, i.Token(t, "acme", map[string]any{"aud": 1})), auth.Malformed)
		time.Sleep(time.Second)
	})
}
