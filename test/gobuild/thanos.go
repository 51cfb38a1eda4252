package gobuild

import (
	"context"
	"io"
	"path/filepath"
)

const thanosModule = "github.com/thanos-io/thanos"

// Thanos does for Thanos what Prometheus does for the Prometheus server (some
// three minutes). A module of its own names the version: Thanos pins another
// Prometheus than ours.
func Thanos(ctx context.Context, progress io.Writer) (string, error) {
	root, err := Go(ctx, "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return "", err
	}
	return cached(ctx, progress, thanosModule, Program{
		Name:    "Thanos",
		Package: thanosModule + "/cmd/thanos",
		Dir:     filepath.Join(root, "thanos", "tool"),
		Tags:    "slicelabels", // Without it receive and sidecar panic.
	})
}
