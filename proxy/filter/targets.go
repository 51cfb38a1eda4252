package filter

import (
	"io"
	"slices"
)

const alertLabels = "labels"

var (
	alerts  = kind{labels: alertLabels, noun: "the alert", label: "alertname"}
	targets = kind{labels: "labels", noun: "a target of the scrape pool", title: "scrapePool"}
)

// Alerts shows the alerts that match the label policy.
func (v View) Alerts(dst io.Writer, src io.Reader) error {
	a, err := newAnswer(dst, src, v)
	if err != nil {
		return err
	}
	return a.filter(func() error {
		return a.only("alerts", func() error { return a.copyShown(alerts, nil) })
	})
}

// Targets shows the active targets whose labels match the label policy, whole. A
// dropped target has no labels yet that one could trust, and the counts are kept by
// scrape pool, not by tenant: neither is shown.
func (v View) Targets(dst io.Writer, src io.Reader) error {
	a, err := newAnswer(dst, src, v)
	if err != nil {
		return err
	}
	return a.filter(func() error {
		return a.only("activeTargets", func() error { return a.copyShown(targets, nil) },
			"droppedTargets", "droppedTargetCounts")
	})
}

// only writes the data object with one member, which must be there, and with
// the named others emptied.
func (a *answer) only(wanted string, copyValue func() error, emptied ...string) error {
	a.write(`{`)
	n, found := 0, false
	err := a.object(func(name string) error {
		isWanted := name == wanted
		if !isWanted && !slices.Contains(emptied, name) {
			return a.value()
		}
		a.comma(n)
		n++
		a.write(`"` + name + `":`)
		if isWanted {
			found = true
			return copyValue()
		}
		return a.empty()
	})
	if err == nil && !found {
		err = badAnswer("its data lacks %s", wanted)
	}
	a.write(`}`)
	return err
}

// empty passes over a list or map and writes it without its elements. A null
// stays one: an upstream that was not asked for a list answers so.
func (a *answer) empty() error {
	c, err := a.peek()
	if err != nil {
		return err
	}
	switch c {
	case '[':
		a.write(`[]`)
	case '{':
		a.write(`{}`)
	default:
		a.write(`null`)
	}
	return a.value()
}
