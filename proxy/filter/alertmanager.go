package filter

import (
	"io"
	"maps"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// ActiveAlerts shows the alerts of Alertmanager whose labels match the label policy.
// Of an alert only named members pass, of its receivers their names, and of what
// suppresses it what the identity may see by itself: see writeStatus.
func (v View) ActiveAlerts(dst io.Writer, src io.Reader) error {
	f, err := newAlertsFilter(dst, src, v)
	if err != nil {
		return err
	}
	return f.bareArray(func(n *int) error { return f.alert(func() { f.comma(*n); *n++ }) })
}

// AlertGroups shows Alertmanager's groups around the alerts that ActiveAlerts shows. A
// group's labels are those of each of its alerts. Its route's are settings, and stay
// empty.
func (v View) AlertGroups(dst io.Writer, src io.Reader) error {
	f, err := newAlertsFilter(dst, src, v)
	if err != nil {
		return err
	}
	return f.bareArray(f.group)
}

// Receivers turns an answer with alerts into the names of the receivers of those that
// ActiveAlerts shows, sorted.
func (v View) Receivers(dst io.Writer, src io.Reader) error {
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
		for i, name := range slices.Sorted(maps.Keys(names)) {
			f.comma(i)
			f.write(`{"name":` + name + `}`)
		}
		f.write(`]`)
		return err
	})
}

// ReadFingerprints reads the fingerprints of the alerts that ActiveAlerts shows.
func (v View) ReadFingerprints(src io.Reader) (Names, error) {
	f, err := newAlertsFilter(io.Discard, src, v)
	if err != nil {
		return nil, err
	}
	return f.readIDs(f.shown, "fingerprint")
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

// bareArray copies an answer that is an array, without an envelope: copyNext writes what is
// shown of the element that comes next, and counts it.
func (a *answer) bareArray(copyNext func(written *int) error) error {
	return a.bare(func() error {
		a.write(`[`)
		n := 0
		err := a.array(func() error { return copyNext(&n) })
		a.write(`]`)
		return err
	})
}

// maxIDs bounds the ids that are held for one answer.
const maxIDs = 100_000

// readIDs reads, of an answer that is an array, a text of each element that is shown.
func (a *answer) readIDs(shown func() ([]member, error), of string) (Names, error) {
	ids := Names{}
	err := a.bare(func() error {
		return a.array(func() error {
			members, err := shown()
			if err != nil || members == nil {
				return err
			}
			id, err := a.unquote(find(members, of))
			switch {
			case err != nil:
				return err
			case len(ids) >= maxIDs:
				return badAnswer("it has too many elements")
			}
			ids[string(id)] = true
			return nil
		})
	})
	return ids, err
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

// alert writes the alert that comes next, if it is shown, and calls before ahead of it.
func (f *alertsFilter) alert(before func()) error {
	members, err := f.shown()
	if err != nil || members == nil {
		return err
	}
	before()
	return f.writeAlert(members)
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
			return f.array(func() error {
				return f.alert(func() {
					if shown == 0 {
						f.comma(*groups)
						*groups++
						f.write(`{"alerts":[`)
					} else {
						f.write(`,`)
					}
					shown++
				})
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
