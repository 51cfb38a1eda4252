package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	audience = "promfence-demo"
	keyID    = "demo"
	validity = 12 * time.Hour
)

// An issuer signs tokens and publishes the key to check them by, as a JWKS.
type issuer struct {
	url    string
	key    *ecdsa.PrivateKey
	server *httptest.Server
}

func startIssuer() (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	jwks, err := publish(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jwks.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = w.Write(jwks)
	})
	s := httptest.NewServer(mux)
	return &issuer{url: s.URL, key: key, server: s}, nil
}

// publish spells the public key as a JWK set (RFC 7517, RFC 7518 section 6.2).
func publish(key *ecdsa.PublicKey) ([]byte, error) {
	point, err := key.Bytes() // 4, x, y
	if err != nil {
		return nil, err
	}
	b64 := base64.RawURLEncoding.EncodeToString
	return json.Marshal(map[string]any{"keys": []any{map[string]string{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": keyID,
		"x": b64(point[1:33]), "y": b64(point[33:]),
	}}})
}

func (i *issuer) jwksURL() string { return i.url + "/jwks.json" }

// token is good for a working day and names its tenant.
func (i *issuer) token(tenant string) (string, error) {
	now := time.Now()
	t := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": i.url, "aud": audience, "sub": "someone-at-" + tenant, "tenant_id": tenant,
		"iat": now.Unix(), "exp": now.Add(validity).Unix(),
	})
	t.Header["kid"] = keyID
	return t.SignedString(i.key)
}

func (i *issuer) stop() { i.server.Close() }
