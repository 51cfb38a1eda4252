package auth_test

import (
	"testing"

	"github.com/promfence/promfence/auth/authtest"
)

// BenchmarkNewToken is what the first request with a token pays, by algorithm.
func BenchmarkNewToken(b *testing.B) {
	for _, alg := range []string{"RS256", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA"} {
		b.Run(alg, func(b *testing.B) {
			i := authtest.NewOfflineIssuer(b)
			i.Rotate(authtest.NewKey(b, alg))
			benchmarkTokens(b, i, 1)
		})
	}
}
