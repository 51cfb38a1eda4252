package fence

import (
	"context"
	"runtime/debug"
	"slices"
	"sync"
	"testing"

	"github.com/promfence/promfence/test/harness/gobuild"
)

// Binary is the path of the program as its sources are now, with the race
// detector or without.
func Binary(t testing.TB, race bool) string {
	t.Helper()
	build := plain
	if race {
		build = racing
	}
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var (
	plain  = sync.OnceValues(func() (string, error) { return gobuild.Promfence(context.Background(), false) })
	racing = sync.OnceValues(func() (string, error) { return gobuild.Promfence(context.Background(), true) })
)

// race tells whether this test has the race detector, which the program then
// has too.
func race() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
