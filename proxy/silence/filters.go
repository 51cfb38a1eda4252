package silence

import (
	"regexp"
	"regexp/syntax"

	"github.com/prometheus/alertmanager/matcher/parse"
	"github.com/prometheus/alertmanager/pkg/labels"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/promql/regexcost"
)

// Filters returns the filter parameters to send for alerts: the caller's, spelled
// afresh, and the label policy's. They choose among elements all of which are looked
// at again when the answer comes.
func (limits Limits) Filters(sent []string, l policy.Labels) ([]string, error) {
	all, err := limits.Respell(sent)
	if err != nil {
		return nil, err
	}
	for _, p := range l.Matchers() {
		m := spelled(p)
		kind := labels.MatchEqual
		switch {
		case m.IsRegex && m.negative():
			kind = labels.MatchNotRegexp
		case m.IsRegex:
			kind = labels.MatchRegexp
		case m.negative():
			kind = labels.MatchNotEqual
		}
		again, err := respelled(&labels.Matcher{Type: kind, Name: m.Name, Value: m.Value})
		if err != nil {
			return nil, err
		}
		all = append(all, again)
	}
	return all, nil
}

// Respell returns the caller's filter parameters, spelled afresh. Alone they are for
// silences, which Alertmanager holds against a filter by the text of their matchers: a
// label policy's own matcher would find only those that are spelled like it.
func (limits Limits) Respell(sent []string) ([]string, error) {
	if len(sent) > limits.Matchers {
		return nil, apierr.BadData("too many filter parameters: at most %d are accepted", limits.Matchers)
	}
	all := make([]string, 0, len(sent)+1)
	for _, text := range sent {
		m, err := parseFilter(text, limits)
		if err != nil {
			return nil, err
		}
		again, err := respelled(m)
		if err != nil {
			return nil, err
		}
		all = append(all, again)
	}
	return all, nil
}

// CheckPattern refuses a regular expression that is too costly, or none.
func (limits Limits) CheckPattern(pattern string) error {
	if len(pattern) > limits.Bytes {
		return apierr.BadData("a regular expression is longer than %d bytes", limits.Bytes)
	}
	if err := affordable(pattern); err != nil {
		return err
	}
	if _, err := syntax.Parse(pattern, syntax.Perl); err != nil {
		return apierr.BadData("a regular expression is none: %v", err)
	}
	return nil
}

// parseFilter reads a filter with Alertmanager's grammar (UTF-8) or, where that
// cannot read it, with the older one. Which of them an Alertmanager uses is its
// setting, so a text that both read and understand differently is refused.
func parseFilter(text string, limits Limits) (*labels.Matcher, error) {
	if len(text) > 2*limits.Bytes {
		return nil, apierr.BadData("a filter is longer than %d bytes", 2*limits.Bytes)
	}
	if pattern := anyPattern.FindStringSubmatch(text); pattern != nil {
		if err := affordable(pattern[1]); err != nil {
			return nil, err
		}
	}
	m, err := parse.Matcher(text)
	classic, classicErr := labels.ParseMatcher(text)
	switch {
	case err != nil && classicErr != nil:
		return nil, apierr.BadData("invalid parameter \"filter\": %v", err)
	case err != nil:
		return classic, nil
	case classicErr == nil && !same(m, classic):
		return nil, apierr.BadData("invalid parameter \"filter\": older and newer Alertmanagers read it differently; put its value into double quotes")
	}
	return m, nil
}

// anyPattern finds what may be a regular expression, before a parser compiles it.
var anyPattern = regexp.MustCompile(`(?s)[=!]~\s*(.*)$`)

// affordable refuses a pattern that is too costly to compile.
func affordable(pattern string) error {
	if regexcost.Size(pattern) > maxPattern {
		return apierr.BadData("a regular expression is too costly")
	}
	return nil
}

// maxPattern is a tenth of what a whole query may cost: a silence is compiled again
// whenever Alertmanager starts.
const maxPattern = regexcost.Max / 10

func same(a, b *labels.Matcher) bool {
	return a.Type == b.Type && a.Name == b.Name && a.Value == b.Value
}

// respelled prints a matcher so that each grammar that can read it reads it as it
// was meant.
func respelled(m *labels.Matcher) (string, error) {
	text := m.String()
	again, err := parse.Matcher(text)
	if err != nil || !same(m, again) {
		return "", apierr.Internal(errNotConfined)
	}
	if classic, err := labels.ParseMatcher(text); err == nil && !same(m, classic) {
		return "", apierr.Internal(errNotConfined)
	}
	return text, nil
}
