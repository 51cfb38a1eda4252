package gobuild_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/promfence/promfence/test/harness/gobuild"
)

// A fresh clone has no folder bin: the build of several programs makes it.
func TestSeveralProgramsMakeTheirFolder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "bin")
	err := gobuild.Program{Name: "two", Packages: []string{"./mutants", "./harness/prebuild"}, Dir: "../..", Output: folder + "/"}.Build(t.Context(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mutants", "prebuild"} {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			t.Error(err)
		}
	}
}
