package filter

import (
	"errors"
	"io"
)

// A scanner reads JSON from a stream, strictly, and holds nothing of it but its
// buffer, one bit for each open bracket, and what it was told to keep. Its grammar
// is RFC 8259's, as encoding/json accepts it: text that is no UTF-8 passes, names
// may come twice. jsontext, which is stricter, looks at what is shown; it holds
// each string whole and ends at 10,000 brackets, so it cannot pass over what is
// somebody else's.
//
// value is this automaton. The stack says whether an object or an array is open.
//
//	state        next byte        action                       next state
//	a value      { then "         push object, read name, :    a value
//	             { then }                                      after a value
//	             [ then ]                                      after a value
//	             [ then other     push array                   a value
//	             " t f n - 0-9    read the scalar              after a value
//	after value  stack is empty                                done
//	             , in an object   read name, :                 a value
//	             , in an array                                 a value
//	             } in an object   pop                          after a value
//	             ] in an array    pop                          after a value
//
// Every other byte is an error, and so is the stream's end before done.
type scanner struct {
	src      io.Reader
	buf      []byte
	pos, end int   // what is read and not yet scanned
	before   int64 // bytes of the stream before buf
	err      error // of src; io.EOF at its end

	into    *hold // takes what is scanned; nil = it is passed over
	mark    int   // where in buf that begins
	stack   []uint64
	decoded []byte // the last text
}

const (
	scanBuffer = 32 << 10
	// maxDepth bounds the stack to 2 MiB.
	maxDepth = 1 << 24
)

// A hold is what is kept of a stream, up to maxElement. What is larger is given
// up, back to from: the element that is being read.
type hold struct {
	bytes []byte
	from  int
	over  bool
}

func (h *hold) add(p []byte) {
	switch {
	case h.over:
	case len(h.bytes)+len(p) > maxElement:
		h.over = true
		h.truncate()
	default:
		h.bytes = append(h.bytes, p...)
	}
}

// truncate gives up the element, and the room that a large one took.
func (h *hold) truncate() {
	if h.bytes = h.bytes[:h.from]; cap(h.bytes) > keptCapacity {
		h.bytes = append([]byte(nil), h.bytes...)
	}
}

// keptCapacity is how much room is worth keeping for the next element.
const keptCapacity = 256 << 10

func newScanner(src io.Reader) *scanner {
	return &scanner{src: src, buf: make([]byte, scanBuffer)}
}

// keep begins to copy what is scanned; kept ends it.
func (s *scanner) keep(h *hold) { s.into, s.mark = h, s.pos }

func (s *scanner) kept() {
	s.into.add(s.buf[s.mark:s.pos])
	s.into = nil
}

// fill reads more of the stream, once all that was read is scanned.
func (s *scanner) fill() error {
	if s.into != nil {
		s.into.add(s.buf[s.mark:s.pos])
	}
	s.before += int64(s.end)
	s.pos, s.end, s.mark = 0, 0, 0
	for range 100 {
		if s.err != nil {
			return s.err
		}
		s.end, s.err = s.src.Read(s.buf)
		if s.end > 0 {
			return nil
		}
	}
	s.err = io.ErrNoProgress
	return s.err
}

// failed says why the stream cannot be read on.
func (s *scanner) failed() error {
	if errors.Is(s.err, io.EOF) {
		return badAnswer("it ends early")
	}
	return s.err
}

func (s *scanner) malformed() error {
	return badAnswer("it is not JSON near byte %d", s.before+int64(s.pos))
}

// peek passes over blanks and returns the byte behind them.
func (s *scanner) peek() (byte, error) {
	for {
		for ; s.pos < s.end; s.pos++ {
			switch c := s.buf[s.pos]; c {
			case ' ', '\t', '\n', '\r':
			default:
				return c, nil
			}
		}
		if s.fill() != nil {
			return 0, s.failed()
		}
	}
}

// take passes over blanks and consumes the byte behind them, which must be want.
func (s *scanner) take(want byte) error {
	c, err := s.peek()
	if err == nil && c != want {
		err = s.malformed()
	}
	if err == nil {
		s.pos++
	}
	return err
}

// more reports whether the object or array that ends with end has another member,
// and consumes what stands before that member, or the end.
func (s *scanner) more(end byte, first bool) (bool, error) {
	c, err := s.peek()
	switch {
	case err != nil:
		return false, err
	case c == end:
		s.pos++
		return false, nil
	case first:
		return true, nil
	}
	return true, s.take(',')
}

// value consumes a value of any kind, size and depth.
func (s *scanner) value() error {
	for depth := 0; ; {
		c, err := s.peek()
		if err != nil {
			return err
		}
		opened, err := s.begin(c, &depth)
		if err != nil {
			return err
		}
		if opened {
			continue
		}
		if done, err := s.after(&depth); done || err != nil {
			return err
		}
	}
}

// begin consumes a scalar, an empty object or array, or what stands before the
// first value of another one, which it opens.
func (s *scanner) begin(c byte, depth *int) (opened bool, err error) {
	if c != '{' && c != '[' {
		return false, s.scalar(c)
	}
	s.pos++
	next, err := s.peek()
	if err != nil {
		return false, err
	}
	if next == c+2 { // } is two behind {, and ] behind [
		s.pos++
		return false, nil
	}
	if *depth == maxDepth {
		return false, badAnswer("it has more than %d brackets open", maxDepth)
	}
	word, bit := *depth/64, uint64(1)<<(*depth%64)
	if word == len(s.stack) {
		s.stack = append(s.stack, 0)
	}
	s.stack[word] &^= bit
	*depth++
	if c == '{' {
		s.stack[word] |= bit
		return true, s.member()
	}
	return true, nil
}

// after consumes what stands behind a value: the ends of objects and arrays, and
// what stands before the next value.
func (s *scanner) after(depth *int) (done bool, err error) {
	for *depth > 0 {
		c, err := s.peek()
		if err != nil {
			return false, err
		}
		top := *depth - 1
		inObject := s.stack[top/64]&(1<<(top%64)) != 0
		switch {
		case c == ',' && inObject:
			s.pos++
			return false, s.member()
		case c == ',':
			s.pos++
			return false, nil
		case c == '}' && inObject, c == ']' && !inObject:
			s.pos++
			*depth--
		default:
			return false, s.malformed()
		}
	}
	return true, nil
}

// member consumes a name and its colon.
func (s *scanner) member() error {
	if err := s.take('"'); err != nil {
		return err
	}
	if err := s.restOfString(); err != nil {
		return err
	}
	return s.take(':')
}
