// Package authtest has an issuer of tokens for tests, in the manner of
// net/http/httptest: it signs, publishes its keys by OIDC discovery and JWKS,
// counts who asks for them, rotates, and fails on demand. An Operator may see all
// tenants, and RunWaiting runs tests that wait. It stops nothing and is for tests only.
package authtest

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// Audience is whom an Issuer's tokens are meant for unless a test says else.
const Audience = "promfence"

// An Issuer signs tokens and publishes its keys. It is safe for concurrent use.
type Issuer struct {
	// URL is the claim "iss" of the tokens, and where discovery begins.
	URL string
	// JWKSURL is where the keys are published.
	JWKSURL string

	client *http.Client

	mu          sync.Mutex
	signer      Key
	published   []Key
	respond     http.HandlerFunc
	fetches     int
	discoveries int
}

// NewIssuer starts an issuer that listens on loopback until the test ends. It
// signs with RS256.
func NewIssuer(t testing.TB) *Issuer {
	t.Helper()
	i := &Issuer{client: http.DefaultClient}
	s := httptest.NewServer(i)
	t.Cleanup(s.Close)
	i.at(s.URL)
	i.Rotate(NewKey(t, "RS256"))
	return i
}

// NewOfflineIssuer makes an issuer without a listener, which only [Issuer.Client]
// reaches. It can live in a testing/synctest bubble.
func NewOfflineIssuer(t testing.TB) *Issuer {
	t.Helper()
	i := &Issuer{}
	i.client = &http.Client{Transport: memory{i}}
	i.at("https://issuer.test")
	i.Rotate(NewKey(t, "RS256"))
	return i
}

func (i *Issuer) at(url string) { i.URL, i.JWKSURL = url, url+"/jwks" }

// Client reaches the issuer, in memory if it is offline.
func (i *Issuer) Client() *http.Client { return i.client }

// Key returns the key that signs now.
func (i *Issuer) Key() Key {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.signer
}

// Rotate publishes k next to the keys before it and signs with it from now on.
func (i *Issuer) Rotate(k Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.signer = k
	i.published = append(slices.Clone(i.published), k)
}

// Publish publishes exactly these keys; it does not change which one signs.
func (i *Issuer) Publish(keys ...Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.published = keys
}

// Respond answers requests for the keys in the place of the issuer; nil puts the
// issuer back.
func (i *Issuer) Respond(h http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.respond = h
}

// Fail answers requests for the keys with an HTTP status; 0 ends that.
func (i *Issuer) Fail(status int) {
	if status == 0 {
		i.Respond(nil)
		return
	}
	i.Respond(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", status) })
}

// Fetches is how often the keys were asked for.
func (i *Issuer) Fetches() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

// Discoveries is how often the discovery document was asked for.
func (i *Issuer) Discoveries() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.discoveries
}

// ServeHTTP serves discovery and keys.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	respond, keys := i.respond, i.published
	switch r.URL.Path {
	case "/jwks":
		i.fetches++
	case "/.well-known/openid-configuration":
		i.discoveries++
	}
	i.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/jwks":
		if respond != nil {
			respond(w, r)
			return
		}
		_, _ = w.Write(JWKS(keys...))
	case "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": i.URL, "jwks_uri": i.JWKSURL})
	default:
		http.NotFound(w, r)
	}
}

// Claims returns the claims of a token for the tenant, good for an hour: iss,
// aud, sub, iat, exp, and tenant_id unless tenant is nil. The other claims are
// laid over them; a nil value takes a claim away.
func (i *Issuer) Claims(tenant any, claims map[string]any) map[string]any {
	now := time.Now()
	all := map[string]any{
		"iss": i.URL, "aud": Audience, "sub": "alice",
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "tenant_id": tenant,
	}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return all
}

// Token returns a signed token with [Issuer.Claims].
func (i *Issuer) Token(t testing.TB, tenant any, claims map[string]any) string {
	t.Helper()
	return i.Key().Token(t, nil, i.Claims(tenant, claims))
}

// memory carries requests to a handler without a network.
type memory struct{ h http.Handler }

func (m memory) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.h.ServeHTTP(w, r)
	}()
	select {
	case <-done:
		return w.Result(), nil
	case <-r.Context().Done():
		<-done // handlers watch the request's context too
		return nil, r.Context().Err()
	}
}
