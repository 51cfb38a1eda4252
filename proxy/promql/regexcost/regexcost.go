package regexcost

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Max is the most that the patterns of one request may cost together: about 50 ms.
const Max = 40_000

// What things cost, by the package's doc. A unit is a microsecond, or a little more.
const (
	sizePattern   = 40    // each pattern that is compiled
	sizeSpecial   = 2     // what is more than a literal: its node and instructions
	sizeGroup     = 6     // a pair of brackets
	sizeClass     = 4     // a class of few ranges
	rangesPerSize = 64    // ranges of a class, which each repetition holds
	sizeWide      = 3_900 // a class beyond ASCII
	sizePrefix    = 14    // a group that the parser makes of what words have in common
	plainPerSize  = 3     // characters of plain words
	shortWord     = 5     // bytes, with the bar behind it: a list of shorter words costs more
	listShare     = 57    // percent that a long list of words is charged
)

// A Cost adds up over the patterns of one request.
type Cost int

// Add charges a pattern.
func (c *Cost) Add(pattern string) {
	size, wide := sizeOf(pattern)
	*c = Cost(saturate(int(*c) + size + wide*sizeWide))
}

// Size is what a pattern costs without its classes beyond ASCII, which are dear to
// compile and not to run.
func Size(pattern string) int {
	size, _ := sizeOf(pattern)
	return size
}

// sizeOf is what a pattern costs without its wide classes, and how many these are.
func sizeOf(pattern string) (size, wide int) {
	s := scan{in: pattern, weight: 1, group: group{text: pattern, sum: sizePattern, words: oneWord}}
	if plainAlternation(pattern) {
		// Words are next to free up to the query's byte limit: Grafana's variables
		// look like this. Nothing compiles them, unless there is what may have a meaning.
		if !strings.ContainsAny(pattern, `()]}\`) {
			return 0, 0
		}
		s.sum += len(pattern)/plainPerSize + min(len(pattern), maxOnePass)/4
		s.list = strings.Count(pattern, "(") <= 1 && len(pattern) > 4*maxOnePass && len(pattern) >= shortWord*strings.Count(pattern, "|")
	} else {
		s.literal, s.weight = 1, foldWeight(pattern)
	}
	s.run()
	return s.total(), min(s.wide, Max)
}

// foldWeight makes classes dearer under case folding, which walks their ranges
// rune by rune, once more than printing them does.
func foldWeight(pattern string) int {
	for rest := pattern; ; {
		_, after, ok := strings.Cut(rest, "(?")
		if !ok {
			return 1
		}
		flags, _, _ := strings.Cut(after, ")")
		flags, _, _ = strings.Cut(flags, ":")
		if strings.Contains(flags, "i") {
			return 3
		}
		rest = after
	}
}

// plainAlternation reports whether a pattern is words, alternated and grouped:
// no repetition, no class, no wildcard, no flag.
func plainAlternation(pattern string) bool {
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '*', '+', '?', '{', '[', '.', '^', '$':
			return false
		case '\\':
			// Only punctuation may be escaped: letters and digits have meanings.
			if i++; i == len(pattern) || pattern[i] >= utf8.RuneSelf || isWord(pattern[i]) {
				return false
			}
		}
	}
	return true
}

func isWord(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
}

// A scan walks a pattern once, with a group for each pair of brackets that is open.
type scan struct {
	in      string
	around  []group // the groups around the current one
	group           // the current one
	atom    int     // size of what a repetition would repeat
	wide    int
	weight  int
	literal int  // what a plain character costs
	list    bool // words in one pair of brackets, if any
	forks   forks
}

// A group is what was read between a pair of brackets.
type group struct {
	text  string // the pattern from the group's beginning on
	sum   int    // size
	words wordList
}

func (s *scan) total() int {
	for len(s.around) > 0 {
		s.closeGroup(0)
	}
	s.end(s.text)
	if s.list {
		s.sum = s.sum * listShare / 100
	}
	return saturate(s.sum + s.words.size() + s.forks.size(s.text, s.sum))
}

func saturate(n int) int { return min(n, 2*Max) }

func (s *scan) push(atom int) {
	s.atom = saturate(atom)
	s.sum = saturate(s.sum + s.atom)
}

func (s *scan) run() {
	for c, before := byte(0), byte(0); s.in != ""; before = c {
		c = s.in[0]
		s.in = s.in[1:]
		switch c {
		case '(':
			s.around = append(s.around, s.group)
			s.group, s.atom = group{text: s.in, sum: sizeGroup, words: oneWord}, 0
		case ')':
			if len(s.around) > 0 {
				s.closeGroup(len(s.in) + 1)
			}
		case '[':
			s.class()
		case '\\':
			s.escaped()
		case '.', '^', '$':
			s.push(sizeSpecial)
			s.words.part(1)
		case '{':
			if fixed := s.repeat(); !fixed || before == ')' {
				s.forks.repeated++ // so many times one character goes on in one way only
			}
			s.words.part(1)
		case '*', '+', '?':
			s.sum = saturate(s.sum + sizeSpecial)
			s.words.part(1)
			if before != '.' { // of any character and what follows, both may begin alike
				s.forks.optional++
			}
		case '|':
			s.sum = saturate(s.sum + sizeSpecial)
			s.words.alternative()
			s.forks.alternatives++
		default:
			s.literals()
		}
	}
}

// literals consumes plain characters, of which the first was read.
func (s *scan) literals() {
	n := strings.IndexAny(s.in, `\.+*?()|[{^$`)
	if n < 0 {
		n = len(s.in)
	}
	s.in = s.in[n:]
	s.sum = saturate(s.sum + n*s.literal)
	s.push(s.literal) // a repetition is one of the last
	s.words.literal(n + 1)
}

// end is the end of the group, whose text is given.
func (g *group) end(text string) {
	g.words.alternative()
	levels := g.words.atMost()
	if !g.words.nested { // which also keeps the whole linear
		if l, prefixes, ok := commonPrefixes(text); ok {
			levels = l
			g.sum = saturate(g.sum + sizePrefix*prefixes)
		}
	}
	g.words.end(levels)
}

// closeGroup ends the current group, before the last so many bytes of the pattern.
func (s *scan) closeGroup(rest int) {
	inner, last := s.group, len(s.around)-1
	inner.end(inner.text[:len(inner.text)-rest])
	s.group, s.around = s.around[last], s.around[:last]
	s.words.group(inner.words)
	s.push(inner.sum)
}

func (s *scan) escaped() {
	if s.in != "" && s.in[0] < utf8.RuneSelf && !isWord(s.in[0]) {
		s.in = s.in[1:]
		s.push(s.literal)
		s.words.literal(1)
		return
	}
	before := s.forks.runes
	ways := s.escape()
	s.push(sizeClass + (s.forks.runes-before)/rangesPerSize)
	s.words.part(ways)
}

// repeat multiplies the last atom by the larger bound of {n}, {n,} or {n,m};
// a brace that is none of these is a literal. It reports whether it was {n}.
func (s *scan) repeat() (fixed bool) {
	inner, rest, ok := strings.Cut(s.in, "}")
	low, high, bounds := strings.Cut(inner, ",")
	n, err := strconv.Atoi(low)
	if !ok || err != nil || n < 0 {
		s.push(1)
		return false
	}
	times, atom := n+1, s.atom
	if m, err := strconv.Atoi(high); err == nil {
		times = max(times, m)
		atom += sizeSpecial // each may be the last
	}
	s.in = rest
	s.sum -= min(s.atom, s.sum)
	s.push(saturate(atom) * min(max(times, 1), Max))
	return !bounds
}
