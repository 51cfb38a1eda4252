package auth_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/authtest"
)

// With a published private key anybody can sign: not even the good keys beside it
// count, since nobody knows what else went wrong there.
func TestKeySetWithPrivateKeysIsRefusedWhole(t *testing.T) {
	good, exposed := authtest.NewKey(t, "ES256"), authtest.NewKey(t, "RS256")
	for member, value := range map[string]any{
		"d": "AQAB", "p": "AQAB", "q": "AQAB", "dp": "AQAB", "dq": "AQAB", "qi": "AQAB", "oth": []any{}, "priv": "AQAB",
	} {
		t.Run(member, func(t *testing.T) {
			bubble(t, func(t *testing.T, i *authtest.Issuer) {
				jwk := exposed.JWK()
				jwk[member] = value
				i.Respond(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(authtest.JWKSOf(good.JWK(), jwk)) })
				var log bytes.Buffer
				o := options(i)
				o.Logger = slog.New(slog.NewTextHandler(&log, nil))
				a := start(t, o)
				synctest.Wait()
				for _, k := range []authtest.Key{good, exposed} {
					wantReason(t, a, bearer(t, k.Token(t, nil, i.Claims("acme", nil))), auth.Unavailable)
				}
				if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "publishes private keys") {
					t.Errorf("the log does not say why:\n%s", &log)
				}
				i.Respond(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(authtest.JWKS(good, exposed)) })
				time.Sleep(10 * time.Second)
				synctest.Wait()
				wantTenants(t, a, bearer(t, exposed.Token(t, nil, i.Claims("acme", nil))), "acme")
			})
		})
	}
	t.Run("of a key for another use", func(t *testing.T) {
		jwk := exposed.JWK()
		jwk["d"], jwk["use"] = "AQAB", "enc"
		_, err := auth.New(auth.Options{Issuer: "x", Audience: []string{"x"}, JWKSFile: file(t, "jwks.json", authtest.JWKSOf(good.JWK(), jwk))})
		if err == nil || !strings.Contains(err.Error(), "publishes private keys") {
			t.Errorf("New: %v", err)
		}
	})
	t.Run("empty members are none", func(t *testing.T) {
		jwk := exposed.JWK()
		jwk["d"] = nil
		if _, err := auth.New(auth.Options{Issuer: "x", Audience: []string{"x"}, JWKSFile: file(t, "jwks.json", authtest.JWKSOf(jwk))}); err != nil {
			t.Error(err)
		}
	})
}

// A published secret is none: whoever reads the key set could sign with it, also
// where HMAC is allowed.
func TestPublishedSymmetricKeyBesideAnHMACSecret(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	published, secret, public := authtest.NewKey(t, "HS256"), authtest.NewKey(t, "HS256"), authtest.NewKey(t, "ES256")
	var log bytes.Buffer
	a := fixedKeys(t, i, func(o *auth.Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		o.JWKSFile = file(t, "jwks.json", authtest.JWKS(published, public))
		o.HMACSecretFile = file(t, "secret", secret.Private.([]byte))
		o.Algorithms = []string{"ES256", "HS256"}
	})
	if !strings.Contains(log.String(), "key 1: a symmetric key") {
		t.Errorf("the log does not say why it was skipped:\n%s", &log)
	}
	for _, k := range []authtest.Key{secret, public} {
		wantTenants(t, a, bearer(t, k.Token(t, nil, i.Claims("acme", nil))), "acme")
	}
	for _, kid := range []string{published.ID, public.ID, ""} {
		published.ID = kid
		if e := refused(t, a, bearer(t, published.Token(t, nil, i.Claims("acme", nil)))); e.Reason == auth.BadTenant {
			t.Errorf("signed with what is published: %v", e)
		}
	}
}

// The same key may serve another algorithm from now on: what it signed with the
// first one ends.
func TestKeyThatChangesItsAlgorithm(t *testing.T) {
	bubble(t, func(t *testing.T, i *authtest.Issuer) {
		a := running(t, i)
		before := i.Key()
		old := bearer(t, plain(t, i))
		wantTenants(t, a, old, "acme")
		after := before
		after.Alg = "PS256"
		i.Publish(after)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		wantReason(t, a, old, auth.WrongAlgorithm)
		wantTenants(t, a, bearer(t, after.Token(t, nil, i.Claims("acme", nil))), "acme")
	})
}

// A token without a kid costs a try for each key, so their number is bounded. The
// log says what was left out.
func TestMoreThanAHundredKeys(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	keys := make([]authtest.Key, 103)
	for n := range keys {
		keys[n] = authtest.NewKey(t, "EdDSA")
	}
	var log bytes.Buffer
	a := fixedKeys(t, i, func(o *auth.Options) {
		o.JWKSFile = file(t, "jwks.json", authtest.JWKS(keys...))
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	for n, k := range keys {
		switch r := bearer(t, k.Token(t, nil, i.Claims("acme", nil))); n {
		case 0, 99:
			wantTenants(t, a, r, "acme")
		case 100, 102:
			wantReason(t, a, r, auth.UnknownKey)
		}
	}
	if !strings.Contains(log.String(), "3 keys after the first 100 usable ones") {
		t.Errorf("the log does not say what was left out:\n%s", &log)
	}
	pem := bytes.Repeat(keys[0].PEM(t), 101)
	if _, err := auth.New(auth.Options{Issuer: "x", Audience: []string{"x"}, PublicKeyFile: file(t, "keys.pem", pem)}); err == nil || !strings.Contains(err.Error(), "more than 100 keys") {
		t.Errorf("New: %v", err)
	}
}

// Some providers publish what their editor saved.
func TestByteOrderMark(t *testing.T) {
	bubble(t, func(t *testing.T, i *authtest.Issuer) {
		o := options(i)
		o.JWKSURL = ""
		o.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/jwks" {
				return answer("\ufeff" + string(authtest.JWKS(i.Key()))), nil
			}
			return answer("\ufeff" + `{"issuer":"https://issuer.test","jwks_uri":"https://issuer.test/jwks"}`), nil
		})}
		a := start(t, o)
		synctest.Wait()
		wantTenants(t, a, bearer(t, plain(t, i)), "acme")
	})
}

// RFC 9864 calls EdDSA with a key on Ed25519 by another name, in keys and tokens.
func TestEd25519IsEdDSA(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	key := authtest.NewKey(t, "EdDSA")
	for _, published := range []string{"Ed25519", "EdDSA", ""} {
		for _, allowed := range [][]string{nil, {"Ed25519"}, {"EdDSA", "RS256"}} {
			jwk := key.JWK()
			if jwk["alg"] = published; published == "" {
				delete(jwk, "alg")
			}
			a := fixedKeys(t, i, func(o *auth.Options) {
				o.JWKSFile, o.Algorithms = file(t, "jwks.json", authtest.JWKSOf(jwk)), allowed
			})
			for _, alg := range []string{"Ed25519", "EdDSA"} {
				k := key
				k.Alg = alg
				wantTenants(t, a, bearer(t, k.Token(t, nil, i.Claims("acme", nil))), "acme")
			}
			wantReason(t, a, bearer(t, key.Token(t, map[string]any{"alg": "Ed448"}, i.Claims("acme", nil))), auth.WrongAlgorithm)
		}
	}
	es := authtest.NewKey(t, "ES256").JWK()
	es["alg"] = "ESP256"
	if _, err := auth.New(auth.Options{Issuer: "x", Audience: []string{"x"}, JWKSFile: file(t, "jwks.json", authtest.JWKSOf(es))}); err == nil {
		t.Error("COSE's ESP256 was taken")
	}
}

// Opening a pipe waits for whoever writes to it.
func TestKeyFileThatIsAPipe(t *testing.T) {
	path := t.TempDir() + "/pipe"
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() {
		_, err := auth.New(auth.Options{Issuer: "x", Audience: []string{"x"}, HMACSecretFile: path})
		failed <- err
	}()
	select {
	case err := <-failed:
		if err == nil || !strings.Contains(err.Error(), "want a regular file") {
			t.Errorf("New: %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("New waits for a writer")
	}
}
