package filter

import "io"

// Names are the names of the series that an identity has. They hold no part of the
// answer that they were read from.
type Names map[string]bool

// mapEntry is about what an entry of a map takes beside its texts.
const mapEntry = 64

// Size is about how much memory the names take.
func (n Names) Size() int {
	size := 0
	for name := range n {
		size += mapEntry + len(name)
	}
	return size
}

// ReadNames reads an answer of /api/v1/label/__name__/values.
func (v View) ReadNames(src io.Reader) (Names, error) {
	a, err := newAnswer(io.Discard, src, v)
	if err != nil {
		return nil, err
	}
	names, size := Names{}, 0
	err = a.filter(func() error {
		if isNull, err := a.null(); isNull || err != nil {
			return err
		}
		return a.array(func() error {
			name, whole, err := a.text(maxName)
			if err != nil || !whole || names[string(name)] {
				return err
			}
			if size += len(name); size > maxElement {
				return oversized("the list of your metrics' names")
			}
			names[string(name)] = true
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return names, nil
}
