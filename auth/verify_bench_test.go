package auth_test

import (
	"testing"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/authtest"
)

// BenchmarkNewToken is what the first request with a token pays, by algorithm.
func BenchmarkNewToken(b *testing.B) {
	for _, alg := range []string{"RS256", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA"} {
		b.Run(alg, func(b *testing.B) {
			i := authtest.NewOfflineIssuer(b)
			i.Rotate(authtest.NewKey(b, alg))
			o := options(i)
			o.JWKSURL, o.JWKSFile, o.CacheSize = "", file(b, "jwks.json", authtest.JWKS(i.Key())), 1
			a, err := auth.New(o)
			if err != nil {
				b.Fatal(err)
			}
			// Two tokens push each other out of a cache of one.
			first, second := bearer(b, i.Token(b, "acme", nil)), bearer(b, i.Token(b, "globex", nil))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := a.Authenticate(first); err != nil {
					b.Fatal(err)
				}
				first, second = second, first
			}
		})
	}
}
