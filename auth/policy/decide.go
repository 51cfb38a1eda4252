package policy

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxTextBytes bounds a label policy as text: it stands in every selector.
const maxTextBytes = 16 << 10

// A Decision is what a token's bearer may do.
type Decision struct {
	Labels Labels
	// Silences is what the bearer may silence: what those of the policies allow that
	// say so, joined. The zero value is nothing, also if they cannot be joined.
	Silences Labels
	// Policies are the names of the policies that apply and were chosen, sorted.
	Policies []string
	Limits   Limits
	// Bucket is the key of the bucket for the rates in Limits. It does not depend on
	// what the caller chose.
	Bucket string
	// AllTenants says that a chosen policy grants all tenants, even if the caller
	// asked for fewer.
	AllTenants bool
	// Writes says that all chosen policies have the scope write: what one of them alone
	// grants for writing is not known of their join.
	Writes bool
	// LeftOut counts the values of claims that could not be used. It is there with an
	// error, too.
	LeftOut []LeftOutCount
}

// A LeftOutCount is how many values of a claim a policy could not use for a label.
type LeftOutCount struct {
	Policy, Label string
	Values        int
}

// Decide holds the policies against a token and narrows what they grant as the caller
// asked. The error is for the caller: it names policies that apply to the token, and
// nothing that the caller did not write otherwise.
func (r *Rules) Decide(t Token, n Narrowing) (Decision, error) {
	e := r.evaluate(t)
	var grants []grant
	var leftOut []LeftOutCount
	for _, i := range r.index.candidates(e.values) {
		rule := r.rules[i]
		g, err := e.apply(rule, func(label string, values []LeftOut) {
			leftOut = append(leftOut, LeftOutCount{rule.name, label, len(values)})
		})
		if err == nil {
			grants = append(grants, g)
		}
	}
	d, err := r.decide(t, grants, n)
	d.LeftOut = leftOut
	return d, err
}

// decide chooses, narrows and joins what the policies that apply grant.
func (r *Rules) decide(t Token, grants []grant, n Narrowing) (Decision, error) {
	if len(grants) == 0 {
		return Decision{}, r.noneApplies(t)
	}
	chosen, err := n.choose(grants)
	if err != nil {
		return Decision{}, err
	}
	if len(chosen) == 0 {
		return Decision{}, errors.New("a policy applies to the token only if " + PolicyHeader + " names it: " + list(names(grants)))
	}
	boxes, err := n.narrow(r.options.TenantLabel, chosen)
	if err != nil {
		return Decision{}, err
	}
	d := Decision{Policies: names(chosen), Limits: limitsOf(grants, chosen), Bucket: bucket(grants), Writes: true}
	for _, g := range chosen {
		d.AllTenants = d.AllTenants || g.rule.allTenants
		d.Writes = d.Writes && g.rule.writes
	}
	if d.Labels, err = r.confine(boxes, d); err != nil {
		return Decision{}, err
	}
	d.Silences = r.silences(n, chosen, d)
	return d, nil
}

// silences joins those of the chosen policies by which silences may be written.
func (r *Rules) silences(n Narrowing, chosen []grant, d Decision) Labels {
	var writing []grant
	for _, g := range chosen {
		if g.rule.silences {
			writing = append(writing, g)
		}
	}
	switch len(writing) {
	case 0:
		return Labels{}
	case len(chosen):
		return d.Labels
	}
	boxes, err := n.narrow(r.options.TenantLabel, writing)
	if err != nil {
		return Labels{} // the caller asks for tenants that they may only read
	}
	labels, err := r.confine(boxes, d)
	if err != nil {
		return Labels{}
	}
	return labels
}

// confine makes the one label policy of the boxes.
func (r *Rules) confine(boxes []box, d Decision) (Labels, error) {
	hull, err := join(boxes, r.options.MaxTenants)
	if many, ok := errors.AsType[errTooMany](err); ok {
		return Labels{}, fmt.Errorf("the token's policies list more than %d values of the label %s", r.options.MaxTenants, many.label)
	}
	if err != nil {
		return Labels{}, fmt.Errorf("the policies that apply to the token cannot be joined into one: choose with %s among %s", PolicyHeader, list(d.Policies))
	}
	labels, err := newLabels(r.options.TenantLabel, hull)
	if err != nil {
		return Labels{}, err
	}
	if _, all := labels.Tenants(); all && !d.AllTenants {
		return Labels{}, errors.New("the policies grant all tenants, and none of them says so")
	}
	if len(labels.String()) > maxTextBytes {
		return Labels{}, fmt.Errorf("the token's label policy is longer than %d bytes", maxTextBytes)
	}
	return labels, nil
}

// noneApplies says so, and why if the provider tells.
func (r *Rules) noneApplies(t Token) error {
	const none = "no policy applies to the token"
	if slices.ContainsFunc(r.paths, func(p Path) bool { return p.LeftOut(t.Claims) }) {
		return errors.New(none + ": its provider left out groups because there were too many")
	}
	return errors.New(none)
}

func names(grants []grant) []string {
	out := make([]string, len(grants))
	for i, g := range grants {
		out[i] = g.rule.name
	}
	return out
}

// bucket is a key for the policies that apply and what they grant: of a fixed length,
// because it is kept for long.
func bucket(grants []grant) string {
	var b strings.Builder
	for _, g := range grants {
		appendSized(&b, g.rule.name)
		appendSized(&b, key(g.box))
	}
	hash := sha256.Sum256([]byte(b.String()))
	return string(hash[:])
}
