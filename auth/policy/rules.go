package policy

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Rules are policies, ready to be held against tokens. It is safe for concurrent use.
type Rules struct {
	options Options
	paths   []Path // of all claims that any policy looks at, each once
	sources []source
	rules   []*rule // sorted by name
	index   index
}

// A rule is one policy.
type rule struct {
	name               string
	issuers, audiences []string // empty: any
	when               []condition
	onlyWhenNamed      bool
	allTenants         bool
	silences           bool      // may be written
	writes             bool      // the decision endpoint gives the scope write
	fixed              box       // the labels that do not depend on claims
	claimed            []labeled // and those that do
	limits             Limits
}

// A condition holds for claims with one of the values, or with any if there are none.
type condition struct {
	path  int // in Rules.paths
	anyOf []string
}

// A labeled source gives the values of one label.
type labeled struct {
	label  string
	source int // in Rules.sources
}

// A source turns a claim's values into a label's. Policies that turn the same claim
// in the same way share one, so that it is asked once for each token.
type source struct {
	path       int // in Rules.paths
	strip, add string
	byMap      map[string][]string // instead of both, if not nil
	allowed    map[string]bool     // nil: all
	like       string              // equal for equal sources
}

// New checks all policies and reports all mistakes at once, as [Mistakes].
func New(o Options) (*Rules, error) {
	if wrong := check(o); len(wrong) > 0 {
		return nil, wrong
	}
	r := &Rules{options: o}
	for _, p := range o.Policies {
		rule, err := r.compile(p)
		if err != nil {
			return nil, err
		}
		r.rules = append(r.rules, rule)
	}
	slices.SortFunc(r.rules, func(a, b *rule) int { return strings.Compare(a.name, b.name) })
	r.index = newIndex(r)
	return r, nil
}

// compile takes a policy that has been checked.
func (r *Rules) compile(p Policy) (*rule, error) {
	out := &rule{
		name: p.Name, issuers: p.Issuers, audiences: p.Audiences, allTenants: p.grantsAllTenants(r.options.TenantLabel),
		limits: p.Limits.over(r.options.Limits), silences: p.Silences == SilencesWrite, writes: slices.Contains(p.Scopes, Write),
	}
	out.onlyWhenNamed = out.allTenants
	set(&out.onlyWhenNamed, p.OnlyWhenNamed)
	for _, c := range p.When {
		path, err := r.path(c.Claim)
		if err != nil {
			return nil, err
		}
		out.when = append(out.when, condition{path: path, anyOf: unique(c.AnyOf)})
	}
	for _, l := range p.Labels {
		if l.Claim == "" {
			out.fixed = append(out.fixed, l.matcher(r.options.TenantLabel))
			continue
		}
		source, err := r.source(l)
		if err != nil {
			return nil, err
		}
		out.claimed = append(out.claimed, labeled{l.Label, source})
	}
	return out, nil
}

// matcher returns what an entry without a claim grants. All tenants are every value,
// but not a missing one: what carries no tenant is nobody's.
func (l Label) matcher(tenantLabel string) Matcher {
	m := Matcher{Label: l.Label, Values: unique(l.Values), Missing: l.Missing}
	switch {
	case l.Any:
		m = Matcher{Label: l.Label, Negative: true, Missing: l.Label != tenantLabel}
	case l.Except != nil:
		m.Negative, m.Values = true, unique(l.Except)
	}
	return m
}

func (p Policy) grantsAllTenants(tenantLabel string) bool {
	return slices.ContainsFunc(p.Labels, func(l Label) bool { return l.Any && l.Label == tenantLabel })
}

// path returns the position of a claim in r.paths.
func (r *Rules) path(claim string) (int, error) {
	p, err := ParsePath(claim)
	if err != nil {
		return 0, err
	}
	same := func(q Path) bool { return q.each == p.each && slices.Equal(q.members, p.members) }
	if i := slices.IndexFunc(r.paths, same); i >= 0 {
		return i, nil
	}
	r.paths = append(r.paths, p)
	return len(r.paths) - 1, nil
}

// source returns the position in r.sources of what an entry with a claim does.
func (r *Rules) source(l Label) (int, error) {
	path, err := r.path(l.Claim)
	if err != nil {
		return 0, err
	}
	s := source{path: path, strip: l.StripPrefix, add: l.AddPrefix}
	if l.Map != nil {
		s.byMap = make(map[string][]string, len(l.Map))
		for _, m := range l.Map {
			s.byMap[m.From] = m.To
		}
	}
	if l.Allowed != nil {
		s.allowed = make(map[string]bool, len(l.Allowed))
		for _, v := range l.Allowed {
			s.allowed[v] = true
		}
	}
	s.like = l.spelling(path)
	if i := slices.IndexFunc(r.sources, func(t source) bool { return t.like == s.like }); i >= 0 {
		return i, nil
	}
	r.sources = append(r.sources, s)
	return len(r.sources) - 1, nil
}

// spelling is equal for entries that turn the same claim in the same way.
func (l Label) spelling(path int) string {
	var b strings.Builder
	list := func(values []string) {
		fmt.Fprintf(&b, "%t%d;", values != nil, len(values))
		for _, v := range values {
			appendSized(&b, v)
		}
	}
	list([]string{strconv.Itoa(path), l.StripPrefix, l.AddPrefix})
	list(l.Allowed)
	fmt.Fprintf(&b, "%t", l.Map != nil)
	for _, m := range l.Map {
		appendSized(&b, m.From)
		list(m.To)
	}
	hash := sha256.Sum256([]byte(b.String())) // a map may be long
	return string(hash[:])
}

// The reasons why a value of a claim is not a value of a label.
var (
	errPrefix     = errors.New("does not begin with strip_prefix")
	errOnlyPrefix = errors.New("is nothing but strip_prefix")
	errNoMapping  = errors.New("is no from of map")
	errNotAllowed = errors.New("is not allowed")
)

// values turns a claim's values into a label's, sorted. leftOut is called for each
// that cannot be used, and counts it.
func (s source) values(claim []string, leftOut func(value string, why error)) []string {
	var out []string
	for _, v := range claim {
		made, err := s.turn(v)
		if err != nil {
			leftOut(v, err)
		}
		for _, m := range made {
			if err := s.takes(m); err != nil {
				leftOut(v, err)
				continue
			}
			out = append(out, m)
		}
	}
	return unique(out)
}

// turn undoes and adds prefixes, or looks a value up.
func (s source) turn(v string) ([]string, error) {
	if s.byMap != nil {
		to, ok := s.byMap[v]
		if !ok {
			return nil, errNoMapping
		}
		return to, nil
	}
	rest, ok := strings.CutPrefix(v, s.strip)
	switch {
	case !ok:
		return nil, errPrefix
	case rest == "":
		return nil, errOnlyPrefix
	}
	return []string{s.add + rest}, nil
}

// takes reports why a value is not taken for the label.
func (s source) takes(v string) error {
	if s.allowed != nil && !s.allowed[v] {
		return errNotAllowed
	}
	return CheckValue(v)
}
