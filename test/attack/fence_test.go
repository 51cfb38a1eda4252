package attack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/test/gobuild"
	"github.com/promfence/promfence/test/upstream"
)

// A fence is the program itself, as an operator would run it.
type fence struct {
	addr, admin string // host:port

	idp    *authtest.Issuer
	cmd    *exec.Cmd
	output *buffer
	exited chan struct{}
}

// built is the program, compiled once for all tests of this package.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "promfence-attack")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "promfence")
	_, err = gobuild.Go(context.Background(), "build", "-C", "../..", "-o", path, "./cmd/promfence")
	return path, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := built(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// startFence runs the program before an upstream until the test ends. Settings
// are KEY=value of the environment, without the prefix.
func startFence(t *testing.T, upstreamURL string, settings ...string) *fence {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	f := &fence{idp: authtest.NewIssuer(t), output: &buffer{}, exited: make(chan struct{})}
	f.cmd = exec.Command(path, "serve")
	f.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PROMFENCE_") })
	for _, s := range append([]string{
		"SERVER_ADDRESS=127.0.0.1:0", "ADMIN_ADDRESS=127.0.0.1:0", "ADMIN_PPROF=true", "UPSTREAM_URL=" + upstreamURL,
		"AUTH_ISSUER=" + f.idp.URL, "AUTH_AUDIENCE=" + authtest.Audience, "AUTH_JWKS_URL=" + f.idp.JWKSURL,
		"SERVER_SHUTDOWN_TIMEOUT=5s",
	}, settings...) {
		f.cmd.Env = append(f.cmd.Env, "PROMFENCE_"+s)
	}
	f.cmd.Stderr = f.output
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(f.exited)
		_ = f.cmd.Wait()
	}()
	t.Cleanup(func() { f.stop(t) })
	if err := upstream.Poll(t.Context(), 15*time.Second, f.ready); err != nil {
		t.Fatalf("promfence is not ready: %v\n%s", err, f.output)
	}
	return f
}

func (f *fence) ready() error {
	for line := range strings.Lines(f.output.String()) {
		var said struct{ Message, Listener, Address string }
		if json.Unmarshal([]byte(line), &said) != nil || said.Message != "listening" {
			continue
		}
		switch said.Listener {
		case "server":
			f.addr = said.Address
		case "admin":
			f.admin = said.Address
		}
	}
	if f.addr == "" || f.admin == "" {
		return errors.New("it does not listen")
	}
	resp, err := http.Get("http://" + f.admin + "/-/ready")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// stop ends the program in order: an attack that left something running shows here.
func (f *fence) stop(t *testing.T) {
	_ = f.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-f.exited:
	case <-time.After(10 * time.Second):
		t.Error("promfence does not end")
		_ = f.cmd.Process.Kill()
		<-f.exited
	}
	if !f.cmd.ProcessState.Success() {
		t.Errorf("promfence ended with %s", f.cmd.ProcessState)
	}
	if strings.Contains(f.output.String(), "panic") {
		t.Errorf("promfence panicked:\n%s", f.output)
	}
}

// metrics returns the program's own metrics, the sum of each family.
func (f *fence) metrics(t *testing.T) map[string]float64 {
	t.Helper()
	resp, err := http.Get("http://" + f.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]float64{}
	for name, family := range families {
		for _, m := range family.Metric {
			sums[name] += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
		}
		sums[name+" series"] = float64(len(family.Metric))
	}
	return sums
}

// goroutines is what runs in the program, for the message of a failure.
func (f *fence) goroutines(t *testing.T) string {
	t.Helper()
	resp, err := http.Get("http://" + f.admin + "/debug/pprof/goroutine?debug=1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// settle waits until no more goroutines run than before.
func (f *fence) settle(t *testing.T, before float64) {
	t.Helper()
	err := upstream.Poll(t.Context(), 15*time.Second, func() error {
		if now := f.metrics(t)["go_goroutines"]; now > before {
			return fmt.Errorf("%v goroutines, %v before", now, before)
		}
		return nil
	})
	if err != nil {
		t.Errorf("%v:\n%s", err, f.goroutines(t))
	}
}

// A buffer is a bytes.Buffer that a process may write while a test reads.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
