package proxy

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Compiling a regular expression is where a short text can cost seconds, so its
// cost is estimated from the text before anything compiles it.
const (
	maxRegexpSize  = 40_000 // instructions, repetitions multiplied out
	maxWideClasses = 10     // classes beyond ASCII, weighted: up to 4 ms each
	sizePattern    = 40     // of each pattern that is not plain: it is analyzed whole
	sizeSpecial    = 2      // of what is more than a literal: its node and instructions
	sizeGroup      = 4      // of a group or a class
)

// A regexpCost adds up over the patterns of one request.
type regexpCost struct {
	size int
	wide int
}

// add charges a pattern. It errs on the dear side: a pattern that it reads
// differently from the compiler costs more here, never less.
func (c *regexpCost) add(pattern string) {
	if plainAlternation(pattern) {
		// Words are free up to the query's byte limit: Grafana's variables look
		// like this. Groups are not: it makes one.
		c.size = min(c.size+sizeGroup*strings.Count(pattern, "("), 2*maxRegexpSize)
		return
	}
	s := regexpScan{in: pattern, weight: 1}
	if strings.Contains(pattern, "(?") {
		s.weight = foldWeight(pattern)
	}
	s.run()
	c.size = min(c.size+sizePattern+s.total(), 2*maxRegexpSize)
	c.wide = min(c.wide+s.wide, 2*maxWideClasses)
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

// A regexpScan walks a pattern once, with one sum for each open group.
type regexpScan struct {
	in     string
	groups []int // sizes of the groups around the current one
	sum    int   // size of the current group
	atom   int   // size of what a repetition would repeat
	wide   int
	weight int
}

func (s *regexpScan) total() int {
	for _, g := range s.groups {
		s.sum = saturate(s.sum + g)
	}
	return s.sum
}

func saturate(n int) int { return min(n, 2*maxRegexpSize) }

func (s *regexpScan) push(atom int) {
	s.atom = saturate(atom)
	s.sum = saturate(s.sum + s.atom)
}

func (s *regexpScan) run() {
	for s.in != "" {
		c := s.in[0]
		s.in = s.in[1:]
		switch c {
		case '(':
			s.groups = append(s.groups, s.sum)
			s.sum, s.atom = sizeGroup, 0
		case ')':
			if n := len(s.groups); n > 0 {
				group := s.sum
				s.sum, s.groups = s.groups[n-1], s.groups[:n-1]
				s.push(group)
			}
		case '[':
			s.class()
		case '\\':
			s.escape()
			s.push(sizeGroup)
		case '.', '^', '$':
			s.push(sizeSpecial)
		case '{':
			s.repeat()
		case '*', '+', '?', '|':
			s.sum = saturate(s.sum + sizeSpecial)
		default:
			s.push(1)
		}
	}
}

// repeat multiplies the last atom by the larger bound of {n}, {n,} or {n,m};
// a brace that is none of these is a literal.
func (s *regexpScan) repeat() {
	inner, rest, ok := strings.Cut(s.in, "}")
	low, high, _ := strings.Cut(inner, ",")
	n, err := strconv.Atoi(low)
	if !ok || err != nil || n < 0 {
		s.push(1)
		return
	}
	times := n + 1
	if m, err := strconv.Atoi(high); err == nil {
		times = max(times, m)
	}
	s.in = rest
	s.sum -= min(s.atom, s.sum)
	s.push(saturate(s.atom) * min(max(times, 1), maxRegexpSize))
}

// escape consumes what follows a backslash.
func (s *regexpScan) escape() {
	if s.in == "" {
		return
	}
	c := s.in[0]
	s.in = s.in[1:]
	switch {
	case c == 'D' || c == 'S' || c == 'W' && s.weight > 1:
		s.wide += s.weight
	case c == 'p' || c == 'P':
		s.wide += s.weight
		if strings.HasPrefix(s.in, "{") {
			if _, rest, ok := strings.Cut(s.in, "}"); ok {
				s.in = rest
			}
		}
	case c == 'x' && strings.HasPrefix(s.in, "{"):
		if _, rest, ok := strings.Cut(s.in, "}"); ok {
			s.in = rest
		}
	case c == 'Q':
		literal, rest, _ := strings.Cut(s.in, `\E`)
		s.in = rest
		s.sum = saturate(s.sum + len(literal))
	}
}

// class consumes a bracket expression. It is wide when it is negated or may
// reach beyond ASCII; under case folding each of its ranges is walked, and what
// may be one is charged.
func (s *regexpScan) class() {
	wide, ranges := strings.HasPrefix(s.in, "^"), 0
	s.in = strings.TrimPrefix(s.in, "^")
	for first := true; s.in != ""; first = false {
		c := s.in[0]
		s.in = s.in[1:]
		if c == ']' && !first {
			break
		}
		switch {
		case c == '-' && s.in != "" && s.in[0] >= utf8.RuneSelf:
			ranges++
		case c >= utf8.RuneSelf || c == '[' && strings.HasPrefix(s.in, ":^"):
			wide = true
		case c == '\\' && s.in != "":
			// Octal and \x escapes, and the negated classes, reach everywhere.
			if strings.IndexByte("xpPDSW01234567", s.in[0]) >= 0 {
				wide = true
				ranges++
			}
			s.escape()
		}
	}
	if wide {
		s.wide += s.weight
	}
	if s.weight > 1 {
		s.wide += s.weight * ranges
	}
	s.push(sizeGroup)
}
