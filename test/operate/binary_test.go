package operate_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"
)

// maxBinary is what the shipped program may weigh, with Redoc and the console.
const maxBinary = 17 << 20

// TestTheShippedBinaryIsSmallAndStatic builds as make build does. What makes it
// heavy at once is anything that executes text/template: the linker then keeps
// every exported method of everything.
func TestTheShippedBinaryIsSmallAndStatic(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	recipe := regexp.MustCompile(`(?m)^\tCGO_ENABLED=0 go build (.*) -o bin/promfence ./cmd/promfence$`).FindSubmatch(makefile)
	if recipe == nil {
		t.Fatal("the Makefile builds in another way")
	}
	path := filepath.Join(t.TempDir(), "promfence")
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "CGO_ENABLED=0 go build "+string(recipe[1])+" -o '"+path+"' ./cmd/promfence")
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() >= maxBinary {
		t.Errorf("%d bytes, want less than %d", info.Size(), maxBinary)
	}
	if runtime.GOOS != "linux" {
		return
	}
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("it needs a dynamic linker")
		}
	}
	if f.Section(".symtab") != nil {
		t.Error("it is not stripped")
	}
}
