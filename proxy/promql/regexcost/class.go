package regexcost

import (
	"strings"
	"unicode/utf8"
)

// escape consumes what follows a backslash, and tells how many characters it may
// stand for, if few enough to be listed.
func (s *scan) escape() (ways int) {
	if s.in == "" {
		return 1
	}
	c := s.in[0]
	s.in = s.in[1:]
	switch {
	case c == 'D' || c == 'S' || c == 'W' && s.weight > 1:
		s.wide += s.weight
	case c == 'p' || c == 'P':
		s.wide += s.weight
		s.forks.runes += runesOfProperty
		if strings.HasPrefix(s.in, "{") {
			if _, rest, ok := strings.Cut(s.in, "}"); ok {
				s.in = rest
			}
		} else if s.in != "" {
			s.in = s.in[1:]
		}
	case c == 'x' && strings.HasPrefix(s.in, "{"):
		if _, rest, ok := strings.Cut(s.in, "}"); ok {
			s.in = rest
		}
	case c == 'Q':
		literal, rest, _ := strings.Cut(s.in, `\E`)
		s.in = rest
		s.sum = saturate(s.sum + len(literal))
		s.words.literal(len(literal))
	}
	if strings.IndexByte("dswpP", c) >= 0 {
		return maxWords
	}
	return 1
}

// class consumes a bracket expression. It is wide when it is negated or may
// reach beyond ASCII; under case folding each of its ranges is walked, and what
// may be one is charged.
func (s *scan) class() {
	wide, ranges, ways, parts := strings.HasPrefix(s.in, "^"), 0, 0, 0
	s.in = strings.TrimPrefix(s.in, "^")
	var last byte
	for first := true; s.in != ""; first = false {
		c := s.in[0]
		s.in = s.in[1:]
		if c == ']' && !first {
			break
		}
		ways++
		parts++
		switch {
		case c == '-' && s.in != "" && s.in[0] >= utf8.RuneSelf:
			ranges++
		case c == '-' && s.in != "" && s.in[0] != ']':
			ways += max(0, int(s.in[0])-int(last))
		case c >= utf8.RuneSelf || c == '[' && strings.HasPrefix(s.in, ":^"):
			wide = true
		case c == '[' && strings.HasPrefix(s.in, ":"):
			ways = maxWords
		case c == '\\' && s.in != "":
			// Octal and \x escapes, and the negated classes, reach everywhere.
			if strings.IndexByte("xpPDSW01234567", s.in[0]) >= 0 {
				wide = true
				ranges++
			}
			if isWord(s.in[0]) {
				ways = maxWords
			}
			s.escape()
		}
		last = c
	}
	s.forks.runes += parts * s.weight // the compiler keeps ranges, not characters
	if wide {
		s.wide += s.weight
		ways = maxWords
	}
	if s.weight > 1 {
		s.wide += s.weight * ranges
	}
	s.push(sizeClass + parts*s.weight/rangesPerSize)
	s.words.part(max(1, ways*s.weight))
}
