package gobuild

import (
	"context"
	"io"
)

const helmModule = "helm.sh/helm/v4"

// Helm does for Helm what Prometheus does for the Prometheus server. Its version
// stands in .helm.mod beside the tests' go.mod.
func Helm(ctx context.Context, progress io.Writer) (string, error) {
	root, err := Go(ctx, "list", "-m", "-f", "{{.Dir}}", "github.com/promfence/promfence/test")
	if err != nil {
		return "", err
	}
	return cached(ctx, progress, helmModule, Program{Name: "Helm", Packages: []string{helmModule + "/cmd/helm"}, Dir: root, Modfile: ".helm.mod"})
}
