package filter

import (
	"bytes"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// A kind of element: where its labels are, what they make of it, and how it is
// called in an error.
type kind struct {
	labels string // the member that holds its label set
	rule   bool   // it may be shown in part
	noun   string
	title  string // the member that names it
	label  string // or the label that does
}

func (a *answer) standingOf(k kind, states []state) standing {
	if k.rule {
		return a.ruleStanding(states)
	}
	return a.elementStanding(states)
}

// copyShown writes the elements of the array that comes next whose label sets match
// the label policy, and for which also, if there is one, returns true. A null stays
// one.
func (a *answer) copyShown(k kind, also func(element []member) bool) error {
	if isNull, err := a.null(); isNull || err != nil {
		a.write(`null`)
		return err
	}
	a.write(`[`)
	n := 0
	err := a.array(func() error {
		element, err := a.read(k, nil)
		if err != nil || element == nil {
			return err
		}
		members, shown, err := a.membersOf(element, k.labels)
		if err != nil || !shown || also != nil && !also(members) {
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

// A rewriter may read and keep a member in read's stead, once the standing of the
// element is known.
type rewriter func(name []byte, s standing) (done bool, err error)

// read returns the object that comes next, valid until the next read, or nil when
// its label set says that it is not to be shown.
//
// An element is held until its standing is known: the label set may come last.
// When it is hidden, or grows beyond maxElement, what was held is given
// up, and the rest is passed over but for its label set: what is somebody else's
// must not break the answer. An element that is to be shown and too large does,
// and the error names it.
//
// This is a first look: whether an element has another name twice is for split to
// say.
func (a *answer) read(k kind, rewrite rewriter) (jsontext.Value, error) {
	a.element, a.title = hold{bytes: a.element.bytes[:0]}, a.title[:0]
	s, err := a.readMembers(k, rewrite)
	switch {
	case err != nil:
		return nil, err
	case s == hidden:
		a.element.truncate()
		return nil, nil
	case a.element.over:
		return nil, oversized("%s %q", k.noun, clipTitle(a.title))
	}
	return a.mended(), nil
}

// readMembers appends the object that comes next to the held element, and returns
// its standing.
func (a *answer) readMembers(k kind, rewrite rewriter) (standing, error) {
	if err := a.open('{'); err != nil {
		return hidden, err
	}
	a.element.add([]byte{'{'})
	s, known := a.standingOf(k, a.noStates()), false
	for first := true; ; first = false {
		if more, err := a.more('}', first); err != nil {
			return hidden, err
		} else if !more {
			a.element.add([]byte{'}'})
			return s, nil
		}
		name, err := a.key(first)
		done := false
		switch {
		case err != nil:
		case string(name) == k.labels && known:
			err = errTwice
		case string(name) == k.labels:
			known = true
			var states []state
			states, err = a.readLabels(k.label)
			if s = a.standingOf(k, states); s == hidden && err == nil {
				return hidden, a.leave(k.labels)
			}
		case k.title != "" && string(name) == k.title:
			err = a.keepTitle()
		case known && rewrite != nil:
			if done, err = rewrite(name, s); err == nil && !done {
				err = a.keepValue()
			}
		default:
			err = a.keepValue()
		}
		if err != nil {
			return hidden, err
		}
	}
}

// leave passes over the members that are left of an element, of which none may be
// another label set.
func (a *answer) leave(labels string) error {
	a.element.truncate()
	for {
		if more, err := a.more('}', false); err != nil || !more {
			return err
		}
		name, _, err := a.text(maxFieldName)
		if err == nil && string(name) == labels {
			err = errTwice
		}
		if err == nil {
			err = a.take(':')
		}
		if err == nil {
			err = a.value()
		}
		if err != nil {
			return err
		}
	}
}

var errTwice = badAnswer("an element has a name twice")

// key reads a member's name into the element, as it is spelled, and returns what
// it means, valid until the next text.
func (a *answer) key(first bool) ([]byte, error) {
	if _, err := a.peek(); err != nil {
		return nil, err
	}
	if !first {
		a.element.add([]byte{','})
	}
	a.keep(&a.element)
	name, _, err := a.text(maxFieldName)
	a.kept()
	if err == nil {
		err = a.take(':')
	}
	a.element.add([]byte{':'})
	return name, err
}

// keepValue reads a value into the element, as it is spelled.
func (a *answer) keepValue() error {
	return a.keeping(&a.element, a.value)
}

// keeping copies what read consumes to h, without the blanks before it.
func (a *answer) keeping(h *hold, read func() error) error {
	if _, err := a.peek(); err != nil {
		return err
	}
	a.keep(h)
	err := read()
	a.kept()
	return err
}

// keepTitle is keepValue for the member that names an element.
func (a *answer) keepTitle() error {
	c, err := a.peek()
	if err != nil || c != '"' {
		return a.keepValue()
	}
	return a.keeping(&a.element, a.readTitle)
}

// readTitle reads the string that names the element in an error.
func (a *answer) readTitle() error {
	text, _, err := a.text(maxName)
	a.title = append(a.title[:0], text...)
	return err
}

// clipTitle bounds what an error tells of an element's name.
func clipTitle(name []byte) string {
	if len(name) > 200 {
		name = append(name[:200:200], "…"...)
	}
	return string(bytes.ToValidUTF8(name, []byte("\uFFFD")))
}

// mended returns the element that was read. Text that is no UTF-8 is mended, as
// every reader of JSON would: a rule's template that cuts a character in two must
// not break the answer for its tenant.
func (a *answer) mended() jsontext.Value {
	if b := a.element.bytes[a.element.from:]; utf8.Valid(b) {
		return b
	}
	return bytes.ToValidUTF8(a.element.bytes[a.element.from:], []byte("\uFFFD"))
}
