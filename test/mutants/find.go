package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/scanner"
	"go/token"
	"os"
	"path/filepath"
	"slices"
)

// A source is a file of the package.
type source struct {
	path string // absolute
	text []byte
	tree *ast.File
	at   *token.File

	tokens []word
}

// A word is a token without its white space.
type word struct {
	text       string
	begin, end int // offsets
}

// sources reads the package in a folder, without its tests.
func sources(dir string) ([]*source, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	pkg, err := build.ImportDir(dir, 0)
	if err != nil {
		return nil, err
	}
	var all []*source
	for _, name := range pkg.GoFiles {
		s := &source{path: filepath.Join(dir, name)}
		if s.text, err = os.ReadFile(s.path); err != nil {
			return nil, err
		}
		set := token.NewFileSet()
		if s.tree, err = parser.ParseFile(set, s.path, s.text, parser.ParseComments|parser.SkipObjectResolution); err != nil {
			return nil, err
		}
		s.at = set.File(s.tree.Pos())
		s.tokens = words(s.text)
		all = append(all, s)
	}
	return all, nil
}

// words splits Go source. Semicolons that the scanner puts at the ends of lines
// are left out, so that lines may be broken in another way.
func words(text []byte) []word {
	set := token.NewFileSet()
	file := set.AddFile("", -1, len(text))
	var s scanner.Scanner
	s.Init(file, text, func(token.Position, string) {}, 0)
	var all []word
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			return all
		}
		if tok == token.SEMICOLON && lit != ";" {
			continue
		}
		if lit == "" || tok.IsOperator() {
			lit = tok.String()
		}
		begin := file.Offset(pos)
		all = append(all, word{lit, begin, begin + len(lit)})
	}
}

// A place is where the old text of a mutant stands.
type place struct {
	*source
	begin, end int // offsets
}

// find looks for the one place of a mutant in its package.
func find(m *mutant, all []*source) (place, error) {
	old := words([]byte(m.old))
	var found []place
	for _, s := range all {
		for i := 0; i+len(old) <= len(s.tokens); i++ {
			same := slices.EqualFunc(old, s.tokens[i:i+len(old)], func(a, b word) bool { return a.text == b.text })
			if p := (place{s, s.tokens[i].begin, s.tokens[i+len(old)-1].end}); same && p.inside(m.function) {
				found = append(found, p)
			}
		}
	}
	switch len(found) {
	case 0:
		return place{}, errors.New("the old text is gone: does the guard stand elsewhere now?")
	case 1:
		return found[0], nil
	}
	return place{}, fmt.Errorf("the old text stands in %d places: name the function", len(found))
}

func (p place) inside(function string) bool {
	if function == "" {
		return true
	}
	f, ok := p.declaration().(*ast.FuncDecl)
	return ok && funcName(f) == function
}

// declaration is the one at the top of the file that holds the place.
func (p place) declaration() ast.Decl {
	for _, d := range p.tree.Decls {
		if p.at.Offset(d.Pos()) <= p.begin && p.end <= p.at.Offset(d.End()) {
			return d
		}
	}
	return nil
}

// funcName spells a function as F and a method as T.F.
func funcName(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	t := f.Recv.List[0].Type
	for {
		switch inner := t.(type) {
		case *ast.StarExpr:
			t = inner.X
		case *ast.IndexExpr:
			t = inner.X
		case *ast.IndexListExpr:
			t = inner.X
		case *ast.Ident:
			return inner.Name + "." + f.Name.Name
		default:
			return f.Name.Name
		}
	}
}
