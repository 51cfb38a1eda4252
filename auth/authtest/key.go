package authtest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// A Key signs tokens by one algorithm.
type Key struct {
	ID  string
	Alg string
	// Private is an *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey or
	// the HMAC's []byte.
	Private any
}

// rsaKeys are made once in a process, since making one takes long; each call of
// NewKey takes the next.
var rsaKeys struct {
	sync.Mutex
	keys []*rsa.PrivateKey
	next int
}

func nextRSA(t testing.TB) *rsa.PrivateKey {
	const different = 4
	rsaKeys.Lock()
	defer rsaKeys.Unlock()
	if len(rsaKeys.keys) < different {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		rsaKeys.keys = append(rsaKeys.keys, k)
		return k
	}
	rsaKeys.next++
	return rsaKeys.keys[rsaKeys.next%different]
}

// NewKey makes a key with an ID of its own. RSA keys are drawn from four.
func NewKey(t testing.TB, alg string) Key {
	t.Helper()
	k := Key{Alg: alg, ID: "key-" + rand.Text()[:8]}
	var err error
	switch alg {
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
		k.Private = nextRSA(t)
	case "ES256":
		k.Private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		k.Private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		k.Private, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA", "Ed25519":
		_, k.Private, err = ed25519.GenerateKey(rand.Reader)
	case "HS256", "HS384", "HS512":
		k.Private = []byte(rand.Text() + rand.Text() + rand.Text())
	default:
		t.Fatalf("no key for the algorithm %q", alg)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Public returns the public key, nil for an HMAC secret.
func (k Key) Public() crypto.PublicKey {
	if s, ok := k.Private.(crypto.Signer); ok {
		return s.Public()
	}
	return nil
}

// PEM returns the public key as a PKIX block.
func (k Key) PEM(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// Token signs claims. The header holds alg, kid and typ; the given members are
// laid over them, and a nil value takes one away.
func (k Key) Token(t testing.TB, header, claims map[string]any) string {
	t.Helper()
	h := map[string]any{"alg": k.Alg, "kid": k.ID, "typ": "JWT"}
	maps.Copy(h, header)
	maps.DeleteFunc(h, func(name string, v any) bool { return v == nil || name == "kid" && v == "" })
	return k.Sign(t, marshal(t, h), marshal(t, claims))
}

// Sign signs the very bytes of a header and a payload, whatever they are.
func (k Key) Sign(t testing.TB, header, payload []byte) string {
	t.Helper()
	return k.SignText(t, encode(header)+"."+encode(payload))
}

// SignText appends the signature to what is encoded already.
func (k Key) SignText(t testing.TB, text string) string {
	t.Helper()
	alg := k.Alg
	if alg == "Ed25519" { // RFC 9864's name, which the library does not have
		alg = "EdDSA"
	}
	sign := func() string {
		sig, err := jwt.GetSigningMethod(alg).Sign(text, k.Private)
		if err != nil {
			t.Fatal(err)
		}
		return text + "." + encode(sig)
	}
	private, ok := k.Private.(*rsa.PrivateKey)
	if !ok || !strings.HasPrefix(alg, "RS") || len(text) > 2<<10 { // a test may count the memory that long tokens leave behind
		return sign()
	}
	lastTokens.Lock()
	defer lastTokens.Unlock()
	by := signer{private, k.ID, alg}
	if last := lastTokens.of[by]; strings.HasPrefix(last, text+".") {
		return last
	}
	token := sign()
	lastTokens.of[by] = token
	return token
}

// lastTokens are kept of the algorithms that sign a text the same way each time, and take
// a millisecond: a loop that asks with a new token each time needs one a second.
var lastTokens = struct {
	sync.Mutex
	of map[signer]string
}{of: map[signer]string{}}

type signer struct {
	key     *rsa.PrivateKey
	id, alg string
}

// JWK returns the published form of the key.
func (k Key) JWK() map[string]any {
	m := map[string]any{"kid": k.ID, "alg": k.Alg, "use": "sig"}
	switch p := k.Public().(type) {
	case *rsa.PublicKey:
		m["kty"], m["n"], m["e"] = "RSA", encode(p.N.Bytes()), "AQAB"
	case *ecdsa.PublicKey:
		point, err := p.Bytes() // 4, x, y
		if err != nil {
			panic(err)
		}
		half := len(point) / 2
		m["kty"], m["crv"] = "EC", p.Curve.Params().Name
		m["x"], m["y"] = encode(point[1:half+1]), encode(point[half+1:])
	case ed25519.PublicKey:
		m["kty"], m["crv"], m["x"] = "OKP", "Ed25519", encode(p)
	default:
		m["kty"], m["k"] = "oct", encode(k.Private.([]byte))
	}
	return m
}

// JWKS returns a key set of keys.
func JWKS(keys ...Key) []byte {
	jwks := make([]map[string]any, len(keys))
	for i, k := range keys {
		jwks[i] = k.JWK()
	}
	return JWKSOf(jwks...)
}

// JWKSOf returns a key set of what may not be keys.
func JWKSOf(jwks ...map[string]any) []byte {
	if jwks == nil {
		jwks = []map[string]any{}
	}
	b, err := json.Marshal(map[string]any{"keys": jwks})
	if err != nil {
		panic(fmt.Sprintf("authtest: %v", err))
	}
	return b
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
