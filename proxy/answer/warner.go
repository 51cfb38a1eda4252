package answer

import (
	"encoding/json"
	"errors"
	"io"
)

// A warner adds a text to the warnings of a JSON object that passes through it: as the
// first of those that it has, else in a member of its own at the end. It follows the
// object's members and holds none of them. An object that never ends is an error,
// because its length is no longer known to whoever reads it.
type warner struct {
	src   io.Reader
	text  string // as JSON
	chunk []byte
	out   []byte // what has been read and not taken
	err   error

	depth   int  // open brackets
	inText  bool // between quotes
	escape  bool
	key     []byte // the beginning of a member's name, with its quotes
	members bool   // there is one
	place   warnerPlace
	added   bool
}

// A warnerPlace says what the next byte of the object's own level may be.
type warnerPlace int

const (
	elsewhere warnerPlace = iota
	atKey                 // a member's name begins
	inKey                 // within it
	atValue               // the value of "warnings" begins
	inNull                // within a null in its place
	atElement             // the first of its texts begins, or it ends
)

// longestKey is that of "warnings" with every letter escaped.
const longestKey = len(`"\u0077\u0061\u0072\u006e\u0069\u006e\u0067\u0073"`)

const warnerChunk = 8 << 10

func newWarner(src io.Reader, text string) *warner {
	quoted, err := json.Marshal(text)
	if err != nil { // a string always marshals
		panic(err)
	}
	return &warner{src: src, text: string(quoted), chunk: make([]byte, warnerChunk)}
}

func (w *warner) Read(p []byte) (int, error) {
	for len(w.out) == 0 && w.err == nil {
		var n int
		n, w.err = w.src.Read(w.chunk)
		w.out = w.out[:0]
		for _, c := range w.chunk[:n] {
			w.follow(c)
		}
		if errors.Is(w.err, io.EOF) && (w.depth != 0 || !w.added) {
			w.err = io.ErrUnexpectedEOF
		}
	}
	n := copy(p, w.out)
	w.out = w.out[n:]
	if len(w.out) > 0 {
		return n, nil
	}
	return n, w.err
}

// follow takes one byte.
func (w *warner) follow(c byte) {
	switch {
	case w.inText:
		w.followText(c)
	case isSpace(c):
	case w.place == inNull && 'a' <= c && c <= 'z':
		return // an array stands in its place
	case w.place == atValue && c == 'n':
		w.place, w.added = inNull, true
		w.out = append(w.out, '[')
		w.out = append(w.out, w.text...)
		c = ']'
	default:
		w.followToken(c)
	}
	w.out = append(w.out, c)
}

// followText takes a byte between quotes.
func (w *warner) followText(c byte) {
	if w.place == inKey && len(w.key) < longestKey {
		w.key = append(w.key, c)
	}
	switch {
	case w.escape:
		w.escape = false
	case c == '\\':
		w.escape = true
	case c == '"':
		w.inText = false
	}
}

// followToken takes a byte outside of texts, and adds what belongs before it.
func (w *warner) followToken(c byte) {
	w.add(c)
	switch c {
	case '"':
		w.inText = true
		if w.place == atKey {
			w.place, w.key, w.members = inKey, append(w.key[:0], c), true
		}
	case '{', '[':
		w.depth++
		if w.depth == 1 && c == '{' {
			w.place = atKey
		}
	case '}', ']':
		w.depth--
	case ':':
		if w.place == inKey {
			w.place = elsewhere
			if !w.added && isWarnings(w.key) {
				w.place = atValue
			}
		}
	case ',':
		if w.depth == 1 {
			w.place = atKey
		}
	}
}

// add adds the text where it belongs before c.
func (w *warner) add(c byte) {
	switch {
	case w.place == atValue: // an array, or nothing that a text can be added to
		w.place, w.added = elsewhere, true
		if c == '[' {
			w.place = atElement
		}
	case w.place == atElement:
		w.place = elsewhere
		w.out = append(w.out, w.text...)
		if c != ']' {
			w.out = append(w.out, ',')
		}
	case w.depth == 1 && c == '}' && !w.added:
		w.added = true
		if w.members {
			w.out = append(w.out, ',')
		}
		w.out = append(append(append(w.out, `"warnings":[`...), w.text...), ']')
	}
}

// isWarnings reports whether a member's name is "warnings".
func isWarnings(key []byte) bool {
	var name string
	return json.Unmarshal(key, &name) == nil && name == "warnings"
}
