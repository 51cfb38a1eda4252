package proxy

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// object calls field for each member of the object that comes next; field
// consumes the member's value. A name that comes twice is an error.
func (a *answer) object(field func(name string) error) error {
	seen := make([]string, 0, 16)
	return a.members(func(name string) error {
		if len(seen) == maxFields || slices.Contains(seen, name) {
			return badAnswer("an object around its elements has a name twice, or too many")
		}
		seen = append(seen, name)
		return field(name)
	})
}

// members is object for any number of members, without a look at duplicates.
func (a *answer) members(field func(name string) error) error {
	if err := a.open('{'); err != nil {
		return err
	}
	for a.peek() != '}' {
		name, err := a.string()
		if err != nil {
			return err
		}
		if err := field(name); err != nil {
			return err
		}
	}
	_, err := a.outer.ReadToken()
	return err
}

// array calls element for each element of the array that comes next; element
// consumes it.
func (a *answer) array(element func() error) error {
	if err := a.open('['); err != nil {
		return err
	}
	for a.peek() != ']' {
		if err := element(); err != nil {
			return err
		}
	}
	_, err := a.outer.ReadToken()
	return err
}

// copyOwned writes the elements of the array that comes next whose label set, in
// the member named, carries the name of one of the view's tenants, and for which
// also, if there is one, returns true. A null stays one.
func (a *answer) copyOwned(labels string, also func(element []member) bool) error {
	if isNull, err := a.null(); isNull || err != nil {
		a.write(`null`)
		return err
	}
	a.write(`[`)
	n := 0
	err := a.array(func() error {
		element, err := a.element(labels, func(whose owner) bool { return whose == own }, nil)
		if err != nil || element == nil {
			return err
		}
		members, whose, err := a.labelsOf(element, labels)
		if err != nil || whose != own || also != nil && !also(members) {
			return err
		}
		a.comma(n)
		n++
		a.writeBytes(element)
		return nil
	})
	a.write(`]`)
	return err
}

// element reads the object that comes next, or returns nil when its label set, in
// the member named, says that it is not to be shown. From there on it is passed
// over, whatever it holds but a text of maxElement: what is somebody else's must
// not break the answer. This is a first look: whether an element has another name
// twice is for split to say. Behind the label set, rewrite may read and write
// members in its stead.
func (a *answer) element(labels string, shown func(owner) bool, rewrite func(name []byte, whose owner) (done bool, err error)) (jsontext.Value, error) {
	if err := a.open('{'); err != nil {
		return nil, err
	}
	a.whole = append(a.whole[:0], '{')
	whose, known := nobodys, false
	for a.peek() != '}' {
		name, err := a.key()
		isLabels, done := string(name) == labels, false
		var value jsontext.Value
		if err == nil && known && rewrite != nil {
			done, err = rewrite(name, whose)
		}
		if err == nil && !done {
			value, err = a.keep()
		}
		if err != nil {
			return nil, err
		}
		if !isLabels {
			continue
		}
		if known {
			return nil, errTwice
		}
		if whose, err = a.owner(value); err != nil {
			return nil, err
		}
		if known = true; !shown(whose) {
			return nil, a.leave(labels)
		}
	}
	a.whole = append(a.whole, '}')
	if _, err := a.outer.ReadToken(); err != nil || !shown(whose) {
		return nil, err
	}
	return a.whole, nil
}

// leave passes over the members that are left of an element, of which none may be
// another label set.
func (a *answer) leave(labels string) error {
	for a.peek() != '}' {
		quoted, err := a.value()
		if err == nil {
			var name []byte
			if name, err = a.unquote(quoted); string(name) == labels {
				err = errTwice
			}
		}
		if err == nil {
			err = a.skip()
		}
		if err != nil {
			return err
		}
	}
	_, err := a.outer.ReadToken()
	return err
}

var errTwice = badAnswer("an element has a name twice")

// keep reads a value into the element, and returns it.
func (a *answer) keep() (jsontext.Value, error) {
	value, err := a.value()
	if err != nil {
		return nil, err
	}
	return value, a.add(value)
}

// add appends a value to the element, which is bounded.
func (a *answer) add(value jsontext.Value) error {
	if a.whole = append(a.whole, value...); len(a.whole) > maxElement {
		return badAnswer("an element is larger than %d bytes", maxElement)
	}
	return nil
}

// key reads a member's name into the element, as it is spelled, and returns what
// it means, valid until the next unquote.
func (a *answer) key() ([]byte, error) {
	quoted, err := a.value()
	if err != nil {
		return nil, err
	}
	if len(a.whole) > 1 {
		a.whole = append(a.whole, ',')
	}
	a.whole = append(append(a.whole, quoted...), ':')
	return a.unquote(quoted)
}

// null consumes the next value when it is a null.
func (a *answer) null() (bool, error) {
	if a.peek() != 'n' {
		return false, nil
	}
	return true, a.skip()
}

// nonEmpty consumes an array or a null and tells whether it had an element.
func (a *answer) nonEmpty() (some bool, err error) {
	if isNull, err := a.null(); isNull || err != nil {
		return false, err
	}
	err = a.array(func() error { some = true; return a.skip() })
	return some, err
}

func (a *answer) open(kind jsontext.Kind) error {
	if k := a.peek(); k != kind && k != jsontext.KindInvalid {
		return badAnswer("it has a %s where a %s was expected", kindName(k), kindName(kind))
	}
	_, err := a.outer.ReadToken()
	return err
}

func (a *answer) peek() jsontext.Kind {
	a.in.refill()
	return a.outer.PeekKind()
}

// value reads the next value whole. It is valid until the next read. Texts that
// are no UTF-8 are mended, as every reader of JSON would: one rule's template that
// cuts a character in two must not break the answer for everybody.
func (a *answer) value() (jsontext.Value, error) {
	a.in.refill()
	v, err := a.outer.ReadValue()
	if err == nil && !utf8.Valid(v) {
		v = bytes.ToValidUTF8(v, []byte("\uFFFD"))
	}
	return v, err
}

// string reads a short string: a name or a status.
func (a *answer) string() (string, error) {
	v, err := a.value()
	if err != nil {
		return "", err
	}
	text, err := a.unquote(v)
	return string(text), err
}

// skip passes over the next value, of any size, token by token.
func (a *answer) skip() error {
	depth := a.outer.StackDepth()
	for {
		a.in.refill()
		if _, err := a.outer.ReadToken(); err != nil {
			return err
		}
		if a.outer.StackDepth() <= depth {
			return nil
		}
	}
}

func (a *answer) comma(n int) {
	if n > 0 {
		a.write(`,`)
	}
}

// write and writeBytes need no check: the writer keeps its first error, and
// filter's Flush returns it.
func (a *answer) write(s string)      { _, _ = a.out.WriteString(s) }
func (a *answer) writeBytes(b []byte) { _, _ = a.out.Write(b) }

// A meter is a reader that gives at most maxElement bytes between two refills.
type meter struct {
	src  io.Reader
	left int
	err  error // of src, which the decoder may wrap beyond recognition
}

func (m *meter) refill() { m.left = maxElement }

func (m *meter) Read(p []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	if m.left == 0 {
		return 0, badAnswer("an element is larger than %d bytes", maxElement)
	}
	n, err := m.src.Read(p[:min(len(p), m.left)])
	m.left -= n
	if err != nil && !errors.Is(err, io.EOF) {
		m.err = err
	}
	return n, err
}

func kindName(k jsontext.Kind) string {
	switch k {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	default:
		return "scalar"
	}
}
