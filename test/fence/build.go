package fence

import (
	"context"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/promfence/promfence/test/gobuild"
)

// Binary is the path of the program as it is now, with the race detector or
// without. It stands in the checkout's bin, where the next test finds it.
func Binary(t testing.TB, race bool) string {
	t.Helper()
	path, err := map[bool]func() (string, error){false: plain, true: racing}[race]()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var (
	plain  = sync.OnceValues(func() (string, error) { return build("promfence", false) })
	racing = sync.OnceValues(func() (string, error) { return build("promfence-race", true) })
)

func build(name string, race bool) (string, error) {
	ctx := context.Background()
	root, err := gobuild.Go(ctx, "list", "-m", "-f", "{{.Dir}}", "github.com/promfence/promfence")
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, "bin", "test", name)
	_, err = gobuild.Go(ctx, "build", "-C", root, "-race="+strconv.FormatBool(race), "-o", path, "./cmd/promfence")
	return path, err
}

// race tells whether this test has the race detector, which the program then
// has too.
func race() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
