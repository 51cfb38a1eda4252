package answer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/promfence/promfence/proxy/filter"
)

// hiddenWarning stands in place of an upstream's text that does not speak of
// the query. It is ASCII without quotes: it is written byte over byte.
const hiddenWarning = filter.HiddenWarning

// warningTexts begin the warnings and infos that speak of the query or of the
// API's own limits. Others, such as those about stores that did not answer,
// name addresses and label sets.
var warningTexts = [][]byte{
	[]byte("PromQL info: "),
	[]byte("PromQL warning: "),
	[]byte("results truncated due to limit"),
	[]byte(`value \"`), // … for parameter \"stats\" is deprecated
}

const (
	verdictBytes = 40  // within these a text shows whether it may pass
	keptTail     = 64  // holds `"warnings"` in escapes, and a few spaces
	smallRead    = 256 // below this Read goes through a buffer of its own
	maxHiddenLog = 1 << 10
)

// Warnings reads a JSON answer and hides the warnings and infos that do not speak
// of the query. It overwrites them in place, byte for byte, so that the length
// stays, and holds back nothing but the first bytes of a text that a read cut in
// two: an answer streams through it, and the samples, in which no colon stands,
// cost nothing. The package's documentation has its states.
type Warnings struct {
	io.Closer // the upstream's body
	src       io.Reader
	metering  metering // where the answer tells what its query read
	meter     meter
	errors    bool // also hide the texts of "error" members: newline-delimited answers have them, and what is no success

	state  warningState
	tail   [keptTail]byte // the bytes before the current ones
	carry  []byte         // the beginning of a text whose verdict is open
	small  []byte         // what a small Read left for the next one
	pos    int            // bytes of success seen, or of the current text overwritten
	escape bool
	alone  bool   // the text is a member's value, not an array's element
	hidden []byte // for the log
}

type warningState int

const (
	beginning warningState = iota
	copying
	afterKey
	inArray
	textStart
	passing
	hiding
)

// success is how an answer begins in which "error" is nothing but a label.
const success = `{"status":"success"`

// Hidden is the beginning of what was hidden, for the log.
func (w *Warnings) Hidden() []byte { return w.hidden }

// MeterStatistics makes Samples those of the statistics in the answer. Statistics that
// promfence has asked for, and the caller has not, are hidden.
func (w *Warnings) MeterStatistics(ours bool) {
	w.metering = statsWanted
	if ours {
		w.metering = statsAdded
	}
}

// MeterCost makes Samples those of the cost that the caller has asked for.
func (w *Warnings) MeterCost() { w.metering = costWanted }

// Samples is how many samples the query read, as far as its answer has said so.
func (w *Warnings) Samples() int64 { return w.meter.Samples() }

// Read is an io.Reader's.
func (w *Warnings) Read(p []byte) (int, error) {
	if len(w.small) > 0 {
		n := copy(p, w.small)
		w.small = w.small[n:]
		return n, nil
	}
	if len(p) < smallRead {
		buf := make([]byte, 2*smallRead)
		n, err := w.read(buf)
		m := copy(p, buf[:n])
		w.small = buf[m:n]
		if len(w.small) > 0 {
			err = nil // the source repeats it
		}
		return m, err
	}
	return w.read(p)
}

func (w *Warnings) read(p []byte) (int, error) {
	held := copy(p, w.carry)
	w.carry = w.carry[:0]
	n, err := w.src.Read(p[held:])
	done := 0
	if b := p[:held+n]; n == 0 {
		w.carry = append(w.carry, b...)
	} else {
		var bad error
		if done, bad = w.rewrite(b); bad != nil {
			return 0, bad
		}
		w.carry = append(w.carry, b[done:]...)
		w.remember(b[:done])
	}
	if err == io.EOF && len(w.carry) > 0 {
		err = io.ErrUnexpectedEOF // whatever its frame said, it ends within a text
	}
	return done, err
}

func (w *Warnings) remember(b []byte) {
	if len(b) >= keptTail {
		copy(w.tail[:], b[len(b)-keptTail:])
		return
	}
	copy(w.tail[:], w.tail[len(b):])
	copy(w.tail[keptTail-len(b):], b)
}

// rewrite works on b in place and returns how much of it may go out.
func (w *Warnings) rewrite(b []byte) (int, error) {
	for i := 0; i < len(b); i++ {
		switch w.state {
		case beginning:
			switch c := b[i]; {
			case isSpace(c) && strings.Count(success[:w.pos], `"`)%2 == 0: // in no text
			case c != success[w.pos]:
				w.errors, w.state = true, copying
				i-- // it may be anything
			default:
				if w.pos++; w.pos == len(success) {
					w.state = copying
				}
			}
		case copying:
			colon := bytes.IndexByte(b[i:], ':')
			if colon < 0 {
				return len(b), nil
			}
			i += colon
			if w.key(b[:i]) {
				w.state = afterKey
			}
		case afterKey, inArray:
			if err := w.between(b[i]); err != nil {
				return 0, err
			}
		case textStart:
			known, pass := verdict(b[i:])
			if !known {
				return i, nil
			}
			w.state, w.pos, w.escape = hiding, 0, false
			if pass {
				w.state = passing
			}
			w.text(b, i)
		case passing, hiding:
			w.text(b, i)
		}
	}
	return len(b), nil
}

// key reports whether before, with the tail of what went out, ends in a key
// whose texts we look at.
func (w *Warnings) key(before []byte) bool {
	if n := len(before); n > 1 && before[n-1] == '"' {
		switch before[n-2] {
		case 's', 'r', '2', '3': // the last letter, or its escape's last digit
		default:
			return false // most keys, without a closer look
		}
	}
	if len(before) < keptTail {
		var room [2 * keptTail]byte
		before = append(append(room[:0], w.tail[:]...), before...)
	}
	switch name := lastText(bytes.TrimRight(before, " \t\r\n")); string(name) {
	case "warnings", "infos":
		w.alone = false
		return true
	case "error":
		w.alone = true
		return w.errors
	}
	return false
}

// lastText is the text that b ends with, if all of it is there. A key that holds
// an escaped quote is none of ours, whatever follows it.
func lastText(b []byte) []byte {
	end := len(b) - 1
	if end < 0 || b[end] != '"' {
		return nil
	}
	start := bytes.LastIndexByte(b[:end], '"')
	if start < 0 || start > 0 && b[start-1] == '\\' {
		return nil
	}
	text := b[start+1 : end]
	if bytes.IndexByte(text, '\\') < 0 {
		return text
	}
	var name string
	if json.Unmarshal(b[start:], &name) != nil { // its end is an escaped quote
		return nil
	}
	return []byte(name)
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// between handles a byte outside a text.
func (w *Warnings) between(c byte) error {
	switch {
	case isSpace(c):
	case w.state == afterKey && c == '[':
		w.state = inArray
	case w.state == afterKey && c == '"' && w.alone:
		w.state = textStart
	case w.state == afterKey: // a label of that name, or null
		w.state = copying
	case c == '"':
		w.state = textStart
	case c == ']':
		w.state = copying
	case c != ',':
		return fmt.Errorf("%w: a warning that is no text", errUnfiltered)
	}
	return nil
}

// verdict decides on a text by its beginning; known is false while more of it
// must be read.
func verdict(b []byte) (known, pass bool) {
	for _, prefix := range warningTexts {
		if bytes.HasPrefix(b, prefix) {
			return true, true
		}
	}
	digits := bytes.TrimLeft(b, "0123456789")
	for _, kind := range []string{" more warning annotations omitted\"", " more info annotations omitted\""} {
		if len(digits) < len(b) && bytes.HasPrefix(digits, []byte(kind)) {
			return true, true
		}
	}
	return len(b) >= verdictBytes || bytes.IndexByte(b, '"') >= 0, false
}

// text handles the byte b[i] of a text, and overwrites it if the text is hidden.
func (w *Warnings) text(b []byte, i int) {
	c := b[i]
	end := c == '"' && !w.escape
	if w.state == hiding {
		if !end && len(w.hidden) < maxHiddenLog {
			w.hidden = append(w.hidden, c)
		}
		switch {
		case w.pos < len(hiddenWarning) && !end:
			b[i] = hiddenWarning[w.pos]
		case w.pos == len(hiddenWarning):
			b[i] = '"'
		case w.pos > len(hiddenWarning):
			b[i] = ' '
		}
		w.pos++
	}
	w.escape = c == '\\' && !w.escape
	if end {
		w.state = inArray
		if w.alone {
			w.state = copying
		}
	}
}
