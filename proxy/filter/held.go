package filter

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// A member is one member of an object held in memory. Name and value point into
// the object.
type member struct {
	name  []byte
	value jsontext.Value
}

// split appends the members of an object in memory to dst. Names that come
// twice, here or deeper, are an error: which of the two would a client believe?
func (a *answer) split(dst []member, object jsontext.Value) ([]member, error) {
	if object.Kind() != '{' {
		return nil, badAnswer("an element of it is %s and not an object", kindName(byte(object.Kind())))
	}
	// A bytes.Buffer is decoded in place: no copy, and values stay valid.
	a.memory = *bytes.NewBuffer(object)
	a.inner.Reset(&a.memory)
	if _, err := a.inner.ReadToken(); err != nil {
		return nil, err
	}
	for a.inner.PeekKind() != '}' {
		quoted, err := a.inner.ReadValue()
		if err != nil {
			return nil, err
		}
		name := quoted[1 : len(quoted)-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			unquoted, err := jsontext.AppendUnquote(nil, quoted)
			if err != nil {
				return nil, err
			}
			name = unquoted
		}
		value, err := a.inner.ReadValue()
		if err != nil {
			return nil, err
		}
		dst = append(dst, member{name, value})
	}
	return dst, nil
}

// list appends the elements of an array in memory to dst; a null has none.
func (a *answer) list(dst []jsontext.Value, array jsontext.Value) ([]jsontext.Value, error) {
	switch array.Kind() {
	case 'n':
		return dst, nil
	case '[':
	default:
		return nil, badAnswer("a member of it is %s and not an array", kindName(byte(array.Kind())))
	}
	a.memory = *bytes.NewBuffer(array)
	a.inner.Reset(&a.memory)
	if _, err := a.inner.ReadToken(); err != nil {
		return nil, err
	}
	for a.inner.PeekKind() != ']' {
		v, err := a.inner.ReadValue()
		if err != nil {
			return nil, err
		}
		dst = append(dst, v)
	}
	return dst, nil
}

// find returns the value of a member, nil when there is none.
func find(members []member, name string) jsontext.Value {
	for _, m := range members {
		if string(m.name) == name {
			return m.value
		}
	}
	return nil
}

// unquote decodes a JSON string. The result is valid until the next call.
func (a *answer) unquote(v jsontext.Value) ([]byte, error) {
	if v.Kind() != '"' {
		return nil, badAnswer("it has %s where a string was expected", kindName(byte(v.Kind())))
	}
	text, err := jsontext.AppendUnquote(a.unquoted[:0], v)
	a.unquoted = text
	return text, err
}

// membersOf returns an element's members, valid until the next call, and whether
// the label set among them matches the label policy.
func (a *answer) membersOf(element jsontext.Value, labels string) (members []member, shown bool, err error) {
	if members, err = a.split(a.scratch[:0], element); err != nil {
		return nil, false, err
	}
	a.scratch = members
	states, err := a.statesOf(find(members, labels))
	return members, err == nil && a.elementStanding(states) == wholly, err
}
