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
	ca := file(t, "ca.pem", certificate(t))
	good := func() auth.Options {
		return auth.Options{Issuer: "https://issuer.test", Audience: []string{"promfence"}}
	}
	if _, err := auth.New(good()); err != nil {
		t.Fatalf("New: %v", err)
	}
	for _, tt := range []struct {
		name   string
		change func(*auth.Options)
		want   string // "": accepted
	}{
		{"nothing set", func(o *auth.Options) { *o = auth.Options{} }, "Issuer: required"},
		{"no issuer", func(o *auth.Options) { o.Issuer = "" }, "Issuer: required"},
		{"no audience", func(o *auth.Options) { o.Audience = nil }, "Audience: required"},
		{"any audience", func(o *auth.Options) { o.Audience, o.InsecureAnyAudience = nil, true }, ""},
		{"audience and any audience", func(o *auth.Options) { o.InsecureAnyAudience = true }, "InsecureAnyAudience: want false, or no audience"},
		{"issuer without a URL or keys", func(o *auth.Options) { o.Issuer = "accounts" }, "Issuer: want http://host"},
		{"issuer with a query and no keys", func(o *auth.Options) { o.Issuer += "?a=b" }, "Issuer: want http://host"},
		{"issuer without a URL, with keys", func(o *auth.Options) { o.Issuer, o.JWKSFile = "accounts", jwks }, ""},
		{"JWKS URL without a scheme", func(o *auth.Options) { o.JWKSURL = "issuer.test/jwks" }, "JWKSURL: want http://host"},
		{"JWKS URL of another scheme", func(o *auth.Options) { o.JWKSURL = "file:///jwks" }, "JWKSURL: want http://host"},
		{"JWKS URL with a password", func(o *auth.Options) { o.JWKSURL = "https://a:hunter2@issuer.test" }, "JWKSURL: want a URL without user name and password"},
		{"JWKS URL with a query", func(o *auth.Options) { o.JWKSURL = "https://issuer.test/jwks?p=policy" }, ""},
		{"no such JWKS file", func(o *auth.Options) { o.JWKSFile = jwks + "hunter2" }, "JWKSFile: want a file that can be read: no such file"},
		{"JWKS file is a folder", func(o *auth.Options) { o.JWKSFile = t.TempDir() }, "JWKSFile: want a regular file"},
		{"JWKS file with a secret", func(o *auth.Options) { o.JWKSFile = secret }, "not a JSON Web Key Set"},
		{"PEM file with a JWKS", func(o *auth.Options) { o.PublicKeyFile = jwks }, "PublicKeyFile: "},
		{"HMAC secret alone", func(o *auth.Options) { o.HMACSecretFile = secret }, ""},
		{"HMAC secret and HS512", func(o *auth.Options) { o.HMACSecretFile, o.Algorithms = secret, []string{"HS512"} }, ""},
		{"HMAC secret and RS256", func(o *auth.Options) { o.HMACSecretFile, o.Algorithms = secret, []string{"RS256"} }, "Algorithms: "},
		{"HMAC secret, HS256 and RS256", func(o *auth.Options) { o.HMACSecretFile, o.Algorithms = secret, []string{"HS256", "RS256"} }, "Algorithms: "},
		{"HMAC secret next to public keys", func(o *auth.Options) { o.HMACSecretFile, o.JWKSFile = secret, jwks }, "Algorithms: "},
		{"HMAC secret next to public keys, both named", func(o *auth.Options) {
			o.HMACSecretFile, o.JWKSFile, o.Algorithms = secret, jwks, []string{"HS256", "ES256"}
		}, ""},
		{"HS256 without a secret", func(o *auth.Options) { o.Algorithms = []string{"RS256", "HS256"} }, "Algorithms: HS256, HS384 and HS512 need hmac_secret_file"},
		{"none", func(o *auth.Options) { o.Algorithms = []string{"none"} }, "Algorithms: want names out of RS256"},
		{"algorithm in lower case", func(o *auth.Options) { o.Algorithms = []string{"rs256"} }, "Algorithms: want names out of RS256"},
		{"algorithms that no key in the file has", func(o *auth.Options) { o.JWKSFile, o.Algorithms = jwks, []string{"RS256"} }, "no usable key in it; key 1: a key for no allowed algorithm"},
		{"claim is a bare URL", func(o *auth.Options) { o.TenantClaim = "https://example.com/tenant_id" }, `TenantClaim: put double quotes`},
		{"claim with an empty name", func(o *auth.Options) { o.TenantClaim = "a..b" }, "TenantClaim: "},
		{"claim ends with a dot", func(o *auth.Options) { o.TenantClaim = "a." }, "TenantClaim: "},
		{"claim begins with a dot", func(o *auth.Options) { o.TenantClaim = ".a" }, "TenantClaim: "},
		{"claim with an open quote", func(o *auth.Options) { o.TenantClaim = `"a` }, "TenantClaim: "},
		{"claim with text after a quote", func(o *auth.Options) { o.TenantClaim = `"a"b` }, "TenantClaim: "},
		{"claim quoted empty", func(o *auth.Options) { o.TenantClaim = `""` }, "TenantClaim: "},
		{"pointer to everything", func(o *auth.Options) { o.TenantClaim = "/" }, "TenantClaim: "},
		{"pointer with a bad escape", func(o *auth.Options) { o.TenantClaim = "/a~2" }, "TenantClaim: "},
		{"leeway below zero", func(o *auth.Options) { o.Leeway = -1 }, "Leeway: want a duration of 0s to 5m"},
		{"leeway of an hour", func(o *auth.Options) { o.Leeway = time.Hour }, "Leeway: want a duration of 0s to 5m"},
		{"refresh too often", func(o *auth.Options) { o.RefreshInterval = time.Millisecond }, "RefreshInterval: want a duration of 1s or more"},
		{"tenants below zero", func(o *auth.Options) { o.MaxTenants = -1 }, "MaxTenants: "},
		{"cache below zero", func(o *auth.Options) { o.CacheSize = -1 }, "CacheSize: want a number above 0"},
		{"token header with a space", func(o *auth.Options) { o.TokenHeaders = []string{"X Token"} }, "TokenHeaders: "},
		{"token header empty", func(o *auth.Options) { o.TokenHeaders = []string{""} }, "TokenHeaders: "},
		{"token header twice", func(o *auth.Options) { o.TokenHeaders = []string{"X-Token", "x-token"} }, "TokenHeaders: want each header once"},
		{"token header Host", func(o *auth.Options) { o.TokenHeaders = []string{"host"} }, "TokenHeaders: want headers other than Host"},
		{"token header that is not ASCII", func(o *auth.Options) { o.TokenHeaders = []string{"X-Tökén"} }, "TokenHeaders: want names"},
		{"several audiences", func(o *auth.Options) { o.Audience = []string{"a", "b"} }, ""},
		{"an empty audience", func(o *auth.Options) { o.Audience = []string{"a", ""} }, "Audience: want no empty one"},
		{"audience's claim", func(o *auth.Options) { o.AudienceClaim = "client_id" }, ""},
		{"audience's claim with an empty name", func(o *auth.Options) { o.AudienceClaim = "a..b" }, "AudienceClaim: "},
		{"audience's claim of members", func(o *auth.Options) { o.AudienceClaim = "a.*" }, "AudienceClaim: want a claim whose value"},
		{"issuers in one text", func(o *auth.Options) { o.Issuer = "https://a.test,https://b.test" }, "Issuer: want one issuer"},
		{"issuer with a password", func(o *auth.Options) { o.Issuer = "https://a:hunter2@issuer.test" }, "Issuer: want a URL without user name"},
		{"JWKS URL with a fragment", func(o *auth.Options) { o.JWKSURL = "https://issuer.test/jwks#" }, "JWKSURL: want a URL without #fragment"},
		{"JWKS URL with a port beyond all", func(o *auth.Options) { o.JWKSURL = "https://issuer.test:65536/jwks" }, "JWKSURL: want a port"},
		{"JWKS URL without a host", func(o *auth.Options) { o.JWKSURL = "https://:443/jwks" }, "JWKSURL: want http://host"},
		{"authorities", func(o *auth.Options) { o.CAFile = ca }, ""},
		{"authorities that are none", func(o *auth.Options) { o.CAFile = secret }, "CAFile: want PEM certificates"},
		{"authorities that cannot be read", func(o *auth.Options) { o.CAFile = "/hunter2" }, "CAFile: want a file that can be read"},
		{"authorities for nobody", func(o *auth.Options) { o.CAFile, o.JWKSFile = ca, jwks }, "CAFile: want it only where keys are fetched"},
		{"bearer token", func(o *auth.Options) { o.BearerTokenFile = secret }, ""},
		{"bearer token over http on loopback", func(o *auth.Options) { o.BearerTokenFile, o.JWKSURL = secret, "http://127.0.0.1/jwks" }, ""},
		{"bearer token over plain http", func(o *auth.Options) { o.BearerTokenFile, o.JWKSURL = secret, "http://issuer.test/jwks" }, "BearerTokenFile: want https or loopback"},
		{"bearer token to a discovery over plain http", func(o *auth.Options) { o.BearerTokenFile, o.Issuer = secret, "http://issuer.test" }, "BearerTokenFile: want https or loopback"},
		{"bearer token of two lines", func(o *auth.Options) { o.BearerTokenFile = file(t, "token", []byte("hunter2\nhunter2\n")) }, "BearerTokenFile: want a file with one token in it"},
		{"bearer token that is empty", func(o *auth.Options) { o.BearerTokenFile = file(t, "token", []byte("\n")) }, "BearerTokenFile: want a file with one token in it"},
		{"bearer token that cannot be read", func(o *auth.Options) { o.BearerTokenFile = "/hunter2" }, "BearerTokenFile: want a file that can be read"},
		{"bearer token for nobody", func(o *auth.Options) { o.BearerTokenFile, o.JWKSFile = secret, jwks }, "BearerTokenFile: want it only where keys are fetched"},
		{"claims with a comma", func(o *auth.Options) { o.TenantClaim = "tenant,team" }, "TenantClaim: put double quotes"},
		{"claim with a star in the middle", func(o *auth.Options) { o.TenantClaim = "org.*.id" }, "TenantClaim: put double quotes"},
		{"claim of all members", func(o *auth.Options) { o.TenantClaim = ".*" }, "TenantClaim: "},
		{"settings of no issuer", func(o *auth.Options) {
			*o = auth.Options{CAFile: ca, Issuers: []auth.IssuerOptions{{Issuer: "https://a.test", Audience: []string{"x"}}}}
		}, "Issuer: required"},
		{"issuers alone", func(o *auth.Options) {
			*o = auth.Options{Issuers: []auth.IssuerOptions{{Issuer: "https://a.test", Audience: []string{"x"}}}}
		}, ""},
		{"issuers with mistakes", func(o *auth.Options) {
			o.Issuers = []auth.IssuerOptions{{Issuer: "https://a.test", Audience: []string{"x"}}, {Issuer: "https://b.test"}}
		}, "Issuers[1].Audience: required"},
		{"fixed tenant", func(o *auth.Options) {
			o.Issuers = []auth.IssuerOptions{{Issuer: "https://a.test", Audience: []string{"x"}, Tenants: []string{"acme"}}}
		}, ""},
		{"fixed tenant that is blank", func(o *auth.Options) {
			o.Issuers = []auth.IssuerOptions{{Issuer: "https://a.test", Audience: []string{"x"}, Tenants: []string{" "}}}
		}, "Issuers[0].Tenants: tenant 1 of 1 is blank"},
		{"fixed tenant that the upstream cannot be told", func(o *auth.Options) {
			o.TenantHeader = "THANOS-TENANT"
			o.Issuers = []auth.IssuerOptions{{Issuer: "https://a.test", Audience: []string{"x"}, Tenants: []string{"a", "b"}}}
		}, "Issuers[0].Tenants: the upstream's header"},
		{"fixed tenant and a claim", func(o *auth.Options) {
			o.Issuers = []auth.IssuerOptions{{Issuer: "https://a.test", Audience: []string{"x"}, Tenants: []string{"a"}, TenantClaim: "t"}}
		}, "Issuers[0].TenantClaim: want it or a fixed tenant"},
		{"issuer and audience twice", func(o *auth.Options) {
			o.Issuers = []auth.IssuerOptions{{Issuer: "https://issuer.test", Audience: []string{"promfence"}}}
		}, "Issuers[0].Issuer: want tokens that no issuer before takes already"},
		{"issuer twice for any audience", func(o *auth.Options) {
			o.Issuers = []auth.IssuerOptions{{Issuer: "https://issuer.test", InsecureAnyAudience: true}}
		}, "Issuers[0].Issuer: want tokens that no issuer before takes already"},
		{"issuer twice, one audience shared", func(o *auth.Options) {
			o.Issuers = []auth.IssuerOptions{{Issuer: "https://issuer.test", Audience: []string{"other", "promfence"}}}
		}, "Issuers[0].Issuer: want tokens that no issuer before takes already"},
		{"issuer twice, the same name in another claim", func(o *auth.Options) {
			o.Issuers = []auth.IssuerOptions{{Issuer: "https://issuer.test", Audience: []string{"promfence"}, AudienceClaim: "azp"}}
		}, ""},
		{"issuer twice for two audiences", func(o *auth.Options) {
			o.Issuers = []auth.IssuerOptions{{Issuer: "https://issuer.test", Audience: []string{"other"}}}
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

// certificate is one of nobody's, in PEM.
func certificate(t *testing.T) []byte {
	t.Helper()
	k := authtest.NewKey(t, "ES256")
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k.Private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestAllMistakesAtOnce(t *testing.T) {
	_, err := auth.New(auth.Options{
		Audience: []string{"x"}, Leeway: -1, TenantClaim: "a..b", Algorithms: []string{"none"},
		Issuers: []auth.IssuerOptions{{JWKSFile: "/nowhere", Issuer: "https://a.test", Audience: []string{"y"}}},
	})
	for _, want := range []string{"Issuer:", "Leeway:", "TenantClaim:", "Algorithms:", "Issuers[0].TenantClaim:"} {
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
			_, err := auth.New(auth.Options{Issuer: i.URL, Audience: []string{"x"}, JWKSFile: file(t, "jwks.json", authtest.JWKSOf(jwk))})
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
			_, err := auth.New(auth.Options{Issuer: i.URL, Audience: []string{"x"}, PublicKeyFile: file(t, "key.pem", tt.content)})
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
			_, err := auth.New(auth.Options{Issuer: "x", Audience: []string{"x"}, HMACSecretFile: file(t, "secret", tt.content)})
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
		{"any audience", func(o *auth.Options) { o.Audience, o.InsecureAnyAudience = nil, true }, "insecure_any_audience"},
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
