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

// alertmanagerProgram builds in a copy. The server embeds the built pages of its user
// interface, which the module lacks: an empty page stands in for them.
func alertmanagerProgram(ctx context.Context, progress io.Writer, p Program) (string, error) {
	p.Modfile = alertmanagerModfile
	return copied(ctx, progress, alertmanagerModule, p, func(dir string) error {
		page := filepath.Join(dir, "ui", "app", "dist", "index.html")
		if err := os.MkdirAll(filepath.Dir(page), 0o750); err != nil {
			return err
		}
		return os.WriteFile(page, nil, 0o600)
	})
}
