package auth_test

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/authtest"
)

// eventually waits for what a real connection brings.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("10 s later: still not %s", what)
		}
	}
}

func accepts(t *testing.T, a *auth.Authenticator, token string) func() bool {
	r := bearer(t, token)
	return func() bool {
		_, err := a.Authenticate(r)
		return err == nil
	}
}

// Keys of every kind of file work before Run, change with the file, and outlive
// a broken one.
func TestKeyFiles(t *testing.T) {
	for _, tt := range []struct {
		name    string
		alg     string
		content func(authtest.Key) []byte
		set     func(o *auth.Options, path string)
		broken  []string
	}{
		{
			"JWKS", "ES256", func(k authtest.Key) []byte { return authtest.JWKS(k) },
			func(o *auth.Options, path string) { o.JWKSFile = path },
			[]string{"", "{", `{"keys":[]}`, `{"keys":[{}]}`, `{"keys":[{"kty":"RSA","d":"AQAB"}]}`},
		},
		{
			"PEM", "RS256", func(k authtest.Key) []byte { return k.PEM(t) },
			func(o *auth.Options, path string) { o.PublicKeyFile = path },
			[]string{"", "-----BEGIN PUBLIC KEY-----", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"},
		},
		{
			"HMAC", "HS256", func(k authtest.Key) []byte { return append(k.Private.([]byte), '\n') },
			func(o *auth.Options, path string) { o.HMACSecretFile = path },
			[]string{"", "short", "\n"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := authtest.NewOfflineIssuer(t)
			i.Rotate(authtest.NewKey(t, tt.alg))
			path := file(t, "keys", tt.content(i.Key()))
			var log bytes.Buffer
			o := options(i)
			o.JWKSURL, o.Logger = "", slog.New(slog.NewTextHandler(&log, nil))
			tt.set(&o, path)
			a, err := auth.New(o)
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Ready(); err != nil {
				t.Errorf("Ready before any wait: %v", err)
			}
			put := func(content []byte) {
				t.Helper()
				if err := os.WriteFile(path, content, 0o600); err != nil {
					t.Fatal(err)
				}
				a.ReadFiles()
			}
			rotate := func() {
				t.Helper()
				old := plain(t, i)
				i.Rotate(authtest.NewKey(t, tt.alg))
				put(tt.content(i.Key()))
				wantTenants(t, a, bearer(t, plain(t, i)), "acme")
				_ = refused(t, a, bearer(t, old))
			}
			wantTenants(t, a, bearer(t, plain(t, i)), "acme")
			rotate()
			for _, content := range tt.broken {
				put(tt.content(i.Key()))
				log.Reset()
				put([]byte(content))
				a.ReadFiles()
				wantTenants(t, a, bearer(t, plain(t, i)), "acme")
				if strings.Count(log.String(), "keys not reloaded") != 1 || strings.Contains(log.String(), path) {
					t.Errorf("%q: want one line, without the path, in the log:\n%s", content, &log)
				}
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			a.ReadFiles()
			wantTenants(t, a, bearer(t, plain(t, i)), "acme")
			rotate()
			log.Reset()
			put([]byte(tt.broken[0]))
			if !strings.Contains(log.String(), "keys not reloaded") {
				t.Error("the second time that a file breaks, the log does not say so")
			}
		})
	}
}
