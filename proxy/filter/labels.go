package filter

import (
	"github.com/go-json-experiment/json/jsontext"
)

// A state is what an element says of one enforced label.
type state int

const (
	absent  state = iota // nothing, or, of another label than the tenant's, that it is empty
	allowed              // a value that the label policy allows
	refused              // another value; an empty one of the tenant label is one
)

// A standing is what may be shown of an element.
type standing int

const (
	hidden standing = iota
	partly          // a rule: what its author wrote, and the alerts that are shown wholly
	wholly
)

// elementStanding is the standing of an element that is one series' or target's:
// it is shown when its labels match the whole label policy.
func (a *answer) elementStanding(states []state) standing {
	for i, s := range states {
		if s == refused || s == absent && !a.matchers[i].Missing {
			return hidden
		}
	}
	return wholly
}

// ruleStanding is the standing of a rule. What a rule does not say of itself its
// series may say differently, each for itself: so a rule is shown wholly only if
// it carries every enforced label itself.
//
//	tenant label   other enforced labels                  standing
//	allowed        all allowed                            wholly
//	allowed        some absent, which the policy allows   partly
//	absent         all allowed or absent                  partly, with tenancy.shared_rules
//	else                                                  hidden
func (a *answer) ruleStanding(states []state) standing {
	shared := a.view.SharedRules
	for i, m := range a.matchers {
		if m.Label == a.view.Labels.TenantLabel() && states[i] != absent {
			shared = false
		}
	}
	s := wholly
	for i, m := range a.matchers {
		switch {
		case states[i] == allowed:
		case states[i] == absent && (shared || m.Missing):
			s = partly
		default:
			return hidden
		}
	}
	return s
}

// maxLabelValue is longer than any value that a label policy lists.
const maxLabelValue = 1 << 10

// overlong stands for a value that is longer than maxLabelValue. It is no UTF-8,
// so it equals no listed value.
const overlong = "\xff"

// stateOf is what a value of the enforced label of matcher i says.
func (a *answer) stateOf(i int, value string) state {
	m := a.matchers[i]
	switch {
	case value == "" && m.Label != a.view.Labels.TenantLabel():
		return absent
	case value != "" && m.Allows(value):
		return allowed
	default:
		return refused
	}
}

// readLabels reads an element's label set into the element, and returns what it
// says of the enforced labels, valid until the next readLabels. The value of the
// label named title names the element in an error.
func (a *answer) readLabels(title string) ([]state, error) {
	states := a.noStates()
	c, err := a.peek()
	if err != nil || c == 'n' {
		return states, a.keepValue()
	}
	seen := uint64(0) // a label policy has at most 16 labels
	err = a.keeping(&a.element, func() error {
		return a.members(maxFieldName, func(name []byte, _ bool) (err error) {
			i := a.enforced(name)
			switch {
			case i < 0 && title != "" && string(name) == title:
				return a.readTitle()
			case i < 0:
				return a.value()
			case seen&(1<<i) != 0:
				return errTwice
			}
			seen |= 1 << i
			states[i], err = a.readState(i)
			return err
		})
	})
	return states, err
}

// noStates are the states of an element without labels, valid until the next call.
func (a *answer) noStates() []state {
	a.states = append(a.states[:0], make([]state, len(a.matchers))...)
	return a.states
}

// enforced returns the index of the matcher on a label, or -1.
func (a *answer) enforced(label []byte) int {
	for i := range a.matchers {
		if a.matchers[i].Label == string(label) {
			return i
		}
	}
	return -1
}

// readState reads the value of the enforced label of matcher i.
func (a *answer) readState(i int) (state, error) {
	value, whole, err := a.text(maxLabelValue)
	if err != nil {
		return refused, err
	}
	if !whole {
		return a.stateOf(i, overlong), nil
	}
	return a.stateOf(i, string(value)), nil
}

// statesOf is readLabels for a label set that is held, by jsontext.
func (a *answer) statesOf(labels jsontext.Value) ([]state, error) {
	states := a.noStates()
	if labels == nil || labels.Kind() == 'n' {
		return states, nil
	}
	var scratch [16]member
	members, err := a.split(scratch[:0], labels)
	if err != nil {
		return nil, err
	}
	for i, m := range a.matchers {
		value := find(members, m.Label)
		if value == nil {
			continue
		}
		text, err := a.unquote(value)
		if err != nil {
			return nil, err
		}
		states[i] = a.stateOf(i, string(text))
	}
	return states, nil
}
