package policy

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// maxWarnings bounds each kind of warning.
const maxWarnings = 10

// Warnings says what the settings allow and their writer may not have meant: at most
// ten sentences of each kind.
func (r *Rules) Warnings() []string {
	var out []string
	for _, name := range r.AllTenants() {
		out = append(out, fmt.Sprintf("the policy %s grants all tenants", name))
	}
	return slices.Concat(firstOf(out), firstOf(r.unconditional()), firstOf(r.beyondReach()), firstOf(r.unboundWriters()), r.unjoinable())
}

// AllTenants names the policies that grant all tenants.
func (r *Rules) AllTenants() (names []string) {
	for _, rule := range r.rules {
		if rule.allTenants {
			names = append(names, rule.name)
		}
	}
	return names
}

func firstOf(warnings []string) []string { return warnings[:min(len(warnings), maxWarnings)] }

// unconditional finds policies that apply to every token.
func (r *Rules) unconditional() (out []string) {
	for _, rule := range r.rules {
		every := !slices.ContainsFunc(r.options.Entries, func(e Entry) bool { return !isFor(e, rule.issuers, rule.audiences) })
		if every && len(rule.when) == 0 && len(rule.claimed) == 0 && !rule.onlyWhenNamed {
			out = append(out, fmt.Sprintf("the policy %s applies to every token", rule.name))
		}
	}
	return out
}

// beyondReach finds missing beside except. A label that the upstream attaches to its
// answers only, as an external label, is missing wherever matchers look.
func (r *Rules) beyondReach() (out []string) {
	for _, rule := range r.rules {
		for _, m := range rule.fixed {
			if m.Negative && m.Missing && len(m.Values) > 0 {
				out = append(out, fmt.Sprintf("the policy %s: missing beside except excludes nothing if %s is an external label of the upstream", rule.name, m.Label))
			}
		}
	}
	return out
}

// unboundWriters finds policies that write and enforce other labels than the tenant's:
// a label policy confines what is read, and what is written may carry any value.
func (r *Rules) unboundWriters() (out []string) {
	for _, rule := range r.rules {
		other := func(label string) bool { return label != r.options.TenantLabel }
		if rule.writes && (slices.ContainsFunc(rule.fixed, func(m Matcher) bool { return other(m.Label) }) || slices.ContainsFunc(rule.claimed, func(l labeled) bool { return other(l.label) })) {
			out = append(out, fmt.Sprintf("the policy %s: what is written is confined to its tenants alone, not by its other labels", rule.name))
		}
	}
	return out
}

// unjoinable finds pairs of policies that can apply to one token and that, with what
// is known without the token, cannot be joined.
func (r *Rules) unjoinable() (out []string) {
	boxes := make([]box, len(r.rules))
	for i, rule := range r.rules {
		boxes[i] = r.assumed(rule)
	}
	for i, a := range r.rules {
		for j, b := range r.rules[:i] {
			if a.onlyWhenNamed || b.onlyWhenNamed || differences(boxes[i], boxes[j]) < 2 || !r.meet(a, b) {
				continue
			}
			if _, err := join([]box{boxes[i], boxes[j]}, math.MaxInt); err == nil {
				continue
			}
			out = append(out, fmt.Sprintf("the policies %s and %s can apply to the same token and cannot be joined: such a caller has to choose with %s", b.name, a.name, PolicyHeader))
			if len(out) == maxWarnings {
				return out
			}
		}
	}
	return out
}

// differences counts the labels of which two boxes allow different values. With fewer
// than two the boxes can be joined, whatever the values are.
func differences(a, b box) (n int) {
	for len(a) > 0 && len(b) > 0 {
		switch c := strings.Compare(a[0].Label, b[0].Label); {
		case c < 0:
			a, n = a[1:], n+1
		case c > 0:
			b, n = b[1:], n+1
		default:
			if !a[0].equal(b[0]) {
				n++
			}
			a, b = a[1:], b[1:]
		}
	}
	return n + len(a) + len(b)
}

// assumed is the box that a rule grants if each source gives the values that are
// allowed, or one of its own, that no other source gives.
func (r *Rules) assumed(rule *rule) box {
	ms := slices.Clone(rule.fixed)
	for _, l := range rule.claimed {
		s := r.sources[l.source]
		m := Matcher{Label: l.label}
		for v := range s.allowed {
			m.Values = append(m.Values, v)
		}
		if s.allowed == nil {
			m.Values = []string{fmt.Sprintf("\x00%d", l.source)} // no value of a label
		}
		m.Values = unique(m.Values)
		ms = append(ms, m)
	}
	return newBox(ms)
}

// meet reports whether one token can get both policies.
func (r *Rules) meet(a, b *rule) bool {
	return slices.ContainsFunc(r.options.Entries, func(e Entry) bool { return isFor(e, a.issuers, a.audiences) && isFor(e, b.issuers, b.audiences) })
}
