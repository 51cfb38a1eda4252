package auth_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/authtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start makes an authenticator and runs it until the test ends.
func start(t *testing.T, o auth.Options) *auth.Authenticator {
	t.Helper()
	a, err := auth.New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return a
}

// ready waits for the first keys.
func ready(t *testing.T, a *auth.Authenticator) *auth.Authenticator {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); a.Ready() != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not ready: %v", a.Ready())
		}
	}
	return a
}

// options are those of a usual authenticator for the issuer.
func options(i *authtest.Issuer) auth.Options {
	return auth.Options{
		Issuer: i.URL, Audience: []string{authtest.Audience}, JWKSURL: i.JWKSURL, HTTPClient: i.Client(), Leeway: 30 * time.Second,
	}
}

// fixedKeys is an authenticator with an issuer's present keys in a file: no
// network, no waiting.
func fixedKeys(t *testing.T, i *authtest.Issuer, change func(*auth.Options)) *auth.Authenticator {
	t.Helper()
	o := options(i)
	o.JWKSURL, o.JWKSFile = "", file(t, "jwks.json", authtest.JWKS(i.Key()))
	if change != nil {
		change(&o)
	}
	a, err := auth.New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return a
}

func file(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func bearer(t testing.TB, token string) *http.Request {
	t.Helper()
	return with(t, "Authorization", "Bearer "+token)
}

func with(t testing.TB, header ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://promfence.test/api/v1/query", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

// refused authenticates and returns the refusal, which must leak nothing of the
// token.
func refused(t *testing.T, a *auth.Authenticator, r *http.Request) *auth.Error {
	t.Helper()
	id, err := a.Authenticate(r)
	e, ok := err.(*auth.Error) //nolint:errorlint // the very type is promised
	if !ok {
		t.Fatalf("Authenticate: %v, %v, want an *auth.Error", id, err)
	}
	if !id.Tenants.IsZero() || !id.Labels.IsZero() {
		t.Errorf("refused, and yet with the tenants %q", id.Tenants.Names())
	}
	if e.Message == "" || strings.ContainsAny(e.Error(), "\n\r\x00\x1b") {
		t.Errorf("want one clean line, got %q", e.Error())
	}
	return e
}

// refusedFor is refused, for one reason.
func refusedFor(t *testing.T, a *auth.Authenticator, r *http.Request, want auth.Reason) *auth.Error {
	t.Helper()
	e := refused(t, a, r)
	if e.Reason != want {
		t.Errorf("refused for %v, want %q", e, want)
	}
	return e
}

// wantReason is refusedFor where the reason is all that matters.
func wantReason(t *testing.T, a *auth.Authenticator, r *http.Request, want auth.Reason) {
	t.Helper()
	_ = refusedFor(t, a, r, want)
}

func wantTenants(t *testing.T, a *auth.Authenticator, r *http.Request, want ...string) {
	t.Helper()
	id, err := a.Authenticate(r)
	if err != nil {
		t.Errorf("Authenticate: %v, want the tenants %q", err, want)
		return
	}
	if diff := cmp.Diff(want, id.Tenants.Names()); diff != "" {
		t.Errorf("tenants (-want +got):\n%s", diff)
	}
}

func TestIdentity(t *testing.T) {
	i := authtest.NewIssuer(t)
	a := ready(t, start(t, options(i)))
	exp := time.Now().Add(7 * time.Minute).Truncate(time.Second)
	token := i.Token(t, []string{"globex", "acme", "globex"}, map[string]any{"sub": "bob", "exp": exp.Unix()})
	for _, name := range []string{"verified", "from the cache"} {
		t.Run(name, func(t *testing.T) {
			id, err := a.Authenticate(bearer(t, token))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"acme", "globex"}, id.Tenants.Names()); diff != "" {
				t.Errorf("tenants (-want +got):\n%s", diff)
			}
			if id.Subject != "bob" || id.Issuer != i.URL || !id.Expires.Equal(exp) {
				t.Errorf("got %+v, want bob of %s until %s", id, i.URL, exp)
			}
		})
	}
	if n := i.Fetches(); n != 1 {
		t.Errorf("the issuer was asked %d times for its keys, want once", n)
	}
}
