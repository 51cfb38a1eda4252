package policy

import (
	"errors"
	"slices"
)

// ForTenant is the label policy with one of its tenants alone.
func (l Labels) ForTenant(name string) (Labels, error) {
	m, ok := l.on(l.tenant)
	if !ok || !m.Allows(name) {
		return Labels{}, errors.New("a tenant that the label policy does not allow")
	}
	ms := slices.DeleteFunc(l.Matchers(), func(m Matcher) bool { return m.Label == l.tenant })
	return newLabels(l.tenant, append(ms, Matcher{Label: l.tenant, Values: []string{name}}))
}

// Forbidden writes what the label policy forbids of its tenants' series, as PromQL
// selectors: one for each other label, of the values that it does not allow. There is
// none if it confines nothing but the tenants.
func (l Labels) Forbidden() (selectors []string) {
	tenants, ok := l.on(l.tenant)
	for _, m := range l.matchers {
		if ok && m.Label != l.tenant {
			m.Negative, m.Missing = !m.Negative, !m.Missing
			selectors = append(selectors, "{"+tenants.String()+","+m.String()+"}")
		}
	}
	return selectors
}
