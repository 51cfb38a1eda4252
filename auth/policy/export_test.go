package policy

import "slices"

// Join is join, which the brute force holds against set semantics.
func Join(boxes [][]Matcher, most int) ([]Matcher, error) {
	in := make([]box, len(boxes))
	for i, b := range boxes {
		in[i] = newBox(slices.Clone(b))
	}
	return join(in, most)
}

// JoinSteps is how many steps the search in join took.
func JoinSteps(boxes [][]Matcher) int {
	var in []box
	for _, b := range boxes {
		in = append(in, newBox(slices.Clone(b)))
	}
	in = distinct(in)
	var s search
	for _, label := range labelsOf(in) {
		if _, columns, _ := unite(label, in, 1<<30); len(columns) > 1 {
			s.columns = append(s.columns, columns)
		}
	}
	s.run(len(in))
	return s.steps
}

// MaxJoinSteps is the bound on them.
const MaxJoinSteps = maxJoinSteps

// DecideWithoutIndex is Decide over every rule.
func (r *Rules) DecideWithoutIndex(t Token, n Narrowing) (Decision, error) {
	_, d, err := r.Explain(t, n)
	return d, err
}

// NewLabels is newLabels.
func NewLabels(tenantLabel string, ms ...Matcher) (Labels, error) { return newLabels(tenantLabel, ms) }
