package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// A mutant is one edit that weakens a guard.
type mutant struct {
	name       string // what a caller could do with it
	where      string // its place in the list, as file:line
	function   string // in which the old text is, as F or T.F; needed when it stands in several
	alone      bool   // it cannot share a test binary
	test       string // which must notice
	equivalent string // why no test can
	old, text  string

	id int // among all of its package
}

// A list holds the mutants of one package.
type list struct {
	pkg     string // its folder
	mutants []*mutant
}

// readLists reads a folder of lists, a file a package:
//
//	package proxy/promql
//
//	mutant a selector below a subquery stays without the tenant
//	in Enforcer.walk
//	test TestEverySelectorHoldsTheTenant
//	- if err != nil {
//	-     return err
//	- }
//	+ _ = err
//
// Lines with - are the old text and those with + the new one; false and true in its
// place stand for a condition that has no effect, whose variables stay in use.
// White space and comments do not count when the old text is looked for. Instead of a test stands
// "equivalent" with a reason. "alone" gives a mutant a test binary of its own.
func readLists(folder string) ([]list, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.txt"))
	if err != nil {
		return nil, err
	}
	var all []list
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		l, err := parseList(file, string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

func parseList(file, text string) (list, error) {
	var l list
	var m *mutant
	names := map[string]bool{}
	for i, line := range strings.Split(text, "\n") {
		where := fmt.Sprintf("%s:%d", file, i+1)
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "" || word == "#":
		case word == "package":
			l.pkg = rest
		case word == "mutant":
			if names[rest] {
				return list{}, fmt.Errorf("%s: a second mutant of that name", where)
			}
			names[rest] = true
			m = &mutant{name: rest, where: where, id: len(l.mutants) + 1}
			l.mutants = append(l.mutants, m)
		case m == nil || !m.set(word, rest):
			return list{}, fmt.Errorf("%s: %q is neither a mutant nor a part of one", where, line)
		}
	}
	if l.pkg == "" {
		return list{}, fmt.Errorf("%s: no line begins with package", file)
	}
	for _, m := range l.mutants {
		m.text = strings.TrimSuffix(m.text, "\n")
		switch m.text {
		case "false":
			m.text = "((" + strings.TrimSuffix(m.old, "\n") + ") && false)"
		case "true":
			m.text = "((" + strings.TrimSuffix(m.old, "\n") + ") || true)"
		}
		if m.old == "" || m.test != "" && (m.equivalent != "" || !testName.MatchString(m.test)) {
			return list{}, fmt.Errorf("%s: want an old text and either a test or a reason why none can notice", m.where)
		}
	}
	return l, nil
}

var testName = regexp.MustCompile(`^(Test|Fuzz)\w+`)

func (m *mutant) set(word, rest string) (known bool) {
	switch word {
	case "in":
		m.function = rest
	case "test":
		m.test = rest
	case "equivalent":
		m.equivalent = rest
	case "alone":
		m.alone = true
	case "-":
		m.old += rest + "\n"
	case "+":
		m.text += rest + "\n"
	default:
		return false
	}
	return true
}
