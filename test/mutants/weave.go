package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// switched is the file that each package gets with its mutants: which of them is
// on, and the choice between two values.
const switched = `package %s

import (
	"os"
	"strconv"
)

var mutantOn, _ = strconv.Atoi(os.Getenv("` + variable + `"))

func mutantOr[T any](id int, mutated, value T) T {
	if mutantOn == id {
		return mutated
	}
	return value
}
`

// variable is that of the environment.
const variable = "MUTANT"

// A weaver puts all mutants of a file into it, so that it does what it did until
// one of them is switched on.
//
// A mutant inside of a function becomes a copy of the whole function with the edit
// made, and the function begins with a switch that calls the copy: so an edit may
// be any text that compiles in its place. A mutant inside of the value of a
// variable becomes a second value. All else (constants, types, signatures, and
// functions that recover, which must be called by defer itself) cannot share.
type weaver struct {
	*source
	cuts   []cut
	copies bytes.Buffer
	spans  []span // of the copies
	calls  map[*ast.FuncDecl][]*mutant
}

// A cut replaces a part of the file.
type cut struct {
	begin, end int
	text       string
}

// A span is where in the copies a mutant stands.
type span struct {
	begin, end int
	*mutant
}

func newWeaver(s *source) *weaver { return &weaver{source: s, calls: map[*ast.FuncDecl][]*mutant{}} }

// add weaves a mutant in, if it can share.
func (w *weaver) add(m *mutant, p place) bool {
	if m.alone {
		return false
	}
	switch d := p.declaration().(type) {
	case *ast.FuncDecl:
		if d.Body == nil || p.begin <= w.at.Offset(d.Body.Lbrace) || p.end > w.at.Offset(d.Body.Rbrace) || recovers(d) {
			return false
		}
		w.copyOf(d, m, p)
		return true
	case *ast.GenDecl:
		for _, s := range d.Specs {
			if v, ok := s.(*ast.ValueSpec); ok && d.Tok.String() == "var" && len(v.Values) == len(v.Names) && w.secondValue(v, m, p) {
				return true
			}
		}
	}
	return false
}

// copyOf appends the function with the edit made.
func (w *weaver) copyOf(d *ast.FuncDecl, m *mutant, p place) {
	begin, name, end := w.at.Offset(d.Pos()), w.at.Offset(d.Name.Pos()), w.at.Offset(d.End())
	if d.Doc != nil {
		begin = w.at.Offset(d.Type.Func)
	}
	from := w.copies.Len()
	fmt.Fprintf(&w.copies, "\n%s%s%s%s%s\n", w.text[begin:name], copyName(d, m), w.text[name+len(d.Name.Name):p.begin], m.text, w.text[p.end:end])
	w.spans = append(w.spans, span{from, w.copies.Len(), m})
	w.calls[d] = append(w.calls[d], m)
}

func copyName(d *ast.FuncDecl, m *mutant) string { return fmt.Sprintf("mutant%d%s", m.id, d.Name.Name) }

// secondValue puts the mutated value of a variable before the true one.
func (w *weaver) secondValue(v *ast.ValueSpec, m *mutant, p place) bool {
	for _, value := range v.Values {
		begin, end := w.at.Offset(value.Pos()), w.at.Offset(value.End())
		if p.begin < begin || p.end > end {
			continue
		}
		kind := ""
		if v.Type != nil {
			kind = "[" + string(w.text[w.at.Offset(v.Type.Pos()):w.at.Offset(v.Type.End())]) + "]"
		}
		mutated := fmt.Sprintf("%s%s%s", w.text[begin:p.begin], m.text, w.text[p.end:end])
		w.cuts = append(w.cuts, cut{begin, begin, fmt.Sprintf("mutantOr%s(%d, %s, ", kind, m.id, strings.TrimSpace(mutated))}, cut{end, end, ")"})
		return true
	}
	return false
}

// recovers reports whether a function calls recover outside of its literals.
func recovers(d *ast.FuncDecl) (found bool) {
	ast.Inspect(d.Body, func(n ast.Node) bool {
		if _, literal := n.(*ast.FuncLit); literal {
			return false
		}
		if call, ok := n.(*ast.CallExpr); ok {
			if f, ok := call.Fun.(*ast.Ident); ok && f.Name == "recover" {
				found = true
			}
		}
		return true
	})
	return found
}

// woven is the file with all its mutants.
func (w *weaver) woven() []byte {
	for d, mutants := range w.calls {
		w.dispatch(d, mutants)
	}
	slices.SortStableFunc(w.cuts, func(a, b cut) int { return a.begin - b.begin })
	var out bytes.Buffer
	done := 0
	for _, c := range w.cuts {
		out.Write(w.text[done:c.begin])
		out.WriteString(c.text)
		done = c.end
	}
	out.Write(w.text[done:])
	for i := range w.spans {
		w.spans[i].begin += out.Len()
		w.spans[i].end += out.Len()
	}
	out.Write(w.copies.Bytes())
	return out.Bytes()
}

// dispatch names what a function is called with and hands it to the copy that is
// switched on.
func (w *weaver) dispatch(d *ast.FuncDecl, mutants []*mutant) {
	callee, kinds := "", ""
	if d.Recv != nil {
		callee = strings.Join(w.named(d.Recv, "mutantReceiver"), "") + "."
	}
	if d.Type.TypeParams != nil {
		kinds = "[" + strings.Join(w.named(d.Type.TypeParams, "Mutant"), ", ") + "]"
	}
	args := strings.Join(w.named(d.Type.Params, "mutantParameter"), ", ")
	var b strings.Builder
	b.WriteString(" switch mutantOn {")
	for _, m := range mutants {
		call := callee + copyName(d, m) + kinds + "(" + args + ")"
		if d.Type.Results == nil {
			fmt.Fprintf(&b, " case %d: %s; return;", m.id, call)
		} else {
			fmt.Fprintf(&b, " case %d: return %s;", m.id, call)
		}
	}
	b.WriteString(" };")
	after := w.at.Offset(d.Body.Lbrace) + 1
	w.cuts = append(w.cuts, cut{after, after, b.String()})
}

// named returns the names of a list of parameters, as a call spells them, and
// gives a name to each that has none.
func (w *weaver) named(fields *ast.FieldList, prefix string) (names []string) {
	for _, f := range fields.List {
		suffix := ""
		if _, variadic := f.Type.(*ast.Ellipsis); variadic {
			suffix = "..."
		}
		if len(f.Names) == 0 {
			name, at := fmt.Sprint(prefix, len(names)), w.at.Offset(f.Type.Pos())
			w.cuts = append(w.cuts, cut{at, at, name + " "})
			names = append(names, name+suffix)
		}
		for _, n := range f.Names {
			name := n.Name
			if name == "_" {
				name = fmt.Sprint(prefix, len(names))
				at := w.at.Offset(n.Pos())
				w.cuts = append(w.cuts, cut{at, at + 1, name})
			}
			names = append(names, name+suffix)
		}
	}
	return names
}
