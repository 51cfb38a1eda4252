package proxy

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

// An owner is whose an element is, by its labels.
type owner int

const (
	others  owner = iota // it carries the tenant label with somebody else's name
	nobodys              // it does not carry the tenant label
	own                  // it carries the name of one of the view's tenants
)

// owner reads a label set. An empty or strange value of the tenant label is
// not the view's, so it is somebody else's.
func (a *answer) owner(labels jsontext.Value) (owner, error) {
	if labels == nil || labels.Kind() == 'n' {
		return nobodys, nil
	}
	var scratch [16]member
	members, err := a.split(scratch[:0], labels)
	if err != nil {
		return others, err
	}
	value := find(members, a.view.label)
	if value == nil {
		return nobodys, nil
	}
	name, err := a.unquote(value)
	if err != nil || !a.view.tenants.Has(string(name)) {
		return others, err
	}
	return own, nil
}

// labelsOf returns an element's members, valid until the next call, and whose it
// is by the label set among them.
func (a *answer) labelsOf(element jsontext.Value, name string) ([]member, owner, error) {
	members, err := a.split(a.scratch[:0], element)
	if err != nil {
		return nil, others, err
	}
	a.scratch = members
	whose, err := a.owner(find(members, name))
	return members, whose, err
}
