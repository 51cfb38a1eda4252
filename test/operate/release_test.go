package operate_test

import (
	"debug/buildinfo"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/promfence/promfence/test/harness/fence"
)

// Whoever builds the same commit elsewhere gets the same bytes.
func TestReleasesAreTheSameBytes(t *testing.T) {
	t.Parallel()                                         // beside those that wait
	const redoc = "openapi/redoc/redoc.standalone.js.gz" // not in the repository
	script, err := os.ReadFile(filepath.Join("../..", redoc))
	if err != nil {
		fence.LeaveOut(t, "no Redoc: make redoc")
	}
	at, commit := t.TempDir(), strings.TrimSpace(sh(t, ".", "git rev-parse HEAD"))
	var sums []string
	for _, folder := range []string{"a", "another/folder"} {
		dir := filepath.Join(at, folder)
		sh(t, ".", "git clone --quiet ../.. '"+dir+"' && git -C '"+dir+"' checkout --quiet "+commit)
		if err := os.WriteFile(filepath.Join(dir, redoc), script, 0o600); err != nil {
			t.Fatal(err)
		}
		sh(t, dir, "make release && cd bin/release && sha256sum --check --quiet SHA256SUMS")
		b, err := os.ReadFile(filepath.Join(dir, "bin/release/SHA256SUMS"))
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, string(b))
	}
	if sums[0] != sums[1] || strings.Count(sums[0], "\n") != 2 {
		t.Errorf("built in one folder\n%sand in another\n%s", sums[0], sums[1])
	}
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		path := filepath.Join(at, "a/bin/release/promfence-linux-"+arch)
		wantStatic(t, path, machine)
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		is := map[string]string{}
		for _, s := range info.Settings {
			is[s.Key] = s.Value
		}
		if is["vcs.revision"] != commit || is["vcs.modified"] != "false" {
			t.Errorf("%s is of the commit %s, modified %s; want %s", path, is["vcs.revision"], is["vcs.modified"], commit)
		}
	}
}

func sh(t *testing.T, dir, line string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

func wantStatic(t *testing.T, path string, machine elf.Machine) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Machine != machine {
		t.Errorf("%s is for %s", path, f.Machine)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Errorf("%s needs a dynamic linker", path)
		}
	}
}
