package gobuild

import (
	"context"
	"io"
	"os"
)

// copied is cached for a program that is built in a copy of its module, with the versions
// that the module's own go.mod names, once change has changed the copy. The module's
// version stands in p's module file beside the tests' go.mod.
func copied(ctx context.Context, progress io.Writer, module string, p Program, change func(dir string) error) (string, error) {
	root, err := Go(ctx, "list", "-m", "-f", "{{.Dir}}", "github.com/promfence/promfence/test")
	if err != nil {
		return "", err
	}
	p.Dir = root
	return cachedBy(ctx, module, p, func(p Program) error {
		if _, err := Go(ctx, "mod", "download", "-C", root, "-modfile="+p.Modfile, module); err != nil {
			return err
		}
		from, err := Go(ctx, "list", "-C", root, "-modfile="+p.Modfile, "-m", "-f", "{{.Dir}}", module)
		if err != nil {
			return err
		}
		if p.Dir, err = os.MkdirTemp("", "promfence-build-"); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(p.Dir) }()
		if err := os.CopyFS(p.Dir, os.DirFS(from)); err != nil {
			return err
		}
		if err := change(p.Dir); err != nil {
			return err
		}
		p.Modfile = ""
		return p.Build(ctx, progress)
	})
}
