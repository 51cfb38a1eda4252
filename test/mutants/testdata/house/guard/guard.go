// Package guard has something of everything that a mutant can stand in.
package guard

import "strings"

const most = 3

var closed = []string{
	"/admin",
	"/write",
}

var open, hidden = "/query", "/secret"

type gate[T any] struct{ seen []T }

func (g *gate[T]) pass(v T, _ string, more ...string) bool {
	if len(more) > most {
		return false
	}
	g.seen = append(g.seen, v)
	return true
}

func Allowed(path string) bool {
	for _, c := range closed {
		if path == c { // an exact match
			return false
		}
	}
	return !strings.HasPrefix(path, hidden)
}

func (gate[T]) name(string) string { return open }

func first[T any](all []T) (v T) {
	if len(all) == 0 {
		return v
	}
	return all[0]
}

func safely(f func()) {
	defer restore()
	f()
}

func restore() {
	if v := recover(); v != nil {
		return
	}
}

func twice(a, b string) bool {
	if a == "" {
		return false
	}
	if b == "" {
		return false
	}
	return a == b
}

func unwatched(n int) bool {
	return n > most
}
