package auth_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/authtest"
)

// Every mistake in the settings is found before anything starts, and says which
// setting it is in.
func TestMistakesInOptions(t *testing.T) {
	jwks := file(t, "jwks.json", authtest.JWKS(authtest.NewKey(t, "ES256")))
	secret := file(t, "secret", []byte(strings.Repeat("s", 32)))
	good := func() auth.Options {
		return auth.Options{Issuer: "https://issuer.test", Audience: "promfence"}
	}
	if _, err := auth.New(good()); err != nil {
		t.Fatalf("New: %v", err)
	}
	for _, tt := range []struct {
		name   string
		change func(*auth.Options)
		want   string // "": accepted
	}{
		{"nothing set", func(o *auth.Options) { *o = auth.Options{} }, "auth.issuer: required"},
		{"no issuer", func(o *auth.Options) { o.Issuer = "" }, "auth.issuer: required"},
		{"no audience", func(o *auth.Options) { o.Audience = "" }, "auth.audience: required"},
		{"any audience", func(o *auth.Options) { o.Audience, o.InsecureAnyAudience = "", true }, ""},
		{"audience and any audience", func(o *auth.Options) { o.InsecureAnyAudience = true }, "auth.audience: contradicts"},
		{"issuer without a URL or keys", func(o *auth.Options) { o.Issuer = "accounts" }, "auth.issuer: want http://host"},
		{"issuer with a query and no keys", func(o *auth.Options) { o.Issuer += "?a=b" }, "auth.issuer: want http://host"},
		{"issuer without a URL, with keys", func(o *auth.Options) { o.Issuer, o.JWKSFile = "accounts", jwks }, ""},
		{"JWKS URL without a scheme", func(o *auth.Options) { o.JWKSURL = "issuer.test/jwks" }, "auth.jwks_url: want http://host"},
		{"JWKS URL of another scheme", func(o *auth.Options) { o.JWKSURL = "file:///jwks" }, "auth.jwks_url: want http://host"},
		{"JWKS URL with a password", func(o *auth.Options) { o.JWKSURL = "https://a:hunter2@issuer.test" }, "auth.jwks_url: want no password"},
		{"JWKS URL with a query", func(o *auth.Options) { o.JWKSURL = "https://issuer.test/jwks?p=policy" }, ""},
		{"no such JWKS file", func(o *auth.Options) { o.JWKSFile = jwks + "x" }, "auth.jwks_file: open "},
		{"JWKS file is a folder", func(o *auth.Options) { o.JWKSFile = t.TempDir() }, "auth.jwks_file: "},
		{"JWKS file with a secret", func(o *auth.Options) { o.JWKSFile = secret }, "not a JSON Web Key Set"},
		{"PEM file with a JWKS", func(o *auth.Options) { o.PublicKeyFile = jwks }, "auth.public_key_file: "},
		{"HMAC secret alone", func(o *auth.Options) { o.HMACSecretFile = secret }, ""},
		{"HMAC secret and HS512", func(o *auth.Options) { o.HMACSecretFile, o.Algorithms = secret, []string{"HS512"} }, ""},
		{"HMAC secret and RS256", func(o *auth.Options) { o.HMACSecretFile, o.Algorithms = secret, []string{"RS256"} }, "auth.algorithms: "},
		{"HMAC secret, HS256 and RS256", func(o *auth.Options) { o.HMACSecretFile, o.Algorithms = secret, []string{"HS256", "RS256"} }, "auth.algorithms: "},
		{"HMAC secret next to public keys", func(o *auth.Options) { o.HMACSecretFile, o.JWKSFile = secret, jwks }, "auth.algorithms: "},
		{"HMAC secret next to public keys, both named", func(o *auth.Options) {
			o.HMACSecretFile, o.JWKSFile, o.Algorithms = secret, jwks, []string{"HS256", "ES256"}
		}, ""},
		{"HS256 without a secret", func(o *auth.Options) { o.Algorithms = []string{"RS256", "HS256"} }, "auth.algorithms: HS256, HS384 and HS512 need hmac_secret_file"},
		{"none", func(o *auth.Options) { o.Algorithms = []string{"none"} }, `auth.algorithms: "none" is none of`},
		{"algorithm in lower case", func(o *auth.Options) { o.Algorithms = []string{"rs256"} }, `auth.algorithms: "rs256" is none of`},
		{"algorithms that no key in the file has", func(o *auth.Options) { o.JWKSFile, o.Algorithms = jwks, []string{"RS256"} }, "no usable key in it; key 1: a key for no allowed algorithm"},
		{"claim is a bare URL", func(o *auth.Options) { o.TenantClaim = "https://example.com/tenant_id" }, `auth.tenant_claim: put double quotes`},
		{"claim with an empty name", func(o *auth.Options) { o.TenantClaim = "a..b" }, "auth.tenant_claim: "},
		{"claim ends with a dot", func(o *auth.Options) { o.TenantClaim = "a." }, "auth.tenant_claim: "},
		{"claim begins with a dot", func(o *auth.Options) { o.TenantClaim = ".a" }, "auth.tenant_claim: "},
		{"claim with an open quote", func(o *auth.Options) { o.TenantClaim = `"a` }, "auth.tenant_claim: "},
		{"claim with text after a quote", func(o *auth.Options) { o.TenantClaim = `"a"b` }, "auth.tenant_claim: "},
		{"claim quoted empty", func(o *auth.Options) { o.TenantClaim = `""` }, "auth.tenant_claim: "},
		{"pointer to everything", func(o *auth.Options) { o.TenantClaim = "/" }, "auth.tenant_claim: "},
		{"pointer with a bad escape", func(o *auth.Options) { o.TenantClaim = "/a~2" }, "auth.tenant_claim: "},
		{"leeway below zero", func(o *auth.Options) { o.Leeway = -1 }, "auth.leeway: want 0s to 5m"},
		{"leeway of an hour", func(o *auth.Options) { o.Leeway = time.Hour }, "auth.leeway: want 0s to 5m"},
		{"refresh too often", func(o *auth.Options) { o.RefreshInterval = time.Millisecond }, "auth.refresh_interval: want at least 1s"},
		{"tenants below zero", func(o *auth.Options) { o.MaxTenants = -1 }, "tenancy.max_tenants: "},
		{"cache below zero", func(o *auth.Options) { o.CacheSize = -1 }, "cache"},
		{"token header with a space", func(o *auth.Options) { o.TokenHeaders = []string{"X Token"} }, "auth.token_headers: "},
		{"token header empty", func(o *auth.Options) { o.TokenHeaders = []string{""} }, "auth.token_headers: "},
		{"token header twice", func(o *auth.Options) { o.TokenHeaders = []string{"X-Token", "x-token"} }, "auth.token_headers: X-Token comes twice"},
		{"tenant header with a colon", func(o *auth.Options) { o.TenantHeader = "X:" }, "upstream.tenant_header: "},
		{"issuers alone", func(o *auth.Options) {
			*o = auth.Options{Issuers: []auth.IssuerOptions{{Issuer: "https://a.test", Audience: "x"}}}
		}, ""},
		{"issuers with mistakes", func(o *auth.Options) {
			o.Issuers = []auth.IssuerOptions{{Issuer: "https://a.test", Audience: "x"}, {Issuer: "https://b.test"}}
		}, "auth.issuers[1].audience: required"},
		{"fixed tenant", func(o *auth.Options) {
			o.Issuers = []auth.IssuerOptions{{Issuer: "https://a.test", Audience: "x", Tenants: []string{"acme"}}}
		}, ""},
		{"fixed tenant that is blank", func(o *auth.Options) {
			o.Issuers = []auth.IssuerOptions{{Issuer: "https://a.test", Audience: "x", Tenants: []string{" "}}}
		}, "auth.issuers[0].tenants: tenant 1 of 1 is blank"},
		{"fixed tenant that the upstream cannot be told", func(o *auth.Options) {
			o.TenantHeader = "THANOS-TENANT"
			o.Issuers = []auth.IssuerOptions{{Issuer: "https://a.test", Audience: "x", Tenants: []string{"a", "b"}}}
		}, "auth.issuers[0].tenants: the upstream's header"},
		{"fixed tenant and a claim", func(o *auth.Options) {
			o.Issuers = []auth.IssuerOptions{{Issuer: "https://a.test", Audience: "x", Tenants: []string{"a"}, TenantClaim: "t"}}
		}, "auth.issuers[0].tenant_claim: contradicts"},
		{"issuer and audience twice", func(o *auth.Options) {
			o.Issuers = []auth.IssuerOptions{{Issuer: "https://issuer.test", Audience: "promfence"}}
		}, "auth.issuers[0].issuer: an earlier issuer takes the same tokens"},
		{"issuer twice for any audience", func(o *auth.Options) {
			o.Issuers = []auth.IssuerOptions{{Issuer: "https://issuer.test", InsecureAnyAudience: true}}
		}, "auth.issuers[0].issuer: an earlier issuer takes the same tokens"},
		{"issuer twice for two audiences", func(o *auth.Options) {
			o.Issuers = []auth.IssuerOptions{{Issuer: "https://issuer.test", Audience: "other"}}
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := good()
			tt.change(&o)
			_, err := auth.New(o)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("New: %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("New: %v, want %q in it", err, tt.want)
			case err != nil && strings.Contains(err.Error(), "hunter2"):
				t.Errorf("the error holds a password: %v", err)
			}
		})
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	_, err := auth.New(auth.Options{
		Audience: "x", Leeway: -1, TenantClaim: "a..b", Algorithms: []string{"none"},
		Issuers: []auth.IssuerOptions{{JWKSFile: "/nowhere", Issuer: "https://a.test", Audience: "y"}},
	})
	for _, want := range []string{"auth.issuer:", "auth.leeway:", "auth.tenant_claim:", "auth.algorithms:", "auth.issuers[0].tenant_claim:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New: %v\nwant %q in it", err, want)
		}
	}
}

// A key serves the algorithm that it names, else the allowed ones of its type.
func TestAlgorithmsOfKeys(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	rs, es := authtest.NewKey(t, "RS256"), authtest.NewKey(t, "ES256")
	for _, tt := range []struct {
		name    string
		key     authtest.Key
		jwkAlg  any // nil: none
		allowed []string
		signed  string
		want    auth.Reason // "": accepted
	}{
		{"named", rs, "RS256", nil, "RS256", ""},
		{"another of its type than named", rs, "RS256", nil, "PS256", auth.WrongAlgorithm},
		{"none named, RS256", rs, nil, nil, "RS256", ""},
		{"none named, PS512", rs, nil, nil, "PS512", ""},
		{"none named, of its curve", es, nil, nil, "ES256", ""},
		{"none named, allowed", rs, nil, []string{"RS512"}, "RS512", ""},
		{"none named, not allowed", rs, nil, []string{"RS512"}, "RS256", auth.WrongAlgorithm},
		{"all types with EdDSA", authtest.NewKey(t, "EdDSA"), "EdDSA", nil, "EdDSA", ""},
		{"all types with ES384", authtest.NewKey(t, "ES384"), nil, nil, "ES384", ""},
		{"all types with ES512", authtest.NewKey(t, "ES512"), "ES512", nil, "ES512", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			jwk := tt.key.JWK()
			jwk["alg"] = tt.jwkAlg
			if tt.jwkAlg == nil {
				delete(jwk, "alg")
			}
			a := fixedKeys(t, i, func(o *auth.Options) {
				o.JWKSFile, o.Algorithms = file(t, "jwks.json", authtest.JWKSOf(jwk)), tt.allowed
			})
			k := tt.key
			k.Alg = tt.signed
			r := bearer(t, k.Token(t, nil, i.Claims("acme", nil)))
			if tt.want == "" {
				wantTenants(t, a, r, "acme")
			} else {
				wantReason(t, a, r, tt.want)
			}
		})
	}
}

// Keys that are weak or made for something else are as good as no key.
func TestKeysThatAreNotUsed(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	with := func(k authtest.Key, name string, v any) map[string]any {
		m := k.JWK()
		m[name] = v
		return m
	}
	es := authtest.NewKey(t, "ES256")
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for name, jwk := range map[string]map[string]any{
		"RSA of 1024 bits":              authtest.Key{ID: "k", Alg: "RS256", Private: small}.JWK(),
		"for encryption":                with(es, "use", "enc"),
		"use in capitals":               with(es, "use", "SIG"),
		"for signing only":              with(es, "key_ops", []string{"sign"}),
		"for no operation":              with(es, "key_ops", []string{}),
		"alg of another curve":          with(es, "alg", "ES384"),
		"alg of another type":           with(es, "alg", "RS256"),
		"alg none":                      with(es, "alg", "none"),
		"alg HS256 on a public key":     with(es, "alg", "HS256"),
		"symmetric":                     authtest.NewKey(t, "HS256").JWK(),
		"point not on its curve":        with(es, "x", es.JWK()["y"]),
		"RSA exponent 1":                with(authtest.NewKey(t, "RS256"), "e", "AQ"),
		"RSA exponent even":             with(authtest.NewKey(t, "RS256"), "e", "BA"),
		"RSA exponent beyond 64 bits":   with(authtest.NewKey(t, "RS256"), "e", "AQAAAAAAAQAB"),
		"RSA of 16384 bits":             with(authtest.NewKey(t, "RS256"), "n", strings.Repeat("_", 2731)),
		"type in lower case":            with(es, "kty", "ec"),
		"X25519, for exchanging keys":   {"kty": "OKP", "crv": "X25519", "x": strings.Repeat("A", 43)},
		"Ed25519 of a wrong length":     {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
		"member names in another case":  {"KTY": "EC", "crv": "P-256", "x": es.JWK()["x"], "y": es.JWK()["y"]},
		"certificate only":              {"kty": "EC", "x5c": []string{"AAAA"}},
		"a URL instead of the material": {"kty": "EC", "x5u": "https://issuer.test/cert"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := auth.New(auth.Options{Issuer: i.URL, Audience: "x", JWKSFile: file(t, "jwks.json", authtest.JWKSOf(jwk))})
			if err == nil || !strings.Contains(err.Error(), "no usable key in it; key 1: ") {
				t.Errorf("New: %v, want it to say why", err)
			}
		})
	}
	wantTenants(t, fixedKeys(t, i, func(o *auth.Options) {
		o.JWKSFile = file(t, "jwks.json", authtest.JWKSOf(with(es, "key_ops", []string{"verify", "sign"})))
	}), bearer(t, es.Token(t, nil, i.Claims("acme", nil))), "acme")
}

func TestPEMFiles(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	first, second := authtest.NewKey(t, "RS256"), authtest.NewKey(t, "ES256")
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, first.Public(), first.Private)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(first.Private)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	for name, content := range map[string][]byte{
		"PKIX":        first.PEM(t),
		"PKCS 1":      block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(first.Public().(*rsa.PublicKey))),
		"certificate": block("CERTIFICATE", cert),
		"two keys":    append(second.PEM(t), first.PEM(t)...),
		"with notes":  append([]byte("the key\n\n"), first.PEM(t)...),
	} {
		t.Run(name, func(t *testing.T) {
			a := fixedKeys(t, i, func(o *auth.Options) { o.JWKSFile, o.PublicKeyFile = "", file(t, "key.pem", content) })
			wantTenants(t, a, bearer(t, first.Token(t, nil, i.Claims("acme", nil))), "acme")
			wantReason(t, a, bearer(t, authtest.NewKey(t, "EdDSA").Token(t, nil, i.Claims("acme", nil))), auth.UnknownKey)
		})
	}
	for name, tt := range map[string]struct {
		content []byte
		want    string
	}{
		"private key":  {block("PRIVATE KEY", private), "want only the public one"},
		"unknown":      {block("PGP MESSAGE", private), `unknown type "PGP MESSAGE"`},
		"no key":       {[]byte("hello"), "no usable key"},
		"broken":       {block("PUBLIC KEY", []byte("x")), "asn1"},
		"damaged":      {append(first.PEM(t), bytes.Replace(second.PEM(t), []byte("-----END"), []byte("----END"), 1)...), "damaged"},
		"good and bad": {append(first.PEM(t), block("PUBLIC KEY", []byte("x"))...), "asn1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := auth.New(auth.Options{Issuer: i.URL, Audience: "x", PublicKeyFile: file(t, "key.pem", tt.content)})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New: %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestSecretFiles(t *testing.T) {
	for name, tt := range map[string]struct {
		content []byte
		want    string
	}{
		"31 bytes":         {bytes.Repeat([]byte("s"), 31), "a secret of 31 bytes, want at least 32"},
		"31 and a newline": {append(bytes.Repeat([]byte("s"), 31), '\n'), "a secret of 31 bytes, want at least 32"},
		"empty":            {nil, "a secret of 0 bytes"},
		"public key":       {authtest.NewKey(t, "ES256").PEM(t), "not an HMAC secret"},
		"key set":          {authtest.JWKS(authtest.NewKey(t, "ES256")), "not an HMAC secret"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := auth.New(auth.Options{Issuer: "x", Audience: "x", HMACSecretFile: file(t, "secret", tt.content)})
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "sss") {
				t.Errorf("New: %v, want %q in it and no secret", err, tt.want)
			}
		})
	}
	i := authtest.NewOfflineIssuer(t)
	for _, alg := range []string{"HS256", "HS384", "HS512"} {
		k := authtest.Key{Alg: alg, Private: []byte("\n\x00 thirty-two bytes and no less \n")}
		a := fixedKeys(t, i, func(o *auth.Options) {
			o.JWKSFile, o.HMACSecretFile = "", file(t, "secret", append(k.Private.([]byte), '\r', '\n'))
		})
		wantTenants(t, a, bearer(t, k.Token(t, nil, i.Claims("acme", nil))), "acme")
	}
}

// Whatever weakens a check is said at every start.
func TestWarnings(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*auth.Options)
		want   string // "": silence
	}{
		{"usual", func(*auth.Options) {}, ""},
		{"any audience", func(o *auth.Options) { o.Audience, o.InsecureAnyAudience = "", true }, "insecure_any_audience"},
		{"keys over http", func(o *auth.Options) { o.JWKSURL = "http://issuer.test/jwks" }, "plain http"},
		{"discovery over http", func(o *auth.Options) { o.Issuer, o.JWKSURL = "http://issuer.test", "" }, "plain http"},
		{"keys over http on loopback", func(o *auth.Options) { o.JWKSURL = "http://127.0.0.1:1/jwks" }, ""},
		{"keys over http on localhost", func(o *auth.Options) { o.JWKSURL = "http://localhost:1/jwks" }, ""},
		{"http issuer with keys over https", func(o *auth.Options) { o.Issuer = "http://issuer.test" }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, i *authtest.Issuer) {
				var log bytes.Buffer
				o := options(i)
				o.Logger = slog.New(slog.NewTextHandler(&log, nil))
				tt.change(&o)
				start(t, o)
				synctest.Wait()
				if warned := strings.Contains(log.String(), "level=WARN"); warned != (tt.want != "") || !strings.Contains(log.String(), tt.want) {
					t.Errorf("want %q in the log:\n%s", tt.want, log.String())
				}
			})
		})
	}
}
