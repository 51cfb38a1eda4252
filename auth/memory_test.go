package auth_test

import (
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/auth/policy"
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
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // much garbage beside a small heap
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

// Bearers of many policies share the room that bearers of none have.
func TestRememberedTokensAreBoundedInBytes(t *testing.T) {
	const tokens, granted = 500, 400
	i := authtest.NewOfflineIssuer(t)
	i.Rotate(authtest.NewKey(t, "HS256"))
	var policies []policy.Policy
	for n := range granted {
		policies = append(policies, policy.Policy{Name: strconv.Itoa(n), Labels: []policy.Label{{Label: "tenant_id", Claim: "tenant_id"}}})
	}
	rules, err := policy.New(policy.Options{TenantLabel: "tenant_id", MaxTenants: 20, Audited: true, Policies: policies, Entries: []policy.Entry{{Issuer: i.URL, Audiences: []string{authtest.Audience}}}})
	if err != nil {
		t.Fatal(err)
	}
	a := fixedKeys(t, i, func(o *auth.Options) {
		o.JWKSFile, o.HMACSecretFile, o.Policies, o.CacheSize = "", file(t, "secret", i.Key().Private.([]byte)), rules, tokens
	})
	before := liveHeap()
	for n := range tokens {
		id, err := a.Authenticate(bearer(t, i.Key().Token(t, nil, i.Claims("acme", map[string]any{"jti": n}))))
		if err != nil || len(id.Policies) != granted {
			t.Fatalf("%d policies, %v", len(id.Policies), err)
		}
	}
	if grown := liveHeap() - before; grown > 1<<20 {
		t.Errorf("%d tokens keep %d kB", tokens, grown>>10)
	}
	runtime.KeepAlive(a)
}

// A caller who asks for one tenant after the other has all of them in each token.
func TestANarrowingKeepsNothingOfWhatItLeavesOut(t *testing.T) {
	const narrowings = 500
	i := authtest.NewOfflineIssuer(t)
	i.Rotate(authtest.NewKey(t, "HS256"))
	a := fixedKeys(t, i, func(o *auth.Options) {
		o.JWKSFile, o.HMACSecretFile, o.MaxTenants, o.CacheSize = "", file(t, "secret", i.Key().Private.([]byte)), narrowings, narrowings
	})
	var names []string
	for n := range narrowings {
		names = append(names, "tenant-"+strconv.Itoa(n))
	}
	token := i.Key().Token(t, nil, i.Claims(names, nil))
	before := liveHeap()
	for _, name := range names {
		r := bearer(t, token)
		r.Header.Set(policy.TenantHeader, name)
		if id, err := a.Authenticate(r); err != nil || len(id.Tenants.Names()) != 1 {
			t.Fatal(id, err)
		}
	}
	if grown := liveHeap() - before; grown > 1<<20 {
		t.Errorf("%d narrowings keep %d kB", narrowings, grown>>10)
	}
	runtime.KeepAlive(a)
}
