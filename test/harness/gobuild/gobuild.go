// Package gobuild compiles a big program and tells meanwhile how far it is,
// since two minutes of silence look like a hang.
package gobuild

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Program says what to compile, and where to.
type Program struct {
	Name    string // as progress calls it
	Package string // import path or ./folder
	Dir     string // in whose module; empty is the working directory
	Modfile string // the module file in place of go.mod, below Dir
	Tags    string // build tags, separated by commas
	Output  string // the file to make
}

// Build compiles p, stripped and without cgo, and writes progress every few
// seconds. It compiles beside the output and renames, so that a build which is
// cut off leaves nothing that looks finished.
func (p Program) Build(ctx context.Context, progress io.Writer) error {
	count := &packages{}
	defer count.report(progress, p.Name)()
	dir, modfile := cmp.Or(p.Dir, "."), "-modfile="+p.Modfile
	deps, err := Go(ctx, "list", "-C", dir, modfile, "-deps", "-tags", p.Tags, p.Package)
	if err != nil {
		return err
	}
	count.total.Store(int64(strings.Count(deps, "\n") + 1))

	output, err := filepath.Abs(p.Output)
	if err != nil {
		return err
	}
	partial := output + ".partial"
	cmd := exec.CommandContext(ctx, "go", "build", "-C", dir, modfile, "-v", "-ldflags=-s -w", "-tags", p.Tags, "-o", partial, p.Package)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = count
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", p.Name, err, count.last())
	}
	return os.Rename(partial, output)
}

// Go runs the go command and returns what it prints, without the last newline.
func Go(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", args...).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", fmt.Errorf("go %s: %w: %s", args[0], err, exit.Stderr)
	}
	return strings.TrimSpace(string(out)), err
}

// packages counts the lines of go build -v, one for each package compiled.
type packages struct {
	total atomic.Int64 // 0 until the modules are here to be counted

	mu   sync.Mutex
	said bytes.Buffer
}

func (p *packages) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(b)
}

func (p *packages) done() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Count(p.said.Bytes(), []byte("\n"))
}

func (p *packages) stage() string {
	total := p.total.Load()
	if total == 0 {
		return "fetching modules"
	}
	return fmt.Sprintf("%d of at most %d packages", p.done(), total)
}

// last is the end of what the compiler said.
func (p *packages) last() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(p.said.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

// report tells how far it is until the returned func is called. What takes only
// a moment, since all is compiled already, passes without a word.
func (p *packages) report(w io.Writer, name string) (stop func()) {
	quit, ended := make(chan struct{}), make(chan struct{})
	begin := time.Now()
	go func() {
		defer close(ended)
		for told := false; ; told = true {
			select {
			case <-quit:
				if told {
					_, _ = fmt.Fprintf(w, "building %s took %s\n", name, time.Since(begin).Round(time.Second))
				}
				return
			case <-time.After(5 * time.Second):
				_, _ = fmt.Fprintf(w, "building %s, about two minutes the first time: %s\n", name, p.stage())
			}
		}
	}()
	return func() { close(quit); <-ended }
}
