package auth_test

import (
	"testing"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/authtest"
)

// BenchmarkAuthenticate is what a request pays for its identity.
func BenchmarkAuthenticate(b *testing.B) {
	i := authtest.NewOfflineIssuer(b)
	for _, bb := range []struct {
		name  string
		cache int
	}{{"seen before", 0}, {"new token", 1}} {
		b.Run(bb.name, func(b *testing.B) {
			benchmarkTokens(b, i, bb.cache)
		})
	}
}

// benchmarkTokens authenticates by two tokens in turn: they push each other out
// of a cache of one.
func benchmarkTokens(b *testing.B, i *authtest.Issuer, cacheSize int) {
	b.Helper()
	o := options(i)
	o.JWKSURL, o.JWKSFile, o.CacheSize = "", file(b, "jwks.json", authtest.JWKS(i.Key())), cacheSize
	a, err := auth.New(o)
	if err != nil {
		b.Fatal(err)
	}
	first, second := bearer(b, i.Token(b, "acme", nil)), bearer(b, i.Token(b, "globex", nil))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Authenticate(first); err != nil {
			b.Fatal(err)
		}
		first, second = second, first
	}
}
