package scope_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/promfence/promfence/proxy/apierr"
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
		var ps scope.Params
		err := ps.Read([]byte(tt.form), []string{"query"}, 1000)
		if (err == nil) != tt.good {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err == nil && len(ps) != 1 {
			t.Errorf("%s: %v", tt.name, ps)
		}
	}
}

// Grafana appends its users' parameters to its own: a caller can only lose by it.
func TestOfTwoCeilingsTheStricterCounts(t *testing.T) {
	for _, tt := range []struct{ form, want string }{
		{"limit=10&limit=5", "limit=5"},
		{"limit=5&limit=10", "limit=5"},
		{"limit=0&limit=5", "limit=5"},
		{"limit=5&limit=0", "limit=5"},
		{"limit=&limit=5", "limit=5"},
		{"limit=5&limit=", "limit=5"},
		{"limit=9&limit=100", "limit=9"},
		{"limit=100&query=up&limit=9&limit=50", "query=up&limit=9"},
		{"limit=5&limit=5", "limit=5"},
		{"limit=x&limit=x", "limit=x"}, // the upstream's to refuse
		{"limit=5&limit=x", ""},
		{"limit=x&limit=5", ""},
		{"limit=5&limit=9&limit=x", ""},
		{"limit=5&limit=-1", ""},
		{"limit=5&limit=1e1", ""},
		{"limit=5&limit=1.5", ""},
		{"limit=5&limit=99999999999999999999", ""},
		{"timeout=1m&timeout=5s", "timeout=5s"},
		{"timeout=5s&timeout=1m", "timeout=5s"},
		{"timeout=90&timeout=1m", "timeout=1m"},
		{"timeout=0.5&timeout=400ms", "timeout=400ms"},
		{"timeout=1m&timeout=60", "timeout=1m"},
		{"timeout=0&timeout=5s", "timeout=5s"},
		{"timeout=5s&timeout=0s", "timeout=5s"},
		{"timeout=&timeout=5s", "timeout=5s"},
		{"timeout=5s&timeout=x", ""},
		{"timeout=-1&timeout=5s", ""},
		{"timeout=NaN&timeout=5s", ""},
		{"time=1&time=2", ""},
		{"group_limit=1&group_limit=2", ""},
	} {
		var ps scope.Params
		err := ps.Read([]byte(tt.form), []string{"query", "time", "limit", "timeout", "group_limit"}, 1)
		if tt.want == "" {
			if e, ok := errors.AsType[*apierr.Error](err); !ok || e.Status != 400 {
				t.Errorf("%s: %v, %v, want a 400", tt.form, ps, err)
			}
			continue
		}
		var got []string
		for _, p := range ps {
			got = append(got, p.Name+"="+p.Value)
		}
		if strings.Join(got, "&") != tt.want || err != nil {
			t.Errorf("%s: %v, %v, want %s", tt.form, got, err, tt.want)
		}
	}
}

func TestSelectorsHaveABoundOfTheirOwn(t *testing.T) {
	selectors := func(n int) string { return strings.Repeat("match[]=up&", n) }
	others := strings.Repeat("x=1&", 1000)
	for _, tt := range []struct {
		form    string
		known   []string
		refusal string
	}{
		{selectors(1200) + others, []string{"match[]"}, ""},
		{selectors(1201), []string{"match[]"}, "at most 1200 are accepted (limits.max_selectors)"},
		{strings.ReplaceAll(selectors(1201), "[]", "%5B%5D"), []string{"match[]"}, "limits.max_selectors"},
		{selectors(1) + others + "x=1", []string{"match[]"}, "too many parameters"},
		{selectors(1000), []string{"query"}, ""}, // where they are nothing but unknown
		{selectors(1001), []string{"query"}, "too many parameters"},
	} {
		var ps scope.Params
		err := ps.Read([]byte(tt.form), tt.known, 1200)
		if (err == nil) != (tt.refusal == "") || err != nil && !strings.Contains(err.Error(), tt.refusal) {
			t.Errorf("%.40s…: %d parameters, %v, want %q", tt.form, len(ps), err, tt.refusal)
		}
	}
}
