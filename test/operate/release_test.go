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

// Whoever builds the same commit elsewhere gets the same bytes: archives, image and
// checksums.
func TestReleasesAreTheSameBytes(t *testing.T) {
	t.Parallel()                                                                                    // beside those that wait
	pages := []string{"openapi/redoc/redoc.standalone.js.gz", "openapi/console/dist/console.js.gz"} // not in the repository
	for _, page := range pages {
		if _, err := os.Stat(filepath.Join("../..", page)); err != nil {
			fence.LeaveOut(t, "no Redoc or no console: make redoc console")
		}
	}
	at, commit := t.TempDir(), strings.TrimSpace(sh(t, ".", "git rev-parse HEAD"))
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	sh(t, at, "ssh-keygen -q -t ed25519 -N '' -f key")
	var sums []string
	for _, folder := range []string{"a", "another/folder"} {
		dir := filepath.Join(at, folder)
		sh(t, ".", "git clone --quiet ../.. '"+dir+"' && git -C '"+dir+"' checkout --quiet "+commit)
		for _, page := range pages {
			sh(t, dir, "cp '"+filepath.Join(root, page)+"' "+page)
		}
		sh(t, dir, "make release KEY='"+at+"/key' && cd bin/release && sha256sum --check --quiet SHA256SUMS")
		sh(t, filepath.Join(dir, "bin/release"), `echo "release $(cat '`+at+`/key.pub')" >../signers && ssh-keygen -Y verify -f ../signers -I release -n promfence -s SHA256SUMS.sig <SHA256SUMS`)
		b, err := os.ReadFile(filepath.Join(dir, "bin/release/SHA256SUMS"))
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, string(b)+digest(t, filepath.Join(dir, "bin/image")))
	}
	if sums[0] != sums[1] || strings.Count(sums[0], "\n") != 6 {
		t.Errorf("built in one folder\n%s\nand in another\n%s", sums[0], sums[1])
	}
	t.Log(sums[0])
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		sh(t, at, "mkdir "+arch+" && tar -xzf a/bin/release/promfence-*-linux-"+arch+".tar.gz --strip-components=1 -C "+arch)
		path := filepath.Join(at, arch, "promfence")
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
