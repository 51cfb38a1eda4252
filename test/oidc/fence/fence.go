// Package fence runs the promfence program for tests, as an operator would:
// compiled, configured by variables and files, asked over HTTP, ended by a
// signal.
package fence

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/promfence/promfence/test/gobuild"
	"github.com/promfence/promfence/test/upstream"
)

// A Fence is a running promfence.
type Fence struct {
	URL, Admin string // where callers and operators ask

	cmd    *exec.Cmd
	exited chan struct{}

	mu  sync.Mutex
	log strings.Builder
}

// folder holds the compiled program; it is empty as long as no test wants one.
var folder string

// built is the program, compiled once in a process.
var built = sync.OnceValues(func() (string, error) {
	ctx := context.Background()
	root, err := gobuild.Go(ctx, "list", "-m", "-f", "{{.Dir}}", "github.com/promfence/promfence")
	if err != nil {
		return "", err
	}
	if folder, err = os.MkdirTemp("", "promfence-fence-"); err != nil {
		return "", err
	}
	path := filepath.Join(folder, "promfence")
	_, err = gobuild.Go(ctx, "build", "-C", root, "-race="+race(), "-o", path, "./cmd/promfence")
	return path, err
})

// race tells whether this test has the race detector, which the program then
// has too.
func race() string {
	info, _ := debug.ReadBuildInfo()
	if info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return "true"
	}
	return "false"
}

// Remove deletes the compiled program, if there is one. A TestMain calls it
// after all tests.
func Remove() { _ = os.RemoveAll(folder) }

// Start runs the program until the test ends and waits until it is ready.
// Settings are NAME=value, without the prefix PROMFENCE_.
func Start(t testing.TB, settings ...string) *Fence {
	t.Helper()
	f := Launch(t, settings...)
	if err := upstream.Poll(t.Context(), 20*time.Second, func() error { return f.probe(t.Context()) }); err != nil {
		t.Fatalf("promfence is not ready: %v\n%s", err, f.Log())
	}
	return f
}

// Launch is Start without keys: it waits only until the program listens.
func Launch(t testing.TB, settings ...string) *Fence {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	f := &Fence{cmd: exec.Command(path, "serve"), exited: make(chan struct{})}
	f.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PROMFENCE_") })
	for _, s := range append([]string{"SERVER_ADDRESS=127.0.0.1:0", "ADMIN_ADDRESS=127.0.0.1:0"}, settings...) {
		f.cmd.Env = append(f.cmd.Env, "PROMFENCE_"+s)
	}
	stderr, err := f.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listening := make(chan struct{})
	go f.read(stderr, listening)
	t.Cleanup(func() { f.end(t) })
	select {
	case <-listening:
	case <-f.exited:
		t.Fatalf("promfence ended:\n%s", f.Log())
	case <-time.After(20 * time.Second):
		t.Fatalf("promfence does not listen:\n%s", f.Log())
	}
	return f
}

// read takes the log line by line; its first lines tell the addresses.
func (f *Fence) read(stderr io.Reader, listening chan<- struct{}) {
	defer close(f.exited)
	lines := bufio.NewReader(stderr)
	for {
		line, err := lines.ReadString('\n')
		f.mu.Lock()
		f.log.WriteString(line)
		f.mu.Unlock()
		if err != nil {
			break
		}
		var said struct{ Message, Listener, Address string }
		if json.Unmarshal([]byte(line), &said) != nil || said.Message != "listening" {
			continue
		}
		if said.Listener == "admin" {
			f.Admin = "http://" + said.Address
		} else {
			f.URL = "http://" + said.Address
		}
		if f.URL != "" && f.Admin != "" && listening != nil {
			close(listening)
			listening = nil
		}
	}
	_ = f.cmd.Wait()
}

// Log is what the program has logged so far.
func (f *Fence) Log() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.String()
}

func (f *Fence) probe(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.URL+"/-/ready", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New("/-/ready answers " + resp.Status)
	}
	return nil
}

// end stops the program in order. A panic or a data race that it went through
// fails the test.
func (f *Fence) end(t testing.TB) {
	_ = f.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-f.exited:
	case <-time.After(30 * time.Second):
		_ = f.cmd.Process.Kill()
		t.Error("promfence does not end")
		<-f.exited
	}
	if text := f.Log(); !f.cmd.ProcessState.Success() || strings.Contains(text, "DATA RACE") || strings.Contains(text, "goroutine ") {
		t.Errorf("promfence ended with %s and said\n%s", f.cmd.ProcessState, text)
	}
}
