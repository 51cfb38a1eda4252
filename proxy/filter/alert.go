package filter

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// alertMembers are those that pass as they are.
var alertMembers = []string{"annotations", "endsAt", "fingerprint", "startsAt", "updatedAt", "generatorURL", alertLabels}

func (f *alertsFilter) writeAlert(members []member) error {
	f.write(`{`)
	n := 0
	for _, m := range members {
		name := string(m.name)
		if name != "status" && name != "receivers" && !slices.Contains(alertMembers, name) {
			continue
		}
		f.comma(n)
		n++
		f.write(`"` + name + `":`)
		var err error
		switch name {
		case "status":
			err = f.writeStatus(m.value)
		case "receivers":
			err = f.writeReceivers(m.value)
		default:
			f.writeBytes(m.value)
		}
		if err != nil {
			return err
		}
	}
	f.write(`}`)
	return nil
}

// writeReceivers writes the names of an alert's receivers.
func (f *alertsFilter) writeReceivers(value jsontext.Value) (err error) {
	if f.receivers, err = f.list(f.receivers[:0], value); err != nil {
		return err
	}
	f.write(`[`)
	for i, r := range f.receivers {
		name, err := f.receiverName(r)
		if err != nil {
			return err
		}
		f.comma(i)
		f.write(`{"name":`)
		f.writeBytes(name)
		f.write(`}`)
	}
	f.write(`]`)
	return nil
}

// receiverName returns a receiver's name, quoted.
func (f *alertsFilter) receiverName(value jsontext.Value) (name jsontext.Value, err error) {
	if f.receiver, err = f.split(f.receiver[:0], value); err != nil {
		return nil, err
	}
	if name = find(f.receiver, "name"); name.Kind() != '"' {
		return nil, badAnswer("a receiver has no name")
	}
	return name, nil
}

// alertStates are Alertmanager's.
var alertStates = []string{`"unprocessed"`, `"active"`, `"suppressed"`}

// writeStatus writes an alert's status. That it is suppressed is a fact about the
// identity's own alert. What suppresses it may be somebody else's: the silence of an
// operator, or an alert that inhibits it. Its id passes only if the identity may see
// it. mutedBy names time intervals of the alert's own routes.
func (f *alertsFilter) writeStatus(value jsontext.Value) (err error) {
	if f.status, err = f.split(f.status[:0], value); err != nil {
		return err
	}
	state := find(f.status, "state")
	if !slices.Contains(alertStates, string(state)) {
		return badAnswer("an alert has no known state")
	}
	f.write(`{`)
	for _, list := range []struct {
		name  string
		known func() (Names, error) // nil: all pass
	}{{"inhibitedBy", f.view.Fingerprints}, {"mutedBy", nil}, {"silencedBy", f.view.SilenceIDs}} {
		f.write(`"` + list.name + `":`)
		if err := f.writeIDs(find(f.status, list.name), list.name != "mutedBy", list.known); err != nil {
			return err
		}
		f.write(`,`)
	}
	f.write(`"state":`)
	f.writeBytes(state)
	f.write(`}`)
	return nil
}

// writeIDs writes those ids of a list that are known. Who does not say which are
// known knows none.
func (f *alertsFilter) writeIDs(value jsontext.Value, chosen bool, known func() (Names, error)) (err error) {
	f.write(`[`)
	if f.ids = f.ids[:0]; value != nil {
		if f.ids, err = f.list(f.ids, value); err != nil {
			return err
		}
	}
	var names Names
	if chosen && known != nil && len(f.ids) > 0 {
		if names, err = known(); err != nil {
			return err
		}
	}
	n := 0
	for _, id := range f.ids {
		text, err := f.unquote(id)
		if err != nil {
			return err
		}
		if chosen && !names[string(text)] {
			continue
		}
		f.comma(n)
		n++
		f.writeBytes(id)
	}
	f.write(`]`)
	return nil
}
