package gobuild

import (
	"context"
	"io"
	"os"
	"path/filepath"
)

const (
	alertmanagerModule  = "github.com/prometheus/alertmanager"
	alertmanagerModfile = ".alertmanager.mod"
)

// Alertmanager does for Alertmanager what Prometheus does for the Prometheus server.
// Its version stands in .alertmanager.mod beside the tests' go.mod.
func Alertmanager(ctx context.Context, progress io.Writer) (string, error) {
	return alertmanagerProgram(ctx, progress, Program{Name: "Alertmanager", Packages: []string{"./cmd/alertmanager"}})
}

// Amtool does the same for Alertmanager's command line client.
func Amtool(ctx context.Context, progress io.Writer) (string, error) {
	return alertmanagerProgram(ctx, progress, Program{Name: "Amtool", Packages: []string{"./cmd/amtool"}})
}

// alertmanagerProgram builds in a copy of the module, with the versions that its own
// go.mod names. The server embeds the built pages of its user interface, which the
// module lacks: an empty page stands in for them.
func alertmanagerProgram(ctx context.Context, progress io.Writer, p Program) (string, error) {
	root, err := Go(ctx, "list", "-m", "-f", "{{.Dir}}", "github.com/promfence/promfence/test")
	if err != nil {
		return "", err
	}
	p.Dir, p.Modfile = root, alertmanagerModfile
	return cachedBy(ctx, alertmanagerModule, p, func(p Program) error {
		if _, err := Go(ctx, "mod", "download", "-C", root, "-modfile="+alertmanagerModfile, alertmanagerModule); err != nil {
			return err
		}
		module, err := Go(ctx, "list", "-C", root, "-modfile="+alertmanagerModfile, "-m", "-f", "{{.Dir}}", alertmanagerModule)
		if err != nil {
			return err
		}
		if p.Dir, err = os.MkdirTemp("", "alertmanager-"); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(p.Dir) }()
		if err := os.CopyFS(p.Dir, os.DirFS(module)); err != nil {
			return err
		}
		page := filepath.Join(p.Dir, "ui", "app", "dist", "index.html")
		if err := os.MkdirAll(filepath.Dir(page), 0o750); err != nil {
			return err
		}
		if err := os.WriteFile(page, nil, 0o600); err != nil {
			return err
		}
		p.Modfile = ""
		return p.Build(ctx, progress)
	})
}
