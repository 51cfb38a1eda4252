package filter

import (
	"github.com/go-json-experiment/json/jsontext"
)

// writeWhole writes a rule that is shown wholly: every member of it, unless it has
// alerts that do not match the label policy. Prometheus makes no such alerts (a
// rule's labels win over its expression's), but an upstream that does may not tell
// them here.
func (f *rulesFilter) writeWhole(raw, alerts jsontext.Value) error {
	all, err := f.shownAlerts(alerts)
	if err != nil {
		return err
	}
	if all && (alerts == nil || !f.excludeAlerts) {
		f.writeBytes(raw)
		return nil
	}
	n := 0
	f.write(`{`)
	for _, m := range f.members {
		f.comma(n)
		n++
		switch name := string(m.name); {
		case name == "alerts":
			f.writeAlerts(alerts)
		case name == "state" && !all:
			if err := f.writeState(m.value, alerts); err != nil {
				return err
			}
		default:
			f.writeMember(m)
		}
	}
	f.write(`}`)
	return nil
}

// writePart writes a rule that lacks an enforced label: what its author wrote, the
// alerts that are shown, and a state made of these. How its evaluation went depends
// on everybody's series: health is unknown, the error is gone, the times are zero.
func (f *rulesFilter) writePart(alerts jsontext.Value) error {
	if _, err := f.shownAlerts(alerts); err != nil {
		return err
	}
	n := 0
	f.write(`{`)
	for _, m := range f.members {
		name := string(m.name)
		if shownInPart(name) {
			f.comma(n)
			n++
		}
		switch name {
		case "name", "query", "duration", "keepFiringFor", "labels", "annotations", "type":
			f.writeMember(m)
		case "alerts":
			f.writeAlerts(alerts)
		case "state":
			if err := f.writeState(m.value, alerts); err != nil {
				return err
			}
		case "health":
			f.write(`"health":"unknown"`)
		case "evaluationTime":
			f.write(`"evaluationTime":0`)
		case "lastEvaluation":
			f.write(`"lastEvaluation":"0001-01-01T00:00:00Z"`)
		}
	}
	f.write(`}`)
	return nil
}

// shownInPart names the members of a rule shown in part that are there in some form.
func shownInPart(name string) bool {
	switch name {
	case "name", "query", "duration", "keepFiringFor", "labels", "annotations", "type",
		"alerts", "state", "health", "evaluationTime", "lastEvaluation":
		return true
	}
	return false
}

// readPart reads a member of a rule that is shown in part. Such a rule may have any
// number of everybody's alerts, of which it keeps those that are shown, and members
// that are not: they tell of everybody's series and may be large.
func (f *rulesFilter) readPart(name []byte, s standing) (done bool, err error) {
	if s != partly {
		return false, nil
	}
	c, err := f.peek()
	switch {
	case err != nil || shownInPart(string(name)) && (string(name) != "alerts" || c != '['):
		return false, err
	case string(name) != "alerts":
		f.element.add([]byte(`null`))
		return true, f.value()
	}
	f.element.add([]byte{'['})
	n := 0
	err = f.array(func() error {
		kept, err := f.readAlert(n)
		if kept {
			n++
		}
		return err
	})
	f.element.add([]byte{']'})
	return true, err
}

// readAlert reads an alert, behind n others, into the rule that is held if it is
// shown.
func (f *rulesFilter) readAlert(n int) (kept bool, err error) {
	rule := f.element
	if n > 0 {
		f.element.add([]byte{','})
	}
	f.element.from = len(f.element.bytes)
	s, err := f.readMembers(kind{labels: alertLabels}, nil)
	if s == wholly {
		f.element.from = rule.from
		return true, err
	}
	f.element.bytes, f.element.from, f.element.over = f.element.bytes[:len(rule.bytes)], rule.from, rule.over
	return false, err
}

// shownAlerts collects the alerts that match the label policy in f.alerts, and
// tells whether these are all that the rule has.
func (f *rulesFilter) shownAlerts(alerts jsontext.Value) (all bool, err error) {
	f.alerts = f.alerts[:0]
	if alerts == nil {
		return true, nil
	}
	list, err := f.list(f.alerts, alerts)
	if err != nil {
		return false, err
	}
	kept := list[:0]
	for _, alert := range list {
		members, err := f.split(f.alert[:0], alert)
		if err != nil {
			return false, err
		}
		f.alert = members
		states, err := f.statesOf(find(members, alertLabels))
		if err != nil {
			return false, err
		}
		if f.elementStanding(states) == wholly {
			kept = append(kept, alert)
		}
	}
	f.alerts = kept
	return len(kept) == len(list), nil
}

func (f *rulesFilter) writeAlerts(alerts jsontext.Value) {
	f.write(`"alerts":`)
	if f.excludeAlerts || alerts.Kind() == 'n' {
		f.write(`null`)
		return
	}
	f.write(`[`)
	for i, alert := range f.alerts {
		f.comma(i)
		f.writeBytes(alert)
	}
	f.write(`]`)
}

// writeState writes the most urgent state of the collected alerts. A rule that
// was never evaluated stays unknown, and so does one whose alerts the upstream
// did not tell: its own word would speak of everybody's.
func (f *rulesFilter) writeState(was, alerts jsontext.Value) error {
	state := "inactive"
	if alerts == nil || alerts.Kind() == 'n' || string(was) == `"unknown"` {
		state = "unknown"
	}
	for _, alert := range f.alerts {
		members, err := f.split(f.alert[:0], alert)
		if err != nil {
			return err
		}
		f.alert = members
		switch string(find(members, "state")) {
		case `"firing"`:
			state = "firing"
		case `"pending"`:
			if state != "firing" {
				state = "pending"
			}
		}
	}
	f.write(`"state":"` + state + `"`)
	return nil
}

func (f *rulesFilter) writeMember(m member) {
	name, err := jsontext.AppendQuote(f.unquoted[:0], m.name)
	f.unquoted = name
	if err != nil { // the decoder let only UTF-8 through
		name = []byte(`""`)
	}
	f.writeBytes(name)
	f.write(`:`)
	f.writeBytes(m.value)
}
