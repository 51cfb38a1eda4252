// Package gobuild compiles a big program and tells meanwhile how far it is,
// since two minutes of silence look like a hang.
package gobuild

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A Program says what to compile, and where to.
type Program struct {
	Name     string   // as progress calls it
	Packages []string // import paths or ./folders: one, or several that Output is the folder of
	Dir      string   // in whose module; empty is the working directory
	Modfile  string   // the module file in place of go.mod, below Dir
	Work     string   // the workspace file; empty is none
	Tags     string   // build tags, separated by commas
	Output   string   // the file to make
}

// Build compiles p, stripped and without cgo, and writes progress every few
// seconds. It compiles one package beside the output and renames, so that a build
// which is cut off leaves nothing that looks finished.
func (p Program) Build(ctx context.Context, progress io.Writer) error {
	count := &packages{begin: time.Now()}
	defer count.report(progress, p.Name)()
	list, err := p.command(ctx, "list", "-deps", "-json=ImportPath,Dir,GoFiles").Output()
	if err != nil {
		return failed("list", err)
	}
	if err := count.expect(list); err != nil {
		return err
	}
	output, err := filepath.Abs(p.Output)
	if err != nil {
		return err
	}
	one := len(p.Packages) == 1
	target := output + string(filepath.Separator) // a folder, which may not be there yet
	if one {
		target = output + ".partial"
	}
	cmd := p.command(ctx, "build", "-v", "-trimpath", "-ldflags=-s -w", "-o", target)
	cmd.Stderr = count
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", p.Name, err, count.last())
	}
	if !one {
		return nil
	}
	return os.Rename(target, output)
}

func (p Program) command(ctx context.Context, verb string, flags ...string) *exec.Cmd {
	args := slices.Concat([]string{verb, "-C", cmp.Or(p.Dir, "."), "-modfile=" + p.Modfile, "-tags", p.Tags}, flags, p.Packages)
	if p.Work != "" {
		args = slices.DeleteFunc(args, func(a string) bool { return a == "-modfile=" })
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK="+cmp.Or(p.Work, "off"))
	return cmd
}

// Go runs the go command and returns what it prints, without the last newline.
func Go(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", args...).Output()
	return strings.TrimSpace(string(out)), failed(args[0], err)
}

// failed adds to an error what the go command said.
func failed(verb string, err error) error {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return fmt.Errorf("go %s: %w: %s", verb, err, exit.Stderr)
	}
	return err
}
