package auth_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/authtest"
)

// eventually waits for a file's change to be seen. Without the watch it would
// take the refresh interval of 5 minutes.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
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

func refuses(t *testing.T, a *auth.Authenticator, token string) func() bool {
	ok := accepts(t, a, token)
	return func() bool { return !ok() }
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// replace writes as careful programs do: another file, moved over the old one.
func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	write(t, path+".new", content)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
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
			[]string{"", "{", `{"keys":[]}`, `{"keys":[{}]}`},
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
		for how, put := range map[string]func(*testing.T, string, []byte){"written": write, "replaced": replace} {
			t.Run(tt.name+" "+how, func(t *testing.T) {
				i := authtest.NewOfflineIssuer(t)
				i.Rotate(authtest.NewKey(t, tt.alg))
				path := file(t, "keys", tt.content(i.Key()))
				o := options(i)
				o.JWKSURL = ""
				tt.set(&o, path)
				a := start(t, o)
				if err := a.Ready(); err != nil {
					t.Errorf("Ready before any wait: %v", err)
				}
				old := plain(t, i)
				wantTenants(t, a, bearer(t, old), "acme")

				i.Rotate(authtest.NewKey(t, tt.alg))
				put(t, path, tt.content(i.Key()))
				eventually(t, "accepting the new key", accepts(t, a, plain(t, i)))
				eventually(t, "refusing the old key", refuses(t, a, old))

				for _, content := range tt.broken {
					put(t, path, []byte(content))
				}
				time.Sleep(250 * time.Millisecond) // there is no sign of having seen it
				wantTenants(t, a, bearer(t, plain(t, i)), "acme")
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				time.Sleep(250 * time.Millisecond)
				wantTenants(t, a, bearer(t, plain(t, i)), "acme")

				last := plain(t, i)
				i.Rotate(authtest.NewKey(t, tt.alg))
				put(t, path, tt.content(i.Key()))
				eventually(t, "accepting the key after the outage", accepts(t, a, plain(t, i)))
				eventually(t, "refusing the key before", refuses(t, a, last))
			})
		}
	}
}

// Kubernetes keeps a volume's files behind two links and swaps the inner one.
func TestKubernetesVolume(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	dir := t.TempDir()
	mount := func(version string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, version, "jwks.json"), authtest.JWKS(i.Key()))
		if err := os.Symlink(version, filepath.Join(dir, "..tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	mount("..2026_01")
	if err := os.Symlink("..data/jwks.json", filepath.Join(dir, "jwks.json")); err != nil {
		t.Fatal(err)
	}
	o := options(i)
	o.JWKSURL, o.JWKSFile = "", filepath.Join(dir, "jwks.json")
	a := start(t, o)
	for _, version := range []string{"..2026_02", "..2026_03"} {
		old := plain(t, i)
		wantTenants(t, a, bearer(t, old), "acme")
		i.Rotate(authtest.NewKey(t, "ES256"))
		mount(version)
		eventually(t, "accepting the new volume's key", accepts(t, a, plain(t, i)))
		eventually(t, "refusing the old volume's key", refuses(t, a, old))
	}
}

// A link may lead to a folder that changes without a trace in the link's own.
func TestLinkedKeyFile(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	target := file(t, "jwks.json", authtest.JWKS(i.Key()))
	link := filepath.Join(t.TempDir(), "keys.json")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	o := options(i)
	o.JWKSURL, o.JWKSFile = "", link
	a := start(t, o)
	wantTenants(t, a, bearer(t, plain(t, i)), "acme")
	time.Sleep(50 * time.Millisecond)
	i.Rotate(authtest.NewKey(t, "ES256"))
	replace(t, target, authtest.JWKS(i.Key()))
	eventually(t, "accepting the new key", accepts(t, a, plain(t, i)))
}

// What no event announces is read at the next refresh.
func TestKeyFilesAreReadAgainAtEveryRefresh(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	root := t.TempDir()
	dir := filepath.Join(root, "a", "b")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "jwks.json")
	write(t, path, authtest.JWKS(i.Key()))
	o := options(i)
	o.JWKSURL, o.JWKSFile, o.RefreshInterval = "", path, time.Second
	a := start(t, o)
	time.Sleep(50 * time.Millisecond)
	// The folder above ours is replaced: our watch stays with the old one.
	i.Rotate(authtest.NewKey(t, "ES256"))
	if err := os.Rename(filepath.Join(root, "a"), filepath.Join(root, "old")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, path, authtest.JWKS(i.Key()))
	eventually(t, "accepting the new key", accepts(t, a, plain(t, i)))
}
