package filter

import (
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// scalar consumes a value that is no object and no array, of which c comes next.
func (s *scanner) scalar(c byte) error {
	switch c {
	case '"':
		s.pos++
		return s.restOfString()
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		return s.number()
	}
}

func (s *scanner) word(want string) error {
	for i := range len(want) {
		c, err := s.next()
		if err != nil {
			return err
		}
		if c != want[i] {
			return s.malformed()
		}
	}
	return nil
}

// next consumes a byte, blank or not.
func (s *scanner) next() (byte, error) {
	if s.pos == s.end && s.fill() != nil {
		return 0, s.failed()
	}
	s.pos++
	return s.buf[s.pos-1], nil
}

// number consumes a number. It may end with the stream, so the end is none of
// its errors.
func (s *scanner) number() error {
	s.accept("-")
	zero := s.accept("0")
	if !zero && !s.digits() || zero && s.accept("0123456789") {
		return s.malformedOr()
	}
	if s.accept(".") && !s.digits() {
		return s.malformedOr()
	}
	if s.accept("eE") {
		s.accept("+-")
		if !s.digits() {
			return s.malformedOr()
		}
	}
	return nil
}

func (s *scanner) malformedOr() error {
	if s.pos == s.end && s.err != nil {
		return s.failed()
	}
	return s.malformed()
}

func (s *scanner) digits() bool {
	some := false
	for s.pos < s.end || s.fill() == nil {
		if c := s.buf[s.pos]; c < '0' || '9' < c {
			break
		}
		s.pos++
		some = true
	}
	return some
}

// accept consumes the next byte if it is one of those.
func (s *scanner) accept(bytes string) bool {
	if s.pos == s.end && s.fill() != nil {
		return false
	}
	for i := range len(bytes) {
		if s.buf[s.pos] == bytes[i] {
			s.pos++
			return true
		}
	}
	return false
}

// inString are the bytes that stand for themselves in a string.
var inString = func() (t [256]bool) {
	for c := 0x20; c < len(t); c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// run consumes the bytes that stand for themselves, as far as they are read: eight
// at a time, then one by one.
func (s *scanner) run() []byte {
	from := s.pos
	buf := s.buf[:s.end]
	i := from
	for i+8 <= len(buf) && !endsIn(binary.LittleEndian.Uint64(buf[i:])) {
		i += 8
	}
	for i < len(buf) && inString[buf[i]] {
		i++
	}
	s.pos = i
	return buf[from:i]
}

// endsIn reports whether one of eight bytes does not stand for itself.
func endsIn(x uint64) bool {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	quote, escape := x^ones*'"', x^ones*'\\'
	return ((x-ones*0x20)&^x|(quote-ones)&^quote|(escape-ones)&^escape)&highs != 0
}

// restOfString consumes a string whose quote was consumed.
func (s *scanner) restOfString() error {
	for {
		s.run()
		c, err := s.next()
		switch {
		case err != nil:
			return err
		case c == '"':
			return nil
		case inString[c]: // the first byte of a new buffer
		case c != '\\':
			return s.malformed()
		default:
			if _, err := s.escape(); err != nil {
				return err
			}
		}
	}
}

// text consumes a string and returns what it means, valid until the next text. Of
// one that is longer than limit it returns nothing, not even a beginning, which
// could be another name.
func (s *scanner) text(limit int) (text []byte, whole bool, err error) {
	c, err := s.peek()
	if err != nil {
		return nil, false, err
	}
	if c != '"' {
		return nil, false, badAnswer("it has %s where a string was expected", kindName(c))
	}
	s.pos++
	s.decoded, whole = s.decoded[:0], true
	half := -1 // where the first half of a character ends that an escape has begun
	for {
		if run := s.run(); whole && len(s.decoded)+len(run) <= limit {
			s.decoded = append(s.decoded, run...)
		} else {
			whole = false
		}
		c, err := s.next()
		switch {
		case err != nil:
			return nil, false, err
		case c == '"' && whole:
			return s.decoded, true, nil
		case c == '"':
			return nil, false, nil
		case inString[c]:
			s.pos-- // the first byte of a new buffer
		case c != '\\':
			return nil, false, s.malformed()
		default:
			r, err := s.escape()
			if err != nil {
				return nil, false, err
			}
			if whole = whole && len(s.decoded)+utf8.UTFMax <= limit; whole {
				half = s.appendEscaped(r, half)
			}
		}
	}
}

// appendEscaped appends what an escape means. The second half of a character is
// joined to the first, which ends at half. A half that stands alone is spelled as
// bytes that no UTF-8 holds, so that it equals no name.
func (s *scanner) appendEscaped(r rune, half int) int {
	if !utf16.IsSurrogate(r) {
		s.decoded = utf8.AppendRune(s.decoded, r)
		return -1
	}
	b := s.decoded
	if half == len(b) {
		first := 0xD000 | rune(b[half-2]&0x3F)<<6 | rune(b[half-1]&0x3F)
		if joined := utf16.DecodeRune(first, r); joined != utf8.RuneError {
			s.decoded = utf8.AppendRune(b[:half-3], joined)
			return -1
		}
	}
	s.decoded = append(b, 0xED, 0x80|byte(r>>6&0x3F), 0x80|byte(r&0x3F))
	return len(s.decoded)
}

// escape consumes what follows a backslash, and returns the character or the half
// of one that it means.
func (s *scanner) escape() (rune, error) {
	c, err := s.next()
	if err != nil {
		return 0, err
	}
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		return s.hex()
	}
	return 0, s.malformed()
}

func (s *scanner) hex() (r rune, err error) {
	for range 4 {
		c, err := s.next()
		if err != nil {
			return 0, err
		}
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, s.malformed()
		}
	}
	return r, nil
}
