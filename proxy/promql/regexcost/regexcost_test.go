package regexcost_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/promfence/promfence/proxy/promql/regexcost"
)

func cost(patterns ...string) int {
	var c regexcost.Cost
	for _, p := range patterns {
		c.Add(p)
	}
	return int(c)
}

// Each of these takes seconds, or tenths of one, to compile, or to print again.
func TestCostlyPatternsAreBeyondMax(t *testing.T) {
	for name, pattern := range map[string]string{
		"repetitions in repetitions":                strings.Repeat("(.{1000})?", 50),
		"folded classes beyond ASCII":               `(?i)` + strings.Repeat(`[\x{80}-\x{10ffff}]`, 4),
		"folded classes, the flag in a group":       `a(?mi:` + strings.Repeat(`[\x{80}-\x{10ffff}]`, 4) + `)`,
		"folded ranges, each by itself":             `(?i)[` + strings.Repeat(`ā-ſ`, 8) + `]`,
		"classes beyond ASCII, by octal":            strings.Repeat(`[\200-\777]`, 11),
		"classes beyond ASCII, as they stand":       strings.Repeat(`[ä-ü]`, 11),
		"negated classes":                           strings.Repeat(`[^a]`, 11),
		"negated classes of a name":                 strings.Repeat(`[[:^alpha:]]`, 11),
		"negated classes outside of brackets":       strings.Repeat(`\S\D`, 6),
		"properties":                                strings.Repeat(`\pL`, 11),
		"properties in braces":                      strings.Repeat(`\p{Greek}`, 11),
		"groups in groups":                          strings.Repeat("(a|b", 330) + "c" + strings.Repeat(")", 330),
		"words of which each begins the next":       `(` + chain(350) + `)`,
		"the same beside what only looks special":   `x]|` + chain(350),
		"a list for each of many words":             strings.Repeat("(a|b)", 8) + strings.Repeat("(c)", 900),
		"many parts that may be left out":           optional(300),
		"a large class many times":                  `[` + everySecondRune(2000) + `]{990}`,
		"a property many times":                     strings.Repeat(`\pL{990}`, 7),
		"times that may be fewer":                   strings.Repeat("a{0,1000}", 38),
		"times without end":                         strings.Repeat("a{1000,}", 40),
		"a literal between \\Q and \\E":             `\Q` + strings.Repeat("a", regexcost.Max) + `\E+`,
		"a bracket expression that begins with ]":   strings.Repeat(`[]\pL]`, 11),
		"a hundred thousand alternatives and a dot": "." + strings.Repeat("|a", 100_000),
	} {
		if c := cost(pattern); c <= regexcost.Max {
			t.Errorf("%s: %d, at most %d is let through", name, c, regexcost.Max)
		}
	}
}

func TestWhatPeopleWriteIsFarBelowMax(t *testing.T) {
	for name, pattern := range map[string]string{
		"words":               "web|db|cache",
		"a prefix":            "host-.*",
		"a path":              "/api/v[0-9]+/(users|orders)(/[a-z0-9-]+)?/?",
		"folded words":        `^(?i:web|db)-[0-9]{1,3}\..+$`,
		"pods of deployments": "(" + list(20, "workload-%d") + ")-[a-z0-9]+-[a-z0-9]{5}",
		"no hexadecimal":      ".*[^0-9a-f].*",
	} {
		if c := cost(pattern); c > regexcost.Max/5 {
			t.Errorf("%s: %d of %d", name, c, regexcost.Max)
		}
	}
}

func TestListsOfWordsCostNextToNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		pattern string
		most    int
	}{
		"plain":                   {list(10_000, "host-%d"), 0},
		"escaped":                 {list(2000, `host-%04d\.example\.com:9100`), regexcost.Max},
		"in brackets":             {"(" + list(4300, "host-%04d:9100") + ")", regexcost.Max},
		"in brackets, short ones": {"(" + list(12_000, "%d") + ")", regexcost.Max},
	} {
		if c := cost(tt.pattern); c > tt.most {
			t.Errorf("%s: %d, want at most %d", name, c, tt.most)
		}
	}
}

func TestCostsAddUp(t *testing.T) {
	one := cost(`\pL`)
	if got := cost(`\pL`, `\pL`, `\pL`); got != 3*one {
		t.Errorf("three patterns cost %d, one %d", got, one)
	}
	many := make([]string, 1000)
	for i := range many {
		many[i] = strings.Repeat(`\pL{1000}`, 100)
	}
	if got := cost(many...); got <= regexcost.Max || got > 3*regexcost.Max {
		t.Errorf("a thousand costly patterns cost %d", got) // it is saturated, and does not wrap around
	}
}

// FuzzCost holds what the estimate must be for any text: never negative, saturated,
// and no less for the same text with something repeated behind it.
func FuzzCost(f *testing.F) {
	for _, p := range probes {
		f.Add(p.pattern)
	}
	for _, p := range []string{`[`, `[]`, `[^]`, `\`, `\Q`, `\p`, `\p{`, `\x{`, `(`, `)`, `(?`, `{`, `{,}`, `a{1,2`, `a{99999999999999999999}`, "[\xff-", `[a-`, `[[:`} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		c := cost(pattern)
		if c < 0 || c > 2*regexcost.Max {
			t.Errorf("%q costs %d", pattern, c)
		}
		if more := cost(pattern, `\pL`); more < c {
			t.Errorf("%q costs %d, with another %d", pattern, c, more)
		}
		if s := regexcost.Size(pattern); s < 0 || s > c {
			t.Errorf("%q has size %d and costs %d", pattern, s, c)
		}
	})
}

func ExampleCost() {
	var c regexcost.Cost
	c.Add("web|db")  // words are free
	c.Add("host-.*") // a pattern, its characters and its repetition
	fmt.Println(c > 0, c < regexcost.Max/100)
	// Output: true true
}
