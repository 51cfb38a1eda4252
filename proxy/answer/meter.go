package answer

import (
	"bytes"
	"io"
	"math"
)

// A meter reads of the statistics in an answer to a query how many samples it read, as
// the bytes pass through it. It works without knowing JSON's grammar: neither text that
// it looks for can stand in an answer but as the member that it is, because in a text its
// quotes would be escaped, and the value of a label of that name is a text. Behind the
// samples it costs as much as a search for a brace.
//
// Statistics that the caller did not ask for become spaces, so that the length stays.
type meter struct {
	src   io.Reader
	hide  bool
	begin []byte // how the statistics begin

	state   meterState
	depth   int // of braces, within the statistics
	matched int // bytes of samplesRead that the latest bytes spell
	samples int64
	carry   []byte // what may be the beginning of the statistics
	small   []byte // what a small Read left for the next one
}

type meterState int

const (
	seeking  meterState = iota // before the statistics
	inside                     // within them
	counting                   // within the number
	metered                    // behind it, and behind what is to be hidden
)

var (
	statistics  = []byte(`,"stats":{`)
	actualCost  = []byte(`,"actual":{`)
	samplesRead = []byte(`"samplesRead":`)
)

// A metering says where an answer tells what its query read.
type metering int

// An answer tells nothing that counts, or in one of these places.
const (
	unmetered   metering = iota // nowhere
	statsAdded                  // in statistics that promfence asked for: they are hidden
	statsWanted                 // in statistics that the caller asked for
	costWanted                  // in the cost that the caller asked for
)

// meter puts m into the way of an answer.
func (m *meter) meter(src io.Reader, where metering) io.Reader {
	switch where {
	case unmetered:
		return src
	case costWanted:
		m.begin = actualCost
	default:
		m.begin = statistics
	}
	m.src, m.hide = src, where == statsAdded
	return m
}

// Samples is how many samples the query read, as far as the answer has said so.
func (m *meter) Samples() int64 { return m.samples }

// Read is an io.Reader's.
func (m *meter) Read(p []byte) (int, error) {
	if len(m.small) > 0 {
		n := copy(p, m.small)
		m.small = m.small[n:]
		return n, nil
	}
	if len(p) >= smallRead {
		return m.read(p)
	}
	buf := make([]byte, 2*smallRead)
	n, err := m.read(buf)
	kept := copy(p, buf[:n])
	if m.small = buf[kept:n]; len(m.small) > 0 {
		err = nil // the source repeats it
	}
	return kept, err
}

// read holds back what may be the beginning of the statistics, until more has come.
func (m *meter) read(p []byte) (int, error) {
	held := copy(p, m.carry)
	m.carry = m.carry[:0]
	n, err := m.src.Read(p[held:])
	b := p[:held+n]
	done := m.follow(b)
	if err != nil {
		return len(b), err
	}
	m.carry = append(m.carry, b[done:]...)
	return done, nil
}

// follow works on b in place, and returns how much of it may go out.
func (m *meter) follow(b []byte) (done int) {
	i := 0
	if m.state == seeking {
		if i = end(b, m.begin); i < 0 {
			return len(b) - partial(b, m.begin)
		}
		m.state, m.depth = inside, 1
		m.blank(b[i-len(m.begin) : i])
	}
	for ; i < len(b) && m.state != metered; i++ {
		c := b[i]
		m.blank(b[i : i+1])
		m.number(c)
		switch c {
		case '{':
			m.depth++
		case '}':
			m.depth--
		}
		if m.depth == 0 {
			m.state = metered
		}
	}
	return len(b)
}

// number takes a byte of the statistics.
func (m *meter) number(c byte) {
	switch {
	case m.state == counting && '0' <= c && c <= '9':
		if m.samples > (math.MaxInt64-9)/10 {
			m.samples = 0 // nobody has read so many
			m.state = inside
			return
		}
		m.samples = 10*m.samples + int64(c-'0')
	case m.state == counting:
		m.state = inside
	case c == samplesRead[m.matched]:
		if m.matched++; m.matched == len(samplesRead) {
			m.state, m.matched, m.samples = counting, 0, 0
		}
	case c == samplesRead[0]:
		m.matched = 1
	default:
		m.matched = 0
	}
}

func (m *meter) blank(b []byte) {
	if !m.hide {
		return
	}
	for i := range b {
		b[i] = ' '
	}
}

// end is where the first text ends in b, or -1. It looks for a text's last byte, the brace:
// of samples, which are most of an answer, none has one.
func end(b, text []byte) int {
	for at := 0; ; {
		next := bytes.IndexByte(b[at:], text[len(text)-1])
		if next < 0 {
			return -1
		}
		if at += next + 1; bytes.HasSuffix(b[:at], text) {
			return at
		}
	}
}

// partial is how many of the last bytes of b may be the beginning of text.
func partial(b, text []byte) int {
	for n := min(len(b), len(text)-1); n > 0; n-- {
		if bytes.HasSuffix(b, text[:n]) {
			return n
		}
	}
	return 0
}
