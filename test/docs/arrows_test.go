package docs_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const ours = "github.com/promfence/promfence/"

// arrows says which of our packages a package may import. What isn't listed may
// import none, so that each can be read and trusted without the others. A room
// that does not exist yet is a line that waits for it.
var arrows = map[string][]string{
	"cmd/promfence":          {"auth", "auth/policy", "config", "openapi", "proxy", "proxy/alerting", "proxy/promql", "proxy/record", "cmd/promfence/connect", "cmd/promfence/listener", "cmd/promfence/logs", "cmd/promfence/otlp"},
	"cmd/promfence/connect":  {},
	"cmd/promfence/listener": {"proxy/socket"},
	"cmd/promfence/logs":     {},
	"cmd/promfence/otlp":     {},

	"proxy":                  {"auth", "auth/policy", "proxy/admission", "proxy/alerting", "proxy/answer", "proxy/apierr", "proxy/body", "proxy/cors", "proxy/filter", "proxy/lookup", "proxy/promql", "proxy/question", "proxy/record", "proxy/remoteread", "proxy/scope", "proxy/silence", "proxy/upstream"},
	"proxy/answer":           {"auth", "proxy/apierr", "proxy/filter"},
	"proxy/filter":           {"auth/policy", "proxy/apierr", "proxy/silence"},
	"proxy/silence":          {"auth/policy", "proxy/apierr", "proxy/promql/regexcost"},
	"proxy/lookup":           {},
	"proxy/question":         {"auth/policy", "proxy/answer", "proxy/apierr", "proxy/filter", "proxy/lookup", "proxy/promql", "proxy/scope", "proxy/upstream"},
	"proxy/admission":        {"auth/policy", "proxy/apierr"},
	"proxy/alerting":         {"auth", "auth/policy", "proxy/answer", "proxy/promql", "proxy/scope", "proxy/silence", "proxy/upstream"},
	"proxy/body":             {"proxy/apierr", "proxy/scope"},
	"proxy/cors":             {"auth/policy"},
	"proxy/record":           {"auth", "proxy/apierr", "proxy/promql", "proxy/scope"},
	"proxy/upstream":         {"proxy/apierr", "proxy/scope", "proxy/socket"},
	"proxy/socket":           {},
	"proxy/scope":            {"auth/policy", "proxy/apierr", "proxy/promql", "proxy/remoteread", "proxy/silence"},
	"proxy/remoteread":       {"auth/policy", "proxy/apierr", "proxy/promql"},
	"proxy/promql":           {"auth/policy", "proxy/apierr", "proxy/promql/regexcost"},
	"proxy/promql/regexcost": {},
	"proxy/apierr":           {"auth"},

	"auth":          {"auth/policy"},
	"auth/policy":   {},
	"auth/authtest": {"auth", "auth/policy"},
	"config":        {},
	"openapi":       {},
}

// A keeper is who alone may know a library.
type keeper struct {
	packages []string
	inTests  bool // tests of other packages may import it, to build what the code is given
}

var keepers = map[string]keeper{
	"github.com/spf13/viper": {packages: []string{"config"}},
	"github.com/golang-jwt":  {packages: []string{"auth"}},
	"github.com/prometheus-community/prom-label-proxy/injectproxy": {packages: []string{"proxy/promql"}},
	"github.com/golang/snappy":                                     {packages: []string{"proxy/remoteread"}, inTests: true},
	"google.golang.org/protobuf/encoding/protowire":                {packages: []string{"proxy/remoteread"}},
	"github.com/go-json-experiment/json/jsontext":                  {packages: []string{"proxy/filter", "auth", "auth/policy"}},
	"net/http/httputil":                                            {packages: []string{"proxy/upstream"}, inTests: true},
	"unsafe":                                                       {packages: []string{"proxy/socket"}, inTests: true},
}

// dialers are the keepers of net.Dial and net.Dialer: whoever has another way to
// open a connection can pass the upstream's.
// Nothing of a caller comes to connect, by which promfence check asks the upstream.
var dialers = []string{"proxy/upstream", "cmd/promfence/connect"}

// A goPackage is what go list tells of a package.
type goPackage struct {
	ImportPath, Dir                             string
	GoFiles, Imports, TestImports, XTestImports []string
}

func (p goPackage) name() string { return strings.TrimPrefix(p.ImportPath, ours) }

// rooms are the packages of the root module by their names.
type rooms map[string]goPackage

func TestPackagesImportOnlyAlongTheArrows(t *testing.T) {
	all := packages(t)
	for name, p := range all {
		for _, imported := range p.Imports {
			if to, mine := strings.CutPrefix(imported, ours); mine && !slices.Contains(arrows[name], to) {
				t.Errorf("%s imports %s", name, to)
			}
		}
	}
}

func TestNothingImportsTheTests(t *testing.T) {
	for name, p := range packages(t) {
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if strings.HasPrefix(imported, ours+"test/") {
				t.Errorf("%s imports %s: the program must build without its heavy tests", name, imported)
			}
		}
	}
}

func TestALibraryIsKnownToItsKeepersAlone(t *testing.T) {
	all := packages(t)
	used := map[string]bool{}
	for name, p := range all {
		check := func(imports []string, inTests bool) {
			for _, imported := range imports {
				library, known := library(imported)
				if !known {
					continue
				}
				used[library] = used[library] || !inTests
				if k := keepers[library]; (!inTests || !k.inTests) && !all.keeps(k.packages, name) {
					t.Errorf("%s imports %s, which only %s may", name, imported, k.packages)
				}
			}
		}
		check(p.Imports, false)
		check(p.TestImports, true)
		check(p.XTestImports, true)
	}
	for library := range keepers {
		if !used[library] {
			t.Errorf("nothing imports %s: is it still the one to look for?", library)
		}
	}
}

func library(imported string) (name string, known bool) {
	for l := range keepers {
		if imported == l || strings.HasPrefix(imported, l+"/") {
			return l, true
		}
	}
	return "", false
}

// keeps reports whether a package is one of these, or in the folder of one. While
// a keeper does not exist, the nearest folder above it that does keeps its place.
func (all rooms) keeps(keepers []string, name string) bool {
	return slices.ContainsFunc(keepers, func(k string) bool {
		for {
			if _, exists := all[k]; exists || k == "." {
				return name == k || strings.HasPrefix(name, k+"/")
			}
			k = path.Dir(k)
		}
	})
}

func TestOnlyTheUpstreamsPackageOpensConnections(t *testing.T) {
	all := packages(t)
	found := 0
	for name, p := range all {
		for _, file := range p.GoFiles {
			tree, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(tree, func(n ast.Node) bool {
				s, ok := n.(*ast.SelectorExpr)
				if !ok || !strings.HasPrefix(s.Sel.Name, "Dial") {
					return true
				}
				if from, ok := s.X.(*ast.Ident); ok && (from.Name == "net" || from.Name == "tls") {
					found++
					if !all.keeps(dialers, name) {
						t.Errorf("%s/%s has %s.%s", name, file, from.Name, s.Sel.Name)
					}
				}
				return true
			})
		}
	}
	if found == 0 {
		t.Error("nobody opens a connection: is net.Dialer still the one to look for?")
	}
}

// The arrows go one way: no package reaches itself along them.
func TestTheArrowsAreNoCircle(t *testing.T) {
	var visit func(name string, path []string)
	visit = func(name string, path []string) {
		if slices.Contains(path, name) {
			t.Errorf("%s is reached from itself by %s", name, path)
			return
		}
		for _, to := range arrows[name] {
			visit(to, append(slices.Clone(path), name))
		}
	}
	for name := range arrows {
		visit(name, nil)
	}
}

// packages lists the root module.
func packages(t *testing.T) rooms {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,GoFiles,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64") // what most people run
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	all := rooms{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		all[p.name()] = p
	}
	for _, known := range []string{"cmd/promfence", "proxy", "auth", "config", "openapi"} {
		if _, ok := all[known]; !ok {
			t.Fatalf("go list does not name %s", known)
		}
	}
	return all
}
