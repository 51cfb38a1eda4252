package filter

import "slices"

// object calls field for each member of the object that comes next; field
// consumes the member's value. A name that comes twice is an error.
func (a *answer) object(field func(name string) error) error {
	seen := make([]string, 0, 16)
	return a.members(maxFieldName, func(name []byte, whole bool) error {
		if len(seen) == maxFields || !whole || slices.Contains(seen, string(name)) {
			return badAnswer("an object around its elements has a name twice, or too many")
		}
		seen = append(seen, string(name))
		return field(seen[len(seen)-1])
	})
}

// members is object for any number of members, without a look at duplicates. A
// name that is longer than limit is given as nil, and not whole.
func (a *answer) members(limit int, field func(name []byte, whole bool) error) error {
	if err := a.open('{'); err != nil {
		return err
	}
	for first := true; ; first = false {
		if more, err := a.more('}', first); err != nil || !more {
			return err
		}
		name, whole, err := a.text(limit)
		if err == nil {
			err = a.take(':')
		}
		if err == nil {
			err = field(name, whole)
		}
		if err != nil {
			return err
		}
	}
}

// array calls element for each element of the array that comes next; element
// consumes it.
func (a *answer) array(element func() error) error {
	if err := a.open('['); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := a.more(']', first)
		if err == nil && more {
			err = element()
		}
		if err != nil || !more {
			return err
		}
	}
}

// null consumes the next value when it is a null.
func (a *answer) null() (bool, error) {
	c, err := a.peek()
	if err != nil || c != 'n' {
		return false, err
	}
	return true, a.value()
}

// nonEmpty consumes an array or a null and tells whether it had an element.
func (a *answer) nonEmpty() (some bool, err error) {
	if isNull, err := a.null(); isNull || err != nil {
		return false, err
	}
	err = a.array(func() error { some = true; return a.value() })
	return some, err
}

// open consumes the bracket that an object or an array begins with.
func (a *answer) open(bracket byte) error {
	c, err := a.peek()
	if err == nil && c != bracket {
		err = badAnswer("it has %s where %s was expected", kindName(c), kindName(bracket))
	}
	if err == nil {
		a.pos++
	}
	return err
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

// kindName is what a value is that begins with a byte.
func kindName(c byte) string {
	switch c {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	default:
		return "a scalar"
	}
}
