package policy

import "slices"

// An index finds the policies that may apply to a token without looking at each:
// most need one value out of a few in one claim.
type index struct {
	always  []int                    // positions in Rules.rules of those that need no value
	byValue map[int]map[string][]int // by path and value, those that need it or another one
	paths   []int                    // the keys of byValue, in order
}

// newIndex files every rule under the values that it needs.
func newIndex(r *Rules) index {
	ix := index{byValue: map[int]map[string][]int{}}
	for i, rule := range r.rules {
		path, values := r.needs(rule)
		if len(values) == 0 {
			ix.always = append(ix.always, i)
			continue
		}
		if ix.byValue[path] == nil {
			ix.byValue[path] = map[string][]int{}
			ix.paths = append(ix.paths, path)
		}
		for _, v := range values {
			ix.byValue[path][v] = append(ix.byValue[path][v], i)
		}
	}
	slices.Sort(ix.paths)
	return ix
}

// needs returns values of one claim without all of which the rule does not apply;
// none, if it cannot be said so. A label by claim needs what its map or its allowed
// values can be made from.
func (r *Rules) needs(rule *rule) (path int, values []string) {
	for _, c := range rule.when {
		if len(c.anyOf) > 0 {
			return c.path, c.anyOf
		}
	}
	for _, l := range rule.claimed {
		s := r.sources[l.source]
		switch {
		case s.byMap != nil:
			for from := range s.byMap {
				values = append(values, from)
			}
			return s.path, values
		case s.allowed != nil && s.strip == "" && s.add == "":
			for v := range s.allowed {
				values = append(values, v)
			}
			return s.path, values
		}
	}
	return 0, nil
}

// candidates returns the positions of the rules that may apply, in order.
func (ix index) candidates(seen func(path int) present) []int {
	found := slices.Clone(ix.always)
	for _, path := range ix.paths {
		for v := range seen(path).set {
			found = append(found, ix.byValue[path][v]...)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}
