package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	// mostNames is how many names all rooms of proxy together may export: functions,
	// types, constants and variables, and neither methods nor fields. Whoever needs one
	// more finds another that can go.
	mostNames = 90
	// screen is how many lines the documentation of a room may have.
	screen = 50
)

// namedBeside are the exported names of rooms that no other package of the program names,
// and why they are exported.
var namedBeside = map[string]string{
	"proxy.Endpoints":       "the tests of other folders walk over what is served",
	"proxy.PublicEndpoints": "the tests of other folders walk over what is served",
	"proxy.Routes":          "the table that a reader begins with",
	"proxy.Route":           "a row of it",
	"proxy.Guard":           "what a row says of whose data its answers hold",
}

// A file is one of a package's, without those of its tests.
type file struct {
	tree *ast.File
	room string
}

// sources reads the files of the root module.
func sources(t *testing.T) (all []file) {
	t.Helper()
	for name, p := range packages(t) {
		for _, base := range p.GoFiles {
			tree, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, base), nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, file{tree, name})
		}
	}
	return all
}

// isRoom reports whether a package is proxy or below it.
func isRoom(name string) bool { return name == "proxy" || strings.HasPrefix(name, "proxy/") }

// exported calls f with each exported declaration of a file, and whether it has a comment
// that documents it. A method's name has its type before it.
func exported(tree *ast.File, f func(name string, isMethod, documented bool)) {
	for _, d := range tree.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			of := receiver(d)
			if d.Name.IsExported() && (of == "" || ast.IsExported(of)) {
				f(strings.TrimPrefix(of+"."+d.Name.Name, "."), of != "", d.Doc != nil)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					if s.Name.IsExported() {
						f(s.Name.Name, false, d.Doc != nil || s.Doc != nil)
					}
				case *ast.ValueSpec:
					for _, n := range s.Names {
						if n.IsExported() {
							f(n.Name, false, d.Doc != nil && len(d.Specs) == 1 || s.Doc != nil || s.Comment != nil)
						}
					}
				}
			}
		}
	}
}

// receiver is the name of the type that a method belongs to; "" for a function.
func receiver(d *ast.FuncDecl) (name string) {
	if d.Recv == nil {
		return ""
	}
	ast.Inspect(d.Recv.List[0].Type, func(n ast.Node) bool {
		if i, ok := n.(*ast.Ident); ok && name == "" {
			name = i.Name // before the parameters of a generic type
		}
		return name == ""
	})
	return name
}

// A room is worth having when few names lead into it, and each says what it is.
func TestRoomsExportFewNames(t *testing.T) {
	names := map[string][]string{}
	for _, f := range sources(t) {
		if !isRoom(f.room) {
			continue
		}
		exported(f.tree, func(name string, isMethod, documented bool) {
			if !isMethod {
				names[f.room] = append(names[f.room], name)
			}
			if !documented {
				t.Errorf("%s.%s has no comment", f.room, name)
			}
		})
	}
	total := 0
	for _, room := range slices.Sorted(maps.Keys(names)) {
		slices.Sort(names[room])
		t.Logf("%-22s %2d %s", room, len(names[room]), strings.Join(names[room], " "))
		total += len(names[room])
	}
	if total > mostNames || total < mostNames/2 {
		t.Errorf("the rooms of proxy export %d names, want %d or fewer, and not none", total, mostNames)
	}
}

// The documentation of a room fits a screen.
func TestRoomsAreDocumented(t *testing.T) {
	lines := map[string]int{}
	for _, f := range sources(t) {
		if isRoom(f.room) {
			lines[f.room] += strings.Count(f.tree.Doc.Text(), "\n")
		}
	}
	if len(lines) < 10 {
		t.Fatalf("%d rooms", len(lines))
	}
	for room, n := range lines {
		if n == 0 || n > screen {
			t.Errorf("the documentation of %s has %d lines, want 1 to %d", room, n, screen)
		}
	}
}

// A name that only its own package or its tests need is not exported.
func TestWhatARoomExportsIsNamedElsewhere(t *testing.T) {
	all := sources(t)
	used := map[string]bool{}
	for _, f := range all {
		rooms := map[string]string{} // by what the file calls them
		for _, i := range f.tree.Imports {
			imported, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			as := path.Base(imported)
			if i.Name != nil {
				as = i.Name.Name
			}
			if room, mine := strings.CutPrefix(imported, ours); mine {
				rooms[as] = room
			}
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && rooms[x.Name] != "" {
					used[rooms[x.Name]+"."+s.Sel.Name] = true
				}
			}
			return true
		})
	}
	for _, f := range all {
		if !isRoom(f.room) {
			continue
		}
		exported(f.tree, func(name string, isMethod, _ bool) {
			full := f.room + "." + name
			if _, told := namedBeside[full]; !isMethod && used[full] == told {
				t.Errorf("%s: named by another package %t, listed as needed beside %t", full, used[full], told)
			}
		})
	}
}
