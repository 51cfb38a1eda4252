package policy

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"
)

// maxJoinSteps bounds the search of [join]: what takes longer is refused.
const maxJoinSteps = 4096

// A box is what one policy grants: a conjunction of matchers, sorted by label, at
// most one for each. A label without a matcher may have every value.
type box []Matcher

// on returns the box's matcher on a label: the one that allows everything, if there
// is none.
func (b box) on(label string) Matcher {
	for _, m := range b {
		if m.Label == label {
			return m
		}
	}
	return Matcher{Label: label, Negative: true, Missing: true}
}

// errInexact says that what the boxes allow together is no conjunction of matchers.
var errInexact = errors.New("no conjunction of matchers is what the policies allow together")

// errTooMany says that the hull would list too many values of a label.
type errTooMany struct{ label string }

func (e errTooMany) Error() string { return "too many values of the label " + e.label }

// join returns the hull of the boxes: for each label, every value that one of them
// allows. The hull must be exactly what the boxes allow together, which means that
// every combination of its values is allowed by one of the boxes; else the error is
// errInexact. Neither depends on the order of the boxes. A hull that lists more than
// most values of a label is an errTooMany.
//
// The combinations are far too many to be tried one by one, but values that the
// same boxes allow can be tried as one. So each label has columns: sets of boxes,
// one for each group of such values. The hull is covered if whichever column is
// taken for each label, one box is in all of them.
func join(boxes []box, most int) (hull box, err error) {
	boxes = distinct(boxes)
	var search search
	for _, label := range labelsOf(boxes) {
		union, columns, ok := unite(label, boxes, most)
		if !ok {
			return nil, errTooMany{label}
		}
		if !union.full() {
			hull = append(hull, union)
		}
		if len(columns) > 1 { // with a single one the label decides nothing
			search.columns = append(search.columns, columns)
		}
	}
	if !search.run(len(boxes)) {
		return nil, errInexact
	}
	return hull, nil
}

// distinct returns the boxes sorted by their keys, equal ones once.
func distinct(boxes []box) []box {
	type keyed struct {
		key string
		box box
	}
	all := make([]keyed, len(boxes))
	for i, b := range boxes {
		all[i] = keyed{key(b), b}
	}
	slices.SortFunc(all, func(a, b keyed) int { return cmp.Compare(a.key, b.key) })
	all = slices.CompactFunc(all, func(a, b keyed) bool { return a.key == b.key })
	out := make([]box, len(all))
	for i, k := range all {
		out[i] = k.box
	}
	return out
}

// labelsOf lists the labels on which any box has a matcher.
func labelsOf(boxes []box) []string {
	var names []string
	for _, b := range boxes {
		for _, m := range b {
			names = append(names, m.Label)
		}
	}
	return unique(names)
}

// A boxSet is a set of boxes, by their positions.
type boxSet []uint64

func newBoxSet(n int) boxSet { return make(boxSet, (n+63)/64) }

func (s boxSet) flip(i int) { s[i/64] ^= 1 << (i % 64) }

func (s boxSet) empty() bool { return !slices.ContainsFunc(s, func(w uint64) bool { return w != 0 }) }

func (s boxSet) size() (n int) {
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

func (s boxSet) and(t boxSet) boxSet {
	both := make(boxSet, len(s))
	for i := range s {
		both[i] = s[i] & t[i]
	}
	return both
}

// unite returns the matcher that allows what any box allows of a label, and the
// columns: for each value that it allows, the set of boxes that allow it; equal sets
// once, the smallest first. The values are those that a box names, the missing one,
// and one that stands for all others. ok is false if the matcher would list more than
// most values.
func unite(label string, boxes []box, most int) (union Matcher, columns []boxSet, ok bool) {
	others, missing := newBoxSet(len(boxes)), newBoxSet(len(boxes))
	for i, b := range boxes {
		m := b.on(label)
		if m.Negative {
			others.flip(i)
		}
		if m.Missing {
			missing.flip(i)
		}
	}
	union = Matcher{Label: label, Negative: !others.empty(), Missing: !missing.empty()}
	named := map[string]boxSet{}
	for i, b := range boxes {
		for _, v := range b.on(label).Values {
			if named[v] == nil {
				named[v] = slices.Clone(others)
			}
			named[v].flip(i) // the box does with it what it does not do with others
		}
		if !union.Negative && len(named) > most {
			return Matcher{}, nil, false
		}
	}
	columns = []boxSet{others, missing}
	for v, c := range named {
		columns = append(columns, c)
		if c.empty() == union.Negative {
			union.Values = append(union.Values, v)
		}
	}
	slices.Sort(union.Values)
	columns = slices.DeleteFunc(columns, boxSet.empty) // no box allows it
	slices.SortFunc(columns, func(a, b boxSet) int {
		return cmp.Or(cmp.Compare(a.size(), b.size()), slices.Compare(a, b))
	})
	return union, slices.CompactFunc(columns, slices.Equal[boxSet]), len(union.Values) <= most
}

// A search looks for a combination of values that no box allows.
type search struct {
	columns [][]boxSet // of each label
	suffix  []boxSet   // suffix[i]: the boxes in every column of label i and all after it
	seen    map[string]bool
	steps   int
}

// run reports whether every combination is covered by one of n boxes. A search that
// takes too many steps has not shown it.
func (s *search) run(n int) bool {
	every := newBoxSet(n)
	for i := range n {
		every.flip(i)
	}
	s.seen = map[string]bool{}
	s.suffix = make([]boxSet, len(s.columns)+1)
	s.suffix[len(s.columns)] = every
	for i := len(s.columns) - 1; i >= 0; i-- {
		s.suffix[i] = s.suffix[i+1]
		for _, c := range s.columns[i] {
			s.suffix[i] = s.suffix[i].and(c)
		}
	}
	return s.covered(0, every)
}

// covered reports whether, for every choice of a column for label i and all after
// it, a box of active is in all of them.
func (s *search) covered(i int, active boxSet) bool {
	switch {
	case active.empty():
		return false
	case !active.and(s.suffix[i]).empty(): // a box that is in all columns to come
		return true
	}
	// i is before the last label: after it, suffix holds every box.
	state := binary.BigEndian.AppendUint32(nil, uint32(i)) //nolint:gosec // at most 16,000 labels
	for _, w := range active {
		state = binary.BigEndian.AppendUint64(state, w)
	}
	if known, ok := s.seen[string(state)]; ok {
		return known
	}
	if s.steps++; s.steps > maxJoinSteps {
		return false
	}
	covered := true
	for _, c := range s.columns[i] {
		if covered = s.covered(i+1, active.and(c)); !covered {
			break
		}
	}
	s.seen[string(state)] = covered
	return covered
}
