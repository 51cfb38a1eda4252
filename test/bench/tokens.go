package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	issuer   = "https://login.example.com/realms/metrics"
	audience = "metrics"
)

// keys sign tokens: RS256 as most issuers do, ES256 where a new token is needed for
// each request, since that is quick to make, and HS256 where a million are.
type keys struct {
	rsa    *rsa.PrivateKey
	ecdsa  *ecdsa.PrivateKey
	secret []byte
	groups []string // of all tokens
	issued int64    // all of them, so that the nth token is always the same
}

func newKeys() (*keys, error) {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return &keys{r, e, []byte(rand.Text() + rand.Text()), []string{"viewers", "on-call", "platform"}, time.Now().Unix()}, err
}

// write publishes the keys as a JWK set (RFC 7517).
func (k *keys) write(file string) error {
	point, err := k.ecdsa.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return err
	}
	b64 := base64.RawURLEncoding.EncodeToString
	set, err := json.Marshal(map[string]any{"keys": []any{
		map[string]string{
			"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "RS256",
			"n": b64(k.rsa.N.Bytes()), "e": b64(big.NewInt(int64(k.rsa.E)).Bytes()),
		},
		map[string]string{
			"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "ES256",
			"x": b64(point[1:33]), "y": b64(point[33:]),
		},
	}})
	if err != nil {
		return err
	}
	return os.WriteFile(file, set, 0o600)
}

// token makes the nth token, as long as all others of its algorithm.
func (k *keys) token(method jwt.SigningMethod, tenant string, n uint64) (string, error) {
	return k.tokenOf(method, issuer, tenant, n)
}

// tokenOf makes the nth token of an issuer, for a tenant or a list of them.
func (k *keys) tokenOf(method jwt.SigningMethod, issuer string, tenant any, n uint64) (string, error) {
	t := jwt.NewWithClaims(method, jwt.MapClaims{
		"iss": issuer, "aud": audience, "sub": fmt.Sprintf("6f1c2a90-5b7e-4c1f-9d3a-%012d", n),
		"iat": k.issued, "exp": k.issued + 3600, "tenant_id": tenant,
		"azp": "grafana", "scope": "openid profile email", "email": "someone@example.com",
		"groups": k.groups,
	})
	t.Header["kid"] = method.Alg()
	switch method {
	case jwt.SigningMethodES256:
		return t.SignedString(k.ecdsa)
	case jwt.SigningMethodHS256:
		return t.SignedString(k.secret)
	}
	return t.SignedString(k.rsa)
}

// callers makes n tokens over as many tenants as given.
func (k *keys) callers(n, tenants int) ([]caller, error) {
	all := make([]caller, n)
	for i := range all {
		tenant := fmt.Sprintf("t%04d", i%tenants)
		token, err := k.token(jwt.SigningMethodRS256, tenant, uint64(i))
		if err != nil {
			return nil, err
		}
		all[i] = caller{tenant, token}
	}
	return all, nil
}
