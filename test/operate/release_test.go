package operate_test

import (
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/promfence/promfence/test/harness/fence"
)

// Whoever builds the same commit elsewhere gets the same bytes: archives, image,
// chart, SBOM and checksums.
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
	if sums[0] != sums[1] || strings.Count(sums[0], "\n") != 7 {
		t.Errorf("built in one folder\n%s\nand in another\n%s", sums[0], sums[1])
	}
	t.Log(sums[0])
	listed := components(t, filepath.Join(at, "a/bin/release"))
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		sh(t, at, "mkdir "+arch+" && tar -xzf a/bin/release/promfence-*-linux-"+arch+".tar.gz --strip-components=1 -C "+arch)
		path := filepath.Join(at, arch, "promfence")
		wantStatic(t, path, machine)
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range info.Deps {
			if listed[m.Path] != m.Version {
				t.Errorf("%s is made of %s %s, and the SBOM says %q", path, m.Path, m.Version, listed[m.Path])
			}
		}
		if len(listed) != len(info.Deps)+1 || listed["std"] != info.GoVersion {
			t.Errorf("the SBOM lists %d modules, and %s is made of %d and %s", len(listed), path, len(info.Deps), info.GoVersion)
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

// components are the modules in the SBOM of a release, with their versions. Each says
// under which license it may be used.
func components(t *testing.T, release string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(release, "*.cdx.json"))
	if err != nil || len(paths) != 1 {
		t.Fatalf("%v: SBOMs %v", err, paths)
	}
	text, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		Components []struct {
			Name, Version string
			Evidence      struct{ Licenses []any }
		}
	}
	if err := json.Unmarshal(text, &bom); err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for _, c := range bom.Components {
		if len(c.Evidence.Licenses) == 0 && c.Name != "std" { // Go's own license is no module's
			t.Errorf("no license is known of %s", c.Name)
		}
		listed[c.Name] = c.Version
	}
	return listed
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
