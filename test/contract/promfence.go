package contract

import (
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/openapi"
	"github.com/promfence/promfence/proxy"
	"github.com/promfence/promfence/test/upstream"
)

// Promfence starts a promfence that trusts the issuer and stands in front of the
// upstream, checks all its exchanges until the test ends, and returns its
// address. It is for tests of clients; those that care how promfence is set up
// start their own.
func Promfence(t testing.TB, idp *authtest.Issuer, upstreamURL string) string {
	t.Helper()
	a, err := auth.New(auth.Options{Issuer: idp.URL, Audience: authtest.Audience, JWKSURL: idp.JWKSURL})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = a.Run(t.Context()) }()
	if err := upstream.Poll(t.Context(), 10*time.Second, a.Ready); err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(upstreamURL)
	if err != nil {
		t.Fatal(err)
	}
	p, err := proxy.New(proxy.Options{
		Auth: a, Ready: a.Ready, Upstream: target, UpstreamTimeout: time.Minute, MaxIdleConnections: 10,
		Label: "tenant_id", OnConflict: proxy.Intersect,
		Limits: proxy.Limits{QueryBytes: 1 << 16, QueryDepth: 100, QueryTerms: 2000, BodyBytes: 1 << 20},
		Logger: zerolog.Nop(), Docs: openapi.Handler(),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(Handler(t, p))
	t.Cleanup(s.Close)
	return s.URL
}
