package gobuild

import (
	"context"
	"io"
)

const thanosModule = "github.com/thanos-io/thanos"

// Thanos does for Thanos what Prometheus does for the Prometheus server. Its version stands in a module file of its own, .thanos.mod
// beside the tests' go.mod: Thanos pins another Prometheus than ours.
func Thanos(ctx context.Context, progress io.Writer) (string, error) {
	root, err := Go(ctx, "list", "-m", "-f", "{{.Dir}}", "github.com/promfence/promfence/test")
	if err != nil {
		return "", err
	}
	return cached(ctx, progress, thanosModule, Program{
		Name:     "Thanos",
		Packages: []string{thanosModule + "/cmd/thanos"},
		Dir:      root,
		Modfile:  ".thanos.mod",
		Tags:     "slicelabels", // Without it receive and sidecar panic.
	})
}
