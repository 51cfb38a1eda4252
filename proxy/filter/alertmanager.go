package filter

import (
	"io"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// ActiveAlerts shows the alerts of Alertmanager whose labels match the label policy.
// Of an alert only named members pass, of its receivers their names, and of what
// suppresses it what the identity may see by itself: see writeStatus.
func ActiveAlerts(dst io.Writer, src io.Reader, v View) error {
	f, err := newAlertsFilter(dst, src, v)
	if err != nil {
		return err
	}
	return f.bare(func() error {
		f.write(`[`)
		n := 0
		err := f.alerts(func() { f.comma(n); n++ })
		f.write(`]`)
		return err
	})
}

// AlertGroups shows Alertmanager's groups around the alerts that ActiveAlerts shows. A
// group's labels are those of each of its alerts. Its route's are settings, and stay
// empty.
func AlertGroups(dst io.Writer, src io.Reader, v View) error {
	f, err := newAlertsFilter(dst, src, v)
	if err != nil {
		return err
	}
	return f.bare(func() error {
		f.write(`[`)
		n := 0
		err := f.array(func() error { return f.group(&n) })
		f.write(`]`)
		return err
	})
}

// Receivers turns an answer with alerts into the names of the receivers of those that
// ActiveAlerts shows, sorted.
func Receivers(dst io.Writer, src io.Reader, v View) error {
	f, err := newAlertsFilter(dst, src, v)
	if err != nil {
		return err
	}
	return f.bare(func() error {
		names := Names{}
		err := f.array(func() error {
			members, err := f.shown()
			if err != nil || members == nil {
				return err
			}
			f.receivers, err = f.list(f.receivers[:0], find(members, "receivers"))
			for _, r := range f.receivers {
				name, nameErr := f.receiverName(r)
				if err = nameErr; err != nil {
					return err
				}
				names[string(name)] = true
			}
			return err
		})
		f.write(`[`)
		for i, name := range names.sorted() {
			f.comma(i)
			f.write(`{"name":` + name + `}`)
		}
		f.write(`]`)
		return err
	})
}

// ReadFingerprints reads the fingerprints of the alerts that ActiveAlerts shows.
func ReadFingerprints(src io.Reader, v View) (Names, error) {
	f, err := newAlertsFilter(io.Discard, src, v)
	if err != nil {
		return nil, err
	}
	names := Names{}
	err = f.bare(func() error {
		return f.array(func() error {
			members, err := f.shown()
			if err != nil || members == nil {
				return err
			}
			return f.note(names, find(members, "fingerprint"))
		})
	})
	return names, err
}

// bare walks an answer without an envelope.
func (a *answer) bare(data func() error) error {
	err := data()
	if err == nil {
		err = a.end()
	}
	if err != nil {
		return a.explain(err)
	}
	return a.out.Flush()
}

// maxNoted bounds the ids that are held for one answer.
const maxNoted = 100_000

// note keeps a name.
func (a *answer) note(names Names, quoted jsontext.Value) error {
	name, err := a.unquote(quoted)
	if err == nil && len(names) >= maxNoted {
		err = badAnswer("it has too many elements")
	}
	if err == nil {
		names[string(name)] = true
	}
	return err
}

// sorted returns the names, or texts of JSON.
func (n Names) sorted() []string {
	all := make([]string, 0, len(n))
	for name := range n {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

type alertsFilter struct {
	*answer

	// Scratch of one alert, and of one group.
	status, receiver []member
	receivers, ids   []jsontext.Value
	fields           hold
}

func newAlertsFilter(dst io.Writer, src io.Reader, v View) (*alertsFilter, error) {
	a, err := newAnswer(dst, src, v)
	return &alertsFilter{answer: a}, err
}

// shown returns the members of the alert that comes next, or nil if it is not shown.
func (f *alertsFilter) shown() ([]member, error) {
	element, err := f.read(alerts, nil)
	if err != nil || element == nil {
		return nil, err
	}
	members, shown, err := f.membersOf(element, alertLabels)
	if err != nil || !shown {
		return nil, err
	}
	return members, nil
}

// alerts writes the alerts of the array that comes next that are shown, and calls
// before ahead of each.
func (f *alertsFilter) alerts(before func()) error {
	return f.array(func() error {
		members, err := f.shown()
		if err != nil || members == nil {
			return err
		}
		before()
		return f.writeAlert(members)
	})
}

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
	}{{"inhibitedBy", f.view.Fingerprints}, {"mutedBy", nil}, {"silencedBy", f.view.Silences}} {
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

// group copies a group if one of its alerts is shown. Its other members wait until
// the group's end.
func (f *alertsFilter) group(groups *int) error {
	f.fields = hold{bytes: f.fields.bytes[:0]}
	f.fields.add([]byte{'{'})
	shown, held := 0, 0
	err := f.object(func(name string) error {
		switch name {
		case "alerts":
			return f.alerts(func() {
				if shown == 0 {
					f.comma(*groups)
					*groups++
					f.write(`{"alerts":[`)
				} else {
					f.write(`,`)
				}
				shown++
			})
		case "labels", "receiver":
			if held++; held > 1 {
				f.fields.add([]byte{','})
			}
			f.fields.add([]byte(`"` + name + `":`))
			return f.keeping(&f.fields, f.value)
		default:
			return f.value()
		}
	})
	if err != nil || shown == 0 {
		return err
	}
	f.fields.add([]byte{'}'})
	if f.fields.over {
		return oversized("a group of alerts without its alerts")
	}
	members, err := f.split(f.scratch[:0], jsontext.Value(f.fields.bytes[f.fields.from:]))
	if err != nil {
		return err
	}
	name, err := f.receiverName(find(members, "receiver"))
	if err != nil {
		return err
	}
	labels := find(members, "labels")
	if labels.Kind() != '{' {
		return badAnswer("a group has no labels")
	}
	f.write(`],"labels":`)
	f.writeBytes(labels)
	f.write(`,"receiver":{"name":`)
	f.writeBytes(name)
	f.write(`},"routeLabels":{}}`)
	return nil
}
