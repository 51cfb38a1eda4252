package auth_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/authtest"
)

func TestFractionsOfASecondCountAgainstTheToken(t *testing.T) {
	bubble(t, func(t *testing.T, i *authtest.Issuer) { // whose clock begins at a full second
		a := fixedKeys(t, i, func(o *auth.Options) { o.Leeway = 0 })
		half := float64(time.Now().Unix()) + 0.5
		for claim, want := range map[string]auth.Reason{"exp": auth.Expired, "nbf": auth.NotYetValid, "iat": auth.NotYetValid} {
			wantReason(t, a, bearer(t, i.Token(t, "acme", map[string]any{claim: half})), want)
		}
		time.Sleep(time.Second)
		wantTenants(t, a, bearer(t, i.Token(t, "acme", map[string]any{"nbf": half, "iat": half})), "acme")
	})
}

// A key that is published under another name from now on is another key.
func TestKeyThatChangesItsID(t *testing.T) {
	bubble(t, func(t *testing.T, i *authtest.Issuer) {
		a := running(t, i)
		key := i.Key()
		wantTenants(t, a, bearer(t, plain(t, i)), "acme")
		key.ID = "renamed"
		i.Publish(key)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		wantTenants(t, a, bearer(t, key.Token(t, nil, i.Claims("acme", nil))), "acme")
	})
}

// twice writes a JWK in which a member comes a second time.
func twice(t *testing.T, k authtest.Key, member string) []byte {
	t.Helper()
	raw, err := json.Marshal(k.JWK())
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte(`{`+member+`,`+member+`,`), raw[1:]...)
}

func TestPrivateMemberThatComesTwice(t *testing.T) {
	good, exposed := authtest.NewKey(t, "ES256"), authtest.NewKey(t, "RS256")
	set := bytes.Join([][]byte{[]byte(`{"keys":[`), twice(t, exposed, `"d":"AQAB"`), []byte(`,`), authtest.JWKS(good)[len(`{"keys":[`):]}, nil)
	_, err := auth.New(auth.Options{Issuer: "x", Audience: []string{"x"}, JWKSFile: file(t, "jwks.json", set)})
	if err == nil || !strings.Contains(err.Error(), "publishes private keys") {
		t.Errorf("New: %v", err)
	}
}

// Two readers could take a key with a member twice for two keys.
func TestKeyWithDuplicateMembersIsSkipped(t *testing.T) {
	k := authtest.NewKey(t, "ES256")
	k.ID = ""
	set := append(append([]byte(`{"keys":[`), twice(t, k, `"x-note":"a"`)...), "]}"...)
	_, err := auth.New(auth.Options{Issuer: "x", Audience: []string{"x"}, JWKSFile: file(t, "jwks.json", set)})
	if err == nil || !strings.Contains(err.Error(), "no usable key in it") {
		t.Errorf("New: %v", err)
	}
}

func TestUnsafeRSAExponentsInPEMFiles(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for exponent, good := range map[int]bool{1: false, 4: false, 65536: false, 3: true, 65537: true} {
		der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: key.N, E: exponent})
		if err != nil {
			t.Fatal(err)
		}
		path := file(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		if _, err = auth.New(auth.Options{Issuer: "x", Audience: []string{"x"}, PublicKeyFile: path}); (err == nil) != good {
			t.Errorf("exponent %d: %v", exponent, err)
		}
	}
}

// Whoever knows the id of a key can send as many wrong signatures as they like.
func TestAWrongSignatureFetchesNoKeys(t *testing.T) {
	bubble(t, func(t *testing.T, i *authtest.Issuer) {
		a := running(t, i)
		wantTenants(t, a, bearer(t, plain(t, i)), "acme")
		forger := authtest.NewKey(t, i.Key().Alg)
		forger.ID = i.Key().ID
		time.Sleep(30 * time.Second) // a fetch may start now
		fetches := 0
		i.Respond(func(w http.ResponseWriter, _ *http.Request) {
			fetches++
			_, _ = w.Write(authtest.JWKS(i.Key()))
		})
		for range 3 {
			wantReason(t, a, bearer(t, forger.Token(t, nil, i.Claims("acme", nil))), auth.BadSignature)
			time.Sleep(15 * time.Second)
			synctest.Wait()
		}
		if fetches > 0 {
			t.Errorf("%d fetches for tokens with a wrong signature", fetches)
		}
	})
}
