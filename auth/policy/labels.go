package policy

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Matcher says which values of one label may be seen: the listed ones, or, if
// Negative, all but the listed ones. The empty value stands for a series without
// the label, as in PromQL, and is allowed only if Missing. It is plain data: that
// a Matcher belongs to an identity is shown by the [Labels] that holds it.
type Matcher struct {
	Label    string
	Negative bool
	Values   []string // sorted, without duplicates, none empty
	Missing  bool
}

// Allows reports whether a series with this value of the label may be seen; ""
// stands for a series without the label.
func (m Matcher) Allows(value string) bool {
	if value == "" {
		return m.Missing
	}
	return slices.Contains(m.Values, value) != m.Negative
}

// empty reports a set that holds nothing: no series could match it.
func (m Matcher) empty() bool { return !m.Negative && !m.Missing && len(m.Values) == 0 }

// full reports the set of everything, which needs no matcher.
func (m Matcher) full() bool { return m.Negative && m.Missing && len(m.Values) == 0 }

// equal reports whether both matchers allow the same values of the same label.
func (m Matcher) equal(o Matcher) bool {
	return m.Label == o.Label && m.Negative == o.Negative && m.Missing == o.Missing && slices.Equal(m.Values, o.Values)
}

// String writes the matcher as PromQL: ="a", =~"a|b", =~"a|b|" with missing,
// !~"prod|" for all but prod, !="prod" with missing, and !="" for every value.
func (m Matcher) String() string {
	alternatives := m.Values
	if m.Missing != m.Negative {
		alternatives = append(slices.Clip(alternatives), "") // the empty alternative last
	}
	operators := [2]string{"=", "!="}
	if len(alternatives) != 1 {
		operators = [2]string{"=~", "!~"}
		quoted := make([]string, len(alternatives))
		for i, v := range alternatives {
			quoted[i] = regexp.QuoteMeta(v)
		}
		alternatives = []string{strings.Join(quoted, "|")}
	}
	operator := operators[0]
	if m.Negative {
		operator = operators[1]
	}
	return m.Label + operator + strconv.Quote(alternatives[0])
}

// Labels is a label policy: what an identity is confined to, as one conjunction of
// matchers, at most one for each label and one on the tenant label always. Only
// this package makes one. The zero value allows nothing and is refused wherever a
// Labels is taken.
type Labels struct {
	tenant   string
	matchers []Matcher // sorted by label
	key      string
}

// newLabels makes the label policy of the given matchers. Matchers that allow
// everything are left out. It refuses what could show more than was meant: no
// matcher on the tenant label, two on one label, and one that no series can
// match, which as PromQL would read as its opposite.
func newLabels(tenantLabel string, ms []Matcher) (Labels, error) {
	l := Labels{tenant: tenantLabel}
	for _, m := range ms {
		switch {
		case m.empty():
			return Labels{}, fmt.Errorf("no value of the label %s", m.Label)
		case m.Label == tenantLabel && m.Missing:
			return Labels{}, errors.New("series without a tenant belong to nobody")
		case !m.full():
			l.matchers = append(l.matchers, m)
		}
	}
	slices.SortStableFunc(l.matchers, func(a, b Matcher) int { return cmp.Compare(a.Label, b.Label) })
	for i, m := range l.matchers[:max(0, len(l.matchers)-1)] {
		if m.Label == l.matchers[i+1].Label {
			return Labels{}, fmt.Errorf("two matchers on the label %s", m.Label)
		}
	}
	if _, ok := l.on(tenantLabel); !ok {
		return Labels{}, errors.New("no tenant")
	}
	l.key = key(l.matchers)
	return l, nil
}

// key is an unambiguous spelling of matchers: lengths stand before names, kinds
// and values, so that no value can be read as the end of another.
func key(ms []Matcher) string {
	var b strings.Builder
	for _, m := range ms {
		appendSized(&b, m.Label)
		kind := "="
		if m.Negative {
			kind = "!"
		}
		if m.Missing {
			kind += "?"
		}
		appendSized(&b, kind)
		b.WriteString(strconv.Itoa(len(m.Values)))
		b.WriteByte(';')
		for _, v := range m.Values {
			appendSized(&b, v)
		}
	}
	return b.String()
}

func appendSized(b *strings.Builder, s string) {
	b.WriteString(strconv.Itoa(len(s)))
	b.WriteByte(':')
	b.WriteString(s)
}

// on returns the matcher on a label.
func (l Labels) on(label string) (Matcher, bool) {
	for _, m := range l.matchers {
		if m.Label == label {
			return m, true
		}
	}
	return Matcher{}, false
}

// IsZero reports whether the label policy is the zero value, which allows nothing.
func (l Labels) IsZero() bool { return len(l.matchers) == 0 }

// Key is an unambiguous spelling of the label policy for keys of caches; "" for
// the zero value. It is computed once, when the label policy is made.
func (l Labels) Key() string { return l.key }

// TenantLabel is the label that names a series' tenant.
func (l Labels) TenantLabel() string { return l.tenant }

// Tenants returns the tenants whose series may be seen, sorted, in a slice of the
// caller's own, or that all of them may be. The zero value has neither.
func (l Labels) Tenants() (names []string, all bool) { return l.AppendTenants(nil) }

// AppendTenants appends them to names.
func (l Labels) AppendTenants(names []string) (_ []string, all bool) {
	m, _ := l.on(l.tenant)
	return append(names, m.Values...), m.Negative
}

// Matchers returns the matchers sorted by label, the tenant label's among them, in
// slices of the caller's own.
func (l Labels) Matchers() []Matcher {
	ms := slices.Clone(l.matchers)
	for i := range ms {
		ms[i].Values = slices.Clone(ms[i].Values)
	}
	return ms
}

// Allows holds the whole label policy against a series: value returns the series'
// value of a label, "" if it has none.
func (l Labels) Allows(value func(label string) string) bool {
	for _, m := range l.matchers {
		if !m.Allows(value(m.Label)) {
			return false
		}
	}
	return !l.IsZero()
}

// String writes the label policy as a PromQL selector, the tenant label first;
// "" for the zero value.
func (l Labels) String() string {
	if l.IsZero() {
		return ""
	}
	var texts []string
	for _, m := range l.matchers {
		if m.Label == l.tenant {
			texts = slices.Insert(texts, 0, m.String())
		} else {
			texts = append(texts, m.String())
		}
	}
	return "{" + strings.Join(texts, ",") + "}"
}

// WithoutTenants writes what the label policy says of other labels than the
// tenant's, as a PromQL selector; "" if it says nothing of them.
func (l Labels) WithoutTenants() string {
	var texts []string
	for _, m := range l.matchers {
		if m.Label != l.tenant {
			texts = append(texts, m.String())
		}
	}
	if len(texts) == 0 {
		return ""
	}
	return "{" + strings.Join(texts, ",") + "}"
}
