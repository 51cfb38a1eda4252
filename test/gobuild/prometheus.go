package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	module  = "github.com/prometheus/prometheus"
	command = module + "/cmd/prometheus"
	tags    = "remove_all_sd" // no cloud SDKs: half the build time, and no test discovers targets
)

// Binary returns the path of the Prometheus server, building it first when this
// machine hasn't yet (some two minutes), and tells progress as it does so. It
// must be called below the test module, whose go.mod names the version. Several
// processes may call it at once: one builds, the others wait.
func Binary(ctx context.Context, progress io.Writer) (string, error) {
	version, err := output(ctx, "list", "-m", "-f", "{{.Version}}", module)
	if err != nil {
		return "", err
	}
	dir := cacheDir()
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", err
	}
	path := filepath.Join(dir, strings.Join([]string{"prometheus", version, runtime.Version(), runtime.GOOS, runtime.GOARCH}, "-"))
	unlock, err := lock(path + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return path, build(ctx, version, path, progress)
}

// cacheDir survives between runs where the machine has a home, and between
// processes where it has none.
func cacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "promfence")
}

// build compiles beside path and renames, so that a build which is cut off
// leaves nothing that looks finished.
func build(ctx context.Context, version, path string, progress io.Writer) error {
	deps, err := output(ctx, "list", "-deps", "-tags", tags, command)
	if err != nil {
		return err
	}
	count := &packages{total: strings.Count(deps, "\n") + 1}
	defer count.report(progress, "prometheus "+version)()

	partial := path + ".partial"
	cmd := exec.CommandContext(ctx, "go", "build", "-v", "-ldflags=-s -w", "-tags", tags, "-o", partial, command)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = count
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build prometheus %s: %w\n%s", version, err, count.last())
	}
	return os.Rename(partial, path)
}

// output runs the go command and returns what it prints.
func output(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", args...).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", fmt.Errorf("go %s: %w: %s", args[0], err, exit.Stderr)
	}
	return strings.TrimSpace(string(out)), err
}

// lock waits until no other process holds the file.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil // Closing gives up the lock.
}

// packages counts the lines of go build -v, one for each package compiled.
type packages struct {
	total int
	done  atomic.Int64
	buffer
}

func (p *packages) Write(b []byte) (int, error) {
	p.done.Add(int64(bytes.Count(b, []byte("\n"))))
	return p.buffer.Write(b)
}

// last is the end of what the compiler said.
func (p *packages) last() string {
	lines := strings.Split(strings.TrimSpace(p.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

// report tells every few seconds how far it is, until the returned func is called.
func (p *packages) report(w io.Writer, what string) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	begin := time.Now()
	_, _ = fmt.Fprintf(w, "building %s, once for this machine (about two minutes)\n", what)
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				_, _ = fmt.Fprintf(w, "built %s in %s\n", what, time.Since(begin).Round(time.Second))
				return
			case <-time.After(5 * time.Second):
				_, _ = fmt.Fprintf(w, "building %s: %d of at most %d packages\n", what, p.done.Load(), p.total)
			}
		}
	}()
	return func() { close(done); <-ended }
}
