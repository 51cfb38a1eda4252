package scope_test

import (
	"strings"
	"testing"

	"github.com/promfence/promfence/proxy/scope"
)

func TestParametersThatTwoReadersReadDifferently(t *testing.T) {
	for _, tt := range []struct {
		name, form string
		good       bool
	}{
		{"one query", "query=up", true},
		{"the same query twice", "query=up&query=up", true},
		{"two queries", "query=up&query=down", false},
		{"a semicolon", "query=up;query=down", false},
		{"an escaped semicolon", "query=up%3Bdown", true},
		{"a thousand parameters", "query=up" + strings.Repeat("&x=1", 999), true},
		{"one more", "query=up" + strings.Repeat("&x=1", 1000), false},
		{"a broken escape", "query=%zz", false},
	} {
		ps, err := scope.ReadParams([]byte(tt.form), []string{"query"})
		if (err == nil) != tt.good {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err == nil && len(ps) != 1 {
			t.Errorf("%s: %v", tt.name, ps)
		}
	}
}
