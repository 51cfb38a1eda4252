package auth_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/authtest"
)

func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// What is kept of a token is a copy, and bounded: the rest of it can go.
func TestCachedIdentitiesHoldNothingElseOfTheirTokens(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	i.Rotate(authtest.NewKey(t, "HS256"))
	a := fixedKeys(t, i, func(o *auth.Options) {
		o.JWKSFile, o.HMACSecretFile, o.TenantClaim = "", file(t, "secret", i.Key().Private.([]byte)), "org.*"
	})
	padding := strings.Repeat("x", 40<<10)
	for name, claims := range map[string]map[string]any{
		"padding elsewhere": {"padding": padding},
		"a long subject":    {"sub": padding},
		"a long kid":        {},
	} {
		t.Run(name, func(t *testing.T) {
			var ids []auth.Identity
			before := liveHeap()
			for n := range 500 {
				claims["jti"], claims["org"] = n, map[string]any{"acme": 1}
				h := map[string]any{"kid": name}
				if name == "a long kid" {
					h["kid"] = padding
				}
				id, err := a.Authenticate(bearer(t, i.Key().Token(t, h, i.Claims(nil, claims))))
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, id)
			}
			if grown := liveHeap() - before; grown > 4<<20 {
				t.Errorf("500 identities keep %d kB", grown>>10)
			}
			if s := ids[0].Subject; len(s) > 255 || s == "" {
				t.Errorf("a subject of %d bytes", len(s))
			}
			runtime.KeepAlive(ids)
		})
	}
}
