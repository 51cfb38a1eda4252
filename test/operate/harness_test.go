// Package operate_test holds promfence, as a process of its own, against what
// happens to it in real life: failing upstreams, full disks, slow and vanished
// callers, one tenant's flood, and hours of load.
package operate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/test/upstream"
)

// patience is how long a test waits for what happens at once.
const patience = 20 * time.Second

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "promfence-operate-")
	if err == nil {
		binary = filepath.Join(dir, "promfence")
		cmd := exec.Command("go", "build", "-o", binary, "./cmd/promfence")
		cmd.Dir, cmd.Stderr = "../..", os.Stderr
		err = cmd.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot build promfence:", err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// A fence is a promfence process.
type fence struct {
	URL, admin string
	issuer     *authtest.Issuer
	cmd        *exec.Cmd
	exited     chan struct{}
	log        string // a file; empty = nobody reads it
}

// start runs promfence in front of an upstream until the test ends. shell comes
// before it, as "ulimit -n 64;" does. Settings are NAME=value, without the
// prefix PROMFENCE_.
func start(t *testing.T, shell, upstreamURL string, settings ...string) *fence {
	t.Helper()
	f := &fence{issuer: authtest.NewIssuer(t), exited: make(chan struct{})}
	f.issuer.Rotate(authtest.NewKey(t, "ES256")) // cheap to sign with
	server, admin := freeAddress(t), freeAddress(t)
	f.URL, f.admin = "http://"+server, "http://"+admin
	f.cmd = exec.Command("/bin/sh", "-c", shell+" exec "+binary)
	f.cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	for _, s := range append([]string{
		"SERVER_ADDRESS=" + server, "ADMIN_ADDRESS=" + admin, "ADMIN_PPROF=true", "UPSTREAM_URL=" + upstreamURL,
		"AUTH_ISSUER=" + f.issuer.URL, "AUTH_AUDIENCE=" + authtest.Audience, "AUTH_JWKS_URL=" + f.issuer.JWKSURL,
	}, settings...) {
		f.cmd.Env = append(f.cmd.Env, "PROMFENCE_"+s)
	}
	f.log = filepath.Join(t.TempDir(), "log")
	log, err := os.Create(f.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	f.cmd.Stderr = log
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = f.cmd.Wait()
		close(f.exited)
	}()
	t.Cleanup(func() { f.end(t) })
	f.eventually(t, func() error {
		if status, body, err := ask(t.Context(), http.DefaultClient, f.admin+"/-/ready", ""); err != nil || status != http.StatusOK {
			return fmt.Errorf("not ready: %d %s %w", status, body, err)
		}
		return nil
	})
	return f
}

func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// end stops the process, which must have nothing to say but its log.
func (f *fence) end(t *testing.T) {
	t.Helper()
	_ = f.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-f.exited:
	case <-time.After(30 * time.Second):
		_ = f.cmd.Process.Kill()
		t.Error("promfence does not end")
		<-f.exited
	}
	if text := f.logged(t); strings.Contains(text, "goroutine ") || strings.Contains(text, "panic") {
		t.Errorf("promfence said\n%s", text)
	}
}

func (f *fence) logged(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(f.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (f *fence) eventually(t *testing.T, ok func() error) {
	t.Helper()
	if err := upstream.Poll(t.Context(), patience, ok); err != nil {
		t.Fatalf("%v\n%.4000s", err, f.logged(t))
	}
}

func (f *fence) token(t *testing.T, tenant string) string {
	t.Helper()
	return f.issuer.Token(t, tenant, nil)
}

// query is the address of a query.
func (f *fence) query(promQL string) string {
	return f.URL + "/api/v1/query?" + url.Values{"query": {promQL}}.Encode()
}

// wants queries as a tenant and checks the status.
func (f *fence) wants(t *testing.T, tenant, promQL string, want int) {
	t.Helper()
	status, body, err := ask(t.Context(), http.DefaultClient, f.query(promQL), f.token(t, tenant))
	if err != nil || status != want {
		t.Errorf("%s for %s: %d %s %v, want %d", promQL, tenant, status, body, err, want)
	}
}

// ask makes a request and reads its answer to the end.
func ask(ctx context.Context, c *http.Client, address, token string) (int, string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// metric reads one of the process's metrics.
func (f *fence) metric(t *testing.T, name string) float64 {
	t.Helper()
	_, body, err := ask(t.Context(), http.DefaultClient, f.admin+"/metrics", "")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatal(errors.New("no metric " + name))
	return 0
}

// settles waits until the process has no more goroutines than before, but a few.
func (f *fence) settles(t *testing.T, before float64) {
	t.Helper()
	f.eventually(t, func() error {
		if now := f.metric(t, "go_goroutines"); now > before+10 {
			return fmt.Errorf("%v goroutines, and %v before", now, before)
		}
		return nil
	})
}
