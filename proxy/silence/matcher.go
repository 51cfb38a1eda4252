package silence

import (
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/apierr"
)

// A matcher is one of a silence, as Alertmanager's API spells it. IsEqual is
// true where it is missing.
type matcher struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	IsRegex bool   `json:"isRegex"`
	IsEqual *bool  `json:"isEqual,omitempty"`
}

func (m matcher) negative() bool { return m.IsEqual != nil && !*m.IsEqual }

// words returns the values that a matcher can match, if that is a list: of an
// equality its value, of a pattern its alternatives, when it is nothing but plain
// words between bars. "" stands for a label that is missing.
func (m matcher) words() ([]string, bool) {
	if m.negative() {
		return nil, false
	}
	if !m.IsRegex {
		return []string{m.Value}, true
	}
	text := m.Value
	for _, open := range []string{"(?:", "("} {
		if inner, ok := strings.CutPrefix(text, open); ok && strings.HasSuffix(inner, ")") {
			text = strings.TrimSuffix(inner, ")")
			break
		}
	}
	var all []string
	for part := range strings.SplitSeq(text, "|") {
		word, ok := plainWord(part)
		if !ok {
			return nil, false
		}
		all = append(all, word)
	}
	return all, true
}

// plainWord reads a pattern without any operator: characters that stand for
// themselves, and punctuation behind a backslash.
func plainWord(pattern string) (string, bool) {
	var word strings.Builder
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		if c == '\\' {
			if i++; i == len(pattern) || !strings.ContainsRune(operators+punctuation, rune(pattern[i])) {
				return "", false
			}
			c = pattern[i]
		} else if strings.IndexByte(operators, c) >= 0 {
			return "", false
		}
		word.WriteByte(c)
	}
	return word.String(), true
}

const (
	operators   = `\.+*?()|[]{}^$`
	punctuation = `-_/:,;=!"'#%&<>@~` + "`"
)

// confined reports whether a matcher can match nothing but what the policy allows
// on its label.
func confined(m matcher, p policy.Matcher) bool {
	words, ok := m.words()
	if !ok {
		return false
	}
	return len(words) > 0 && !slices.ContainsFunc(words, func(w string) bool { return !p.Allows(w) })
}

// visible reports whether a silence with these matchers can match nothing but what
// the policy allows: on each label of the policy, one of its matchers sees to that.
func visible(matchers []matcher, l policy.Labels) bool {
	if l.IsZero() {
		return false
	}
	for _, p := range l.Matchers() {
		if !slices.ContainsFunc(matchers, func(m matcher) bool {
			return m.Name == p.Label && (confined(m, p) || sameAs(m, p))
		}) {
			return false
		}
	}
	return true
}

// sameAs recognizes the policy's own matcher, as narrowed has spelled it.
func sameAs(m matcher, p policy.Matcher) bool {
	want := spelled(p)
	return m.Name == want.Name && m.Value == want.Value && m.IsRegex == want.IsRegex && m.negative() == want.negative()
}

// spelled is a policy's matcher in Alertmanager's words (policies: equality for
// one value, an alternation of quoted words for several, the missing one last).
func spelled(p policy.Matcher) matcher {
	quoted := make([]string, 0, len(p.Values)+1)
	for _, v := range p.Values {
		quoted = append(quoted, regexp.QuoteMeta(v))
	}
	m := matcher{Name: p.Label}
	// An exception lists the missing label when a series without it is excluded.
	empty := p.Missing != p.Negative
	switch {
	case len(p.Values) == 1 && !empty:
		m.Value = p.Values[0]
	case len(p.Values) == 0 && empty:
	default:
		if empty {
			quoted = append(quoted, "")
		}
		m.Value, m.IsRegex = strings.Join(quoted, "|"), true
	}
	equal := !p.Negative
	m.IsEqual = &equal
	return m
}

// narrowed returns a silence's matchers with the policy's among them, or says why
// the silence would match more than its author may see.
func narrowed(sent []matcher, l policy.Labels) ([]matcher, error) {
	if l.IsZero() {
		return nil, apierr.New(http.StatusForbidden, "there is nothing that you may silence")
	}
	all := slices.Clone(sent)
	for _, p := range l.Matchers() {
		named := false
		for i, m := range all {
			if m.Name != p.Label {
				continue
			}
			if !confined(m, p) {
				return nil, apierr.New(http.StatusForbidden,
					"the matcher on %s can match more than you may see: want %s=\"…\" with a value of yours", p.Label, p.Label)
			}
			if p.Label == l.TenantLabel() {
				words, _ := m.words()
				if slices.Sort(words); len(slices.Compact(words)) != 1 {
					return nil, oneTenant(p.Label)
				}
				all[i] = equality(p.Label, words[0])
			}
			named = true
		}
		switch names, every := l.Tenants(); {
		case named:
		case p.Label != l.TenantLabel():
			all = append(all, spelled(p))
		case every || len(names) != 1:
			return nil, oneTenant(p.Label)
		default:
			all = append(all, equality(p.Label, names[0]))
		}
	}
	if !visible(all, l) { // what was just written, seen by the other side's eyes
		return nil, apierr.Internal(errNotConfined)
	}
	return all, nil
}

func equality(name, value string) matcher {
	equal := true
	return matcher{Name: name, Value: value, IsEqual: &equal}
}

func oneTenant(label string) error {
	return apierr.New(http.StatusBadRequest, "a silence is one tenant's: add the matcher %s=\"…\" with the name of one of yours", label)
}
