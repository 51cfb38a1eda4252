package guard

import (
	"strings"
	"testing"
)

func TestAllowed(t *testing.T) {
	for path, want := range map[string]bool{"/query": true, "/admin": false, "/write": false, "/secret/x": false} {
		t.Run(strings.Trim(path, "/"), func(t *testing.T) {
			if Allowed(path) != want {
				t.Error(path)
			}
		})
	}
}

func TestGate(t *testing.T) {
	g := &gate[int]{}
	if !g.pass(1, "", "a", "b", "c") || g.pass(1, "", "a", "b", "c", "d") || len(g.seen) != 1 {
		t.Error("passes")
	}
	if g.name("x") != "/query" {
		t.Error("name")
	}
	if first([]string{}) != "" || first([]int{2, 3}) != 2 {
		t.Error("first")
	}
	safely(func() { panic("x") })
}

func TestTwice(t *testing.T) {
	if !twice("a", "a") || twice("", "") || twice("a", "") || twice("a", "b") {
		t.Error("twice")
	}
}

func TestUnwatched(*testing.T) { unwatched(4) }

func TestBroken(t *testing.T) { t.Error("always") }
