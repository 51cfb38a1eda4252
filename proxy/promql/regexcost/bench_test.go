package regexcost_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/promfence/promfence/proxy/promql/regexcost"
)

// probes are patterns of which nearly all that they cost is charged by one
// constant. The package's doc has the figures.
var probes = []struct{ constant, pattern string }{
	{"sizePattern", "a.b"},
	{"a character, 1", strings.Repeat("abcdefgh.", 300)},
	{"sizeSpecial", strings.Repeat(".", 1000)},
	{"sizeGroup", strings.Repeat("(.)", 300)},
	{"sizeClass", strings.Repeat("[a-m]", 40)},
	{"rangesPerSize", "[" + everySecondRune(2000) + "]{100}"},
	{"sizeWide", `\pL`},
	{"sizeWide, folded", `(?i)[\x{80}-\x{10ffff}]`},
	{"sizeWide, negated", `[^a]`},
	{"sizePrefix", "(" + chain(80) + ")"},
	{"plainPerSize", "(" + list(4000, `host-%04d`) + `)`},
	{"listShare", "(" + list(6400, `host-%04d`) + `)`},
	{"escaped words", list(2000, `host-%04d\.example\.com:9100`)},
	{"bytesPerSize, entryBytes", strings.Repeat("(a|b", 30) + "c" + strings.Repeat(")", 30)},
	{"wordBytes", strings.Repeat("(a|b)", 8) + strings.Repeat("(c)", 40)},
	{"forksPerSize", optional(60)},
	{"forksPerSize, repeated", strings.Repeat("[a-z]{0,9}", 9)},
}

// BenchmarkUnit tells what a unit of cost takes, for each constant: both times that
// a pattern is compiled, in the query that came and in the one that is verified.
func BenchmarkUnit(b *testing.B) {
	for _, p := range probes {
		b.Run(p.constant, func(b *testing.B) {
			var cost regexcost.Cost
			cost.Add(p.pattern)
			if cost == 0 || cost > regexcost.Max {
				b.Fatalf("the probe costs %d, of %d", cost, regexcost.Max)
			}
			for b.Loop() {
				for range 2 {
					if _, err := labels.NewMatcher(labels.MatchRegexp, "a", p.pattern); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(cost), "ns/unit")
			b.ReportMetric(float64(cost), "units")
		})
	}
}

// BenchmarkAdd is what the estimate itself costs.
func BenchmarkAdd(b *testing.B) {
	pattern := strings.Repeat("(a|b", 5000) + strings.Repeat(`[^a]{3}\pL`, 3000)
	b.SetBytes(int64(len(pattern)))
	for b.Loop() {
		var cost regexcost.Cost
		cost.Add(pattern)
	}
}

// list is n words of a format, alternated.
func list(n int, format string) string {
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(words, "|")
}

// chain is n words, of which each but for its end begins the next: ab, aab, aaab, ….
func chain(n int) string {
	words := make([]string, n)
	for i := range words {
		words[i] = strings.Repeat("a", i+1) + "b"
	}
	return strings.Join(words, "|")
}

// optional is n different characters, each of which may be left out.
func optional(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteRune(rune(0x4e00 + i))
		b.WriteByte('?')
	}
	return b.String()
}

// everySecondRune is n characters of which no two make a range.
func everySecondRune(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteRune(rune(0x3400 + 2*i))
	}
	return b.String()
}
