package filter

import "io"

// The bounds of the scanner and of one element.
const (
	MaxDepth   = maxDepth
	MaxElement = maxElement
)

// ErrAnswer is an answer that cannot be filtered.
var ErrAnswer = errAnswer

// ScanValue reads one value with the scanner and returns what it kept of it.
func ScanValue(src io.Reader) ([]byte, error) {
	s, h := newScanner(src), hold{}
	if _, err := s.peek(); err != nil {
		return nil, err
	}
	s.keep(&h)
	err := s.value()
	s.kept()
	if err == nil {
		if _, trailing := s.peek(); trailing == nil {
			err = s.malformed()
		}
	}
	return h.bytes, err
}

// ScanText reads one string with the scanner.
func ScanText(src io.Reader, limit int) (string, bool, error) {
	text, whole, err := newScanner(src).text(limit)
	return string(text), whole, err
}
