// Package upstream gives tests a real Prometheus server to stand behind
// promfence, and recorders that note what an upstream was asked.
//
// The server is the genuine cmd/prometheus of the version in go.mod, built once
// per machine (see gobuild). A test that passes against it has not been told by
// our own stub what Prometheus would have done.
package upstream

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/promfence/promfence/test/gobuild"
)

// Options says what the server holds besides what Load and Write bring.
type Options struct {
	Rules   map[string]string // rule files by name, evaluated every second
	Targets []Target          // scraped every second
	Args    []string          // more flags, such as --query.timeout=1s
}

// An Upstream is a running Prometheus server, stopped when its test ends.
type Upstream struct {
	URL string // http://127.0.0.1:PORT, without a slash at the end

	output buffer
}

// features are switched on so that no query is refused for being experimental:
// whether it is answered must depend on promfence alone.
const features = "exemplar-storage,promql-experimental-functions,promql-extended-range-selectors,promql-binop-fill-modifiers,search-api"

// Start runs a Prometheus server with a data directory of its own on a free
// loopback port and waits until it is ready.
func Start(t testing.TB, o Options) *Upstream {
	t.Helper()
	binary, err := gobuild.Prometheus(t.Context(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "prometheus.yml"), configuration(t, o))
	for name, text := range o.Rules {
		writeFile(t, filepath.Join(dir, name+".rules.yml"), text)
	}
	args := append([]string{
		"--config.file=" + filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path=" + filepath.Join(dir, "data"),
		"--web.listen-address=127.0.0.1:0",
		"--web.enable-remote-write-receiver",
		"--enable-feature=" + features,
		"--log.format=json",
	}, o.Args...)
	u := &Upstream{}
	u.run(t, exec.Command(binary, args...))
	u.awaitReady(t)
	return u
}

// run starts the server and learns its port from the line in which it says so:
// choosing a free port beforehand would race with whoever else does.
func (u *Upstream) run(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	r, w := io.Pipe()
	cmd.Stderr = io.MultiWriter(&u.output, w)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait()
		_ = w.Close()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			<-exited
		}
		if t.Failed() && testing.Verbose() {
			t.Logf("prometheus said:\n%s", u.output.String())
		}
	})
	address := listening(r)
	go func() { _, _ = io.Copy(io.Discard, r) }()
	if address == "" {
		t.Fatalf("prometheus ended before it listened:\n%s", u.output.String())
	}
	u.URL = "http://" + address
}

// listening reads log lines until one tells the address; "" when they end first.
func listening(r io.Reader) string {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		var line struct{ Msg, Address string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "Listening on" {
			return line.Address
		}
	}
	return ""
}

func (u *Upstream) awaitReady(t testing.TB) {
	t.Helper()
	err := Poll(t.Context(), 30*time.Second, func() error {
		resp, err := http.Get(u.URL + "/-/ready")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("ready answers %s", resp.Status)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("prometheus is not ready: %v\n%s", err, u.output.String())
	}
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
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
