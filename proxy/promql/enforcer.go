package promql

import (
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus-community/prom-label-proxy/injectproxy"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/apierr"
)

// maxPolicyBytes bounds a label policy as text: it stands in every selector.
const maxPolicyBytes = 16 << 10

var errNoPolicy = errors.New("no label policy to enforce")

// An Enforcer writes one label policy into queries. [Enforcers.For] makes it; the
// zero value refuses every text. It is safe for concurrent use.
type Enforcer struct {
	labels     policy.Labels
	matchers   []enforcedMatcher // sorted by label
	wanted     []*labels.Matcher // the same, for the verification
	everything string
	reject     bool
	cache      *textCache
}

// An enforcedMatcher is the matcher of one label: as the policy has it, as PromQL
// has it, and as the library that adds it to a selector.
type enforcedMatcher struct {
	*labels.Matcher
	policy  policy.Matcher
	library *injectproxy.PromQLEnforcer
}

func newEnforcer(l policy.Labels, rejectConflicts bool) (*Enforcer, error) {
	if l.IsZero() {
		return nil, apierr.Internal(errNoPolicy)
	}
	e := &Enforcer{labels: l, reject: rejectConflicts}
	for _, p := range l.Matchers() {
		m, err := newMatcher(p)
		if err != nil {
			return nil, apierr.Internal(err)
		}
		e.wanted = append(e.wanted, m)
		// One library for each label: with several it would add them in any order.
		e.matchers = append(e.matchers, enforcedMatcher{m, p, injectproxy.NewPromQLEnforcer(false, m)})
	}
	var err error
	if e.everything, err = e.spellSelector(nil, e.wanted); err != nil {
		return nil, err
	}
	if len(e.everything) > maxPolicyBytes {
		return nil, apierr.New(http.StatusForbidden, "the token names too many values: what it may see takes more than %d bytes as a selector", maxPolicyBytes)
	}
	return e, nil
}

// newMatcher spells a policy's matcher as PromQL. The empty alternative stands for
// a series without the label: a matcher that wants the label excludes it, and one
// that lists values takes it in only if the policy says so.
func newMatcher(p policy.Matcher) (*labels.Matcher, error) {
	values := slices.Clone(p.Values)
	if p.Missing != p.Negative {
		values = append(values, "")
	}
	if len(values) == 0 {
		return nil, errors.New("a matcher without values")
	}
	one, several := labels.MatchEqual, labels.MatchRegexp
	if p.Negative {
		one, several = labels.MatchNotEqual, labels.MatchNotRegexp
	}
	if len(values) == 1 {
		return labels.NewMatcher(one, p.Label, values[0])
	}
	for i, v := range values {
		values[i] = regexp.QuoteMeta(v)
	}
	return labels.NewMatcher(several, p.Label, strings.Join(values, "|"))
}

// Labels is the label policy; the zero Labels for the zero Enforcer and for none.
func (e *Enforcer) Labels() policy.Labels {
	if e == nil {
		return policy.Labels{}
	}
	return e.labels
}

// Everything is the selector of all that the label policy allows; "" for the zero
// Enforcer.
func (e *Enforcer) Everything() string { return e.everything }

// Enforce returns a selector's matchers with the enforced ones among them, each
// exactly once. The caller's own matchers on enforced labels are kept aside, since
// the library would replace them.
func (e *Enforcer) Enforce(original []*labels.Matcher, b *Budget) ([]*labels.Matcher, error) {
	if len(e.matchers) == 0 {
		return nil, apierr.Internal(errNoPolicy)
	}
	enforced := make([]*labels.Matcher, 0, len(original)+len(e.matchers))
	var aside []*labels.Matcher
	for _, o := range original {
		m := e.on(o.Name)
		if m == nil {
			enforced = append(enforced, o)
			continue
		}
		if err := e.admit(o, m, b); err != nil {
			return nil, err
		}
		if !sameMatcher(o, m.Matcher) {
			aside = append(aside, o)
		}
	}
	for _, m := range e.matchers {
		var err error
		if enforced, err = m.library.EnforceMatchers(enforced); err != nil {
			return nil, apierr.Internal(err)
		}
	}
	return append(enforced, aside...), nil
}

// on returns the enforced matcher of a label, or nil.
func (e *Enforcer) on(label string) *enforcedMatcher {
	for i := range e.matchers {
		if e.matchers[i].Name == label {
			return &e.matchers[i]
		}
	}
	return nil
}

// Holds reports whether got is the original matchers and each enforced one exactly
// once.
func (e *Enforcer) Holds(original, got []*labels.Matcher) bool {
	return len(e.wanted) > 0 && enforcedOnce(e.wanted, original, got)
}

// ErrConflict is the cause of a refusal of a caller's matcher that can select nothing
// of what they may see.
var ErrConflict = errors.New("a matcher conflicts with the label policy")

// admit notes, or refuses where that is set, a caller's matcher that fits nothing
// which the label policy allows for its label. Matchers are looked at one by one.
// One that is too costly to look at is refused only where conflicts are.
func (e *Enforcer) admit(o *labels.Matcher, m *enforcedMatcher, b *Budget) error {
	if err := b.chargeMatching(o, m.policy.Values); err != nil {
		if e.reject {
			return err
		}
		return nil
	}
	if fits(o, m.policy) {
		return nil
	}
	if e.reject {
		selected := "nothing that you may see"
		if o.Name == e.labels.TenantLabel() {
			selected = "none of your tenants"
		}
		return apierr.New(http.StatusForbidden, "the matcher %s selects %s", apierr.Clip(o.String()), selected).Because(ErrConflict)
	}
	b.noteConflict(e.conflictOf(o))
	return nil
}

// conflictOf says what a caller's matcher has to do with an empty answer.
func (e *Enforcer) conflictOf(o *labels.Matcher) string {
	if o.Name == e.labels.TenantLabel() {
		return apierr.Clip(o.String()) + " matches none of your tenants"
	}
	return apierr.Clip(o.String()) + " matches nothing that you may see"
}

// fits reports whether a matcher may match a value that a policy allows. Of a list
// of values each is tried. Where all values but some are allowed, the matcher must
// only be shown not to be confined to those; when in doubt it fits, because the
// enforced matcher stands beside it anyway.
func fits(o *labels.Matcher, p policy.Matcher) bool {
	if !p.Negative {
		return slices.ContainsFunc(p.Values, o.Matches) || p.Missing && o.Matches("")
	}
	values, confined := confinedTo(o)
	return !confined || slices.ContainsFunc(values, p.Allows)
}

// confinedTo returns the only values that a matcher can match, if they are few.
func confinedTo(o *labels.Matcher) (values []string, confined bool) {
	switch o.Type {
	case labels.MatchEqual:
		return []string{o.Value}, true
	case labels.MatchRegexp:
		values = o.SetMatches()
		if o.Value == "" {
			values = []string{""}
		}
		return values, len(values) > 0
	case labels.MatchNotRegexp:
		switch o.Value {
		case ".+":
			return []string{""}, true
		case ".*":
			return nil, true
		}
	}
	return nil, false
}
