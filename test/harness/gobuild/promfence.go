package gobuild

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
)

// start is where the process began, which is in the module, whatever folder a
// test changes to.
var start, errStart = os.Getwd()

// Promfence returns the path of the program as its sources are now, with the
// race detector or without. Nothing is written when it is there already, so
// that several processes may build it while others run it.
func Promfence(ctx context.Context, race bool) (string, error) {
	if errStart != nil {
		return "", errStart
	}
	root, err := Go(ctx, "list", "-C", start, "-m", "-f", "{{.Dir}}", "github.com/promfence/promfence")
	if err != nil {
		return "", err
	}
	name := "promfence"
	if race {
		name += "-race"
	}
	path := filepath.Join(root, "bin", "test", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return "", err
	}
	unlock, err := lock(path + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	_, err = Go(ctx, "build", "-C", root, "-race="+strconv.FormatBool(race), "-o", path, "./cmd/promfence")
	return path, err
}
