package policy

import "slices"

// A Verdict says what one policy makes of a token.
type Verdict struct {
	Name string
	// Applies says that its conditions hold and that it grants something.
	Applies bool
	// Why says why it does not apply, or is not used though it does.
	Why string
	// Grants is what it grants, as a selector.
	Grants string
	// LeftOut are values of claims that it could not use.
	LeftOut []LeftOut
}

// Explain is [Rules.Decide] with a verdict for every policy, in the order of names.
func (r *Rules) Explain(t Token, n Narrowing) ([]Verdict, Decision, error) {
	e := r.evaluate(t)
	var grants []grant
	verdicts := make([]Verdict, len(r.rules))
	for i, rule := range r.rules {
		v := Verdict{Name: rule.name}
		g, err := e.apply(rule, func(label string, values []LeftOut) {
			for _, l := range values {
				l.Label = label
				v.LeftOut = append(v.LeftOut, l)
			}
		})
		switch {
		case err != nil:
			v.Why = err.Error()
		default:
			grants = append(grants, g)
			v.Applies, v.Grants = true, Labels{tenant: r.options.TenantLabel, matchers: g.box}.String()
			if len(n.policies) > 0 && !slices.Contains(n.policies, rule.name) {
				v.Why = PolicyHeader + " names others"
			} else if len(n.policies) == 0 && rule.onlyWhenNamed {
				v.Why = "only_when_named, and " + PolicyHeader + " does not name it"
			}
		}
		verdicts[i] = v
	}
	d, err := r.decide(t, grants, n)
	return verdicts, d, err
}
