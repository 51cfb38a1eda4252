package test_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const ours = "github.com/promfence/promfence/"

// arrows says which of our packages a package may import. What isn't listed may
// import none, so that each can be read and trusted without the others.
var arrows = map[string][]string{
	"cmd/promfence": {"auth", "config", "openapi", "proxy"},
	"proxy":         {"auth", "proxy/apierr"},
	"proxy/apierr":  {"auth"},
	"auth":          {"auth/policy"},
	"auth/policy":   {},
	"auth/authtest": {"auth"},
	"config":        {},
	"openapi":       {},
}

// keepers are the packages that alone may know a library.
var keepers = map[string]string{
	"github.com/spf13/viper":                           "config",
	"github.com/golang-jwt":                            "auth",
	"github.com/prometheus-community/prom-label-proxy": "proxy",
}

// A goPackage is what go list tells of a package.
type goPackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func TestPackagesImportOnlyAlongTheArrows(t *testing.T) {
	all := packages(t)
	if len(all) < 5 {
		t.Fatalf("go list names %d packages only", len(all))
	}
	for _, p := range all {
		name := strings.TrimPrefix(p.ImportPath, ours)
		for _, path := range p.Imports {
			if to, mine := strings.CutPrefix(path, ours); mine && !slices.Contains(arrows[name], to) {
				t.Errorf("%s imports %s", name, to)
			}
		}
	}
}

func TestALibraryIsKnownToItsKeeperAlone(t *testing.T) {
	used := map[string]bool{}
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, ours)
		for _, path := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if strings.HasPrefix(path, ours+"test/") {
				t.Errorf("%s imports %s: the program must build without its heavy tests", name, path)
			}
			for library, keeper := range keepers {
				if !strings.HasPrefix(path, library) {
					continue
				}
				used[library] = true
				if name != keeper && !strings.HasPrefix(name, keeper+"/") {
					t.Errorf("%s imports %s, which only %s may", name, path, keeper)
				}
			}
		}
	}
	for library := range keepers {
		if !used[library] {
			t.Errorf("nothing imports %s: is it still the one to look for?", library)
		}
	}
}

// packages lists the root module.
func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}
