package proxy

import (
	"bytes"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// A kind of element: where it says whose it is, and how it is called in an error.
type kind struct {
	labels string // the member that holds its label set
	noun   string
	title  string // the member that names it
	label  string // or the label that does
}

// copyOwned writes the elements of the array that comes next whose label set
// carries the name of one of the view's tenants, and for which also, if there is
// one, returns true. A null stays one.
func (a *answer) copyOwned(k kind, also func(element []member) bool) error {
	if isNull, err := a.null(); isNull || err != nil {
		a.write(`null`)
		return err
	}
	a.write(`[`)
	n := 0
	err := a.array(func() error {
		element, err := a.read(k, isOwn, nil)
		if err != nil || element == nil {
			return err
		}
		members, whose, err := a.labelsOf(element, k.labels)
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

func isOwn(whose owner) bool { return whose == own }

// A rewriter may read and keep a member in read's stead, once it is known whose
// the element is.
type rewriter func(name []byte, whose owner) (done bool, err error)

// read returns the object that comes next, valid until the next read, or nil when
// its label set says that it is not to be shown.
//
// An element is held until it is known whose it is: the label set may come last.
// When it is somebody else's, or grows beyond maxElement, what was held is given
// up, and the rest is passed over but for its label set: what is somebody else's
// must not break the answer. An element that is to be shown and too large does,
// and the error names it.
//
// This is a first look: whether an element has another name twice is for split to
// say.
func (a *answer) read(k kind, shown func(owner) bool, rewrite rewriter) (jsontext.Value, error) {
	a.element, a.title = hold{bytes: a.element.bytes[:0]}, a.title[:0]
	whose, err := a.readMembers(k, shown, rewrite)
	switch {
	case err != nil:
		return nil, err
	case !shown(whose):
		a.element.truncate()
		return nil, nil
	case a.element.over:
		return nil, oversized("%s %q", k.noun, clipTitle(a.title))
	}
	return a.mended(), nil
}

// readMembers appends the object that comes next to the held element, and tells
// whose it is.
func (a *answer) readMembers(k kind, shown func(owner) bool, rewrite rewriter) (owner, error) {
	if err := a.open('{'); err != nil {
		return others, err
	}
	a.element.add([]byte{'{'})
	whose, known := nobodys, false
	for first := true; ; first = false {
		if more, err := a.more('}', first); err != nil {
			return others, err
		} else if !more {
			a.element.add([]byte{'}'})
			return whose, nil
		}
		name, err := a.key(first)
		done := false
		switch {
		case err != nil:
		case string(name) == k.labels && known:
			err = errTwice
		case string(name) == k.labels:
			known = true
			if whose, err = a.readLabels(k.label); err == nil && !shown(whose) {
				return whose, a.leave(k.labels)
			}
		case k.title != "" && string(name) == k.title:
			err = a.keepTitle()
		case known && rewrite != nil:
			if done, err = rewrite(name, whose); err == nil && !done {
				err = a.keepValue()
			}
		default:
			err = a.keepValue()
		}
		if err != nil {
			return others, err
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

// maxLabelValue is longer than the name of any tenant.
const maxLabelValue = 1 << 10

// readLabels reads an element's label set into the element, and tells whose the
// element is. An empty or strange value of the tenant label is not the view's, so
// it is somebody else's. The value of the label named title names the element in
// an error.
func (a *answer) readLabels(title string) (owner, error) {
	c, err := a.peek()
	if err != nil || c == 'n' {
		return nobodys, a.keepValue()
	}
	whose := nobodys
	err = a.keeping(&a.element, func() error {
		return a.members(maxFieldName, func(name []byte, _ bool) (err error) {
			switch {
			case string(name) == a.view.label && whose != nobodys:
				err = errTwice
			case string(name) == a.view.label:
				whose, err = a.readTenant()
			case title != "" && string(name) == title:
				err = a.readTitle()
			default:
				err = a.value()
			}
			return err
		})
	})
	return whose, err
}

// readTenant reads the value of the tenant label.
func (a *answer) readTenant() (owner, error) {
	name, whole, err := a.text(maxLabelValue)
	if err != nil || !whole || !a.view.tenants.Has(string(name)) {
		return others, err
	}
	return own, nil
}
