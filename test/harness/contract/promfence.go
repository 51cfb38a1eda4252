package contract

import (
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"

	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/test/harness/fence"
	"github.com/promfence/promfence/test/harness/upstream"
)

// Promfence starts a promfence that trusts the issuer and stands in front of the
// upstream, and before it a hop that checks all exchanges until the test ends,
// whose address it returns. Settings are as for fence.Before.
func Promfence(t testing.TB, idp *authtest.Issuer, upstreamURL string, settings ...string) string {
	t.Helper()
	f := fence.Start(t, slices.Concat(fence.Trust(idp), []string{"UPSTREAM_URL=" + upstreamURL, "CONSOLE_ENABLED=true"}, settings)...)
	u, err := url.Parse(f.URL)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(Handler(t, upstream.PassOn(u)))
	t.Cleanup(s.Close)
	return s.URL
}
