package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Token is a verified token.
type Token struct {
	Issuer string
	// Audiences are those of the token's that made its entry take it.
	Audiences []string
	// AllTenants says that its entry lets it get all tenants.
	AllTenants bool
	Claims     Claims
}

// A grant is a policy that applies to a token, and what it grants.
type grant struct {
	rule *rule
	box  box
}

// An evaluation is one token, held against the rules.
type evaluation struct {
	rules *Rules
	token Token
	found []*present  // by path, nil: not looked for yet
	made  []*madeList // by source, likewise
}

// A madeList is what a source made of a token's claim.
type madeList struct {
	values  []string
	leftOut []LeftOut
}

// A LeftOut is a value of a claim that a policy cannot use for a label.
type LeftOut struct {
	Label, Value string
	Why          error
}

func (r *Rules) evaluate(t Token) *evaluation {
	return &evaluation{rules: r, token: t, found: make([]*present, len(r.paths)), made: make([]*madeList, len(r.sources))}
}

// values returns what stands at a path, found once.
func (e *evaluation) values(path int) present {
	if e.found[path] == nil {
		found := e.rules.paths[path].find(e.token.Claims)
		e.found[path] = &found
	}
	return *e.found[path]
}

// make returns what a source makes of its claim, made once.
func (e *evaluation) make(i int) *madeList {
	if e.made[i] == nil {
		s, list := e.rules.sources[i], &madeList{}
		list.values = s.values(e.values(s.path).values, func(value string, why error) {
			list.leftOut = append(list.leftOut, LeftOut{Value: value, Why: why})
		})
		e.made[i] = list
	}
	return e.made[i]
}

// apply returns what a rule grants the token, or why it does not apply. leftOut is
// called for each label with values that could not be used.
func (e *evaluation) apply(rule *rule, leftOut func(label string, values []LeftOut)) (grant, error) {
	if err := e.meets(rule); err != nil {
		return grant{}, err
	}
	granted := slices.Clone(rule.fixed)
	var lacks error
	for _, l := range rule.claimed {
		list := e.make(l.source)
		if len(list.leftOut) > 0 {
			leftOut(l.label, list.leftOut)
		}
		if len(list.values) == 0 {
			lacks = fmt.Errorf("the claim %s has no value for %s", e.rules.pathOf(l), l.label)
		}
		granted = append(granted, Matcher{Label: l.label, Values: list.values})
	}
	return grant{rule, newBox(granted)}, lacks
}

// meets reports why the rule is not for this token.
func (e *evaluation) meets(rule *rule) error {
	t := e.token
	switch {
	case !isFor(Entry{Issuer: t.Issuer, Audiences: t.Audiences}, rule.issuers, rule.audiences):
		return errors.New("it is for other issuers or audiences")
	case rule.allTenants && !t.AllTenants:
		return errors.New("allow_all_tenants is off for the token's issuer")
	}
	for _, c := range rule.when {
		found, name := e.values(c.path), e.rules.paths[c.path]
		switch {
		case len(c.anyOf) == 0 && len(found.values) == 0:
			return fmt.Errorf("the claim %s is not present", name)
		case len(c.anyOf) > 0 && !slices.ContainsFunc(c.anyOf, func(v string) bool { return found.set[v] }):
			return fmt.Errorf("the claim %s holds none of %s", name, list(c.anyOf))
		}
	}
	return nil
}

// isFor reports whether tokens that an entry verified may be meant by a policy's
// issuers and audiences.
func isFor(e Entry, issuers, audiences []string) bool {
	return (len(issuers) == 0 || slices.Contains(issuers, e.Issuer)) &&
		(len(audiences) == 0 || slices.ContainsFunc(e.Audiences, func(a string) bool { return slices.Contains(audiences, a) }))
}

func (r *Rules) pathOf(l labeled) Path { return r.paths[r.sources[l.source].path] }

// newBox makes a box of matchers, without those that allow everything.
func newBox(ms []Matcher) box {
	ms = slices.DeleteFunc(ms, Matcher.full)
	slices.SortFunc(ms, func(a, b Matcher) int { return strings.Compare(a.Label, b.Label) })
	return ms
}

// maxListed is how many names a message lists.
const maxListed = 10

// list writes names for a message.
func list(names []string) string {
	if more := len(names) - maxListed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxListed], ", "), more)
	}
	return strings.Join(names, ", ")
}
