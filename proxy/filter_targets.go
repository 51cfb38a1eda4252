package proxy

import (
	"io"
	"slices"
)

var (
	alerts  = kind{labels: "labels", noun: "the alert", label: "alertname"}
	targets = kind{labels: "labels", noun: "a target of the scrape pool", title: "scrapePool"}
)

// filterAlerts shows the alerts that carry the name of one of the view's tenants.
func filterAlerts(dst io.Writer, src io.Reader, v view) error {
	a, err := newAnswer(dst, src, v)
	if err != nil {
		return err
	}
	return a.filter(func() error {
		return a.only("alerts", func() error { return a.copyOwned(alerts, nil) })
	})
}

// filterTargets shows the active targets whose labels carry the name of one of
// the view's tenants, whole. A dropped target has no labels yet that one could
// trust, and the counts are kept by scrape pool, not by tenant: neither is shown.
func filterTargets(dst io.Writer, src io.Reader, v view) error {
	a, err := newAnswer(dst, src, v)
	if err != nil {
		return err
	}
	return a.filter(func() error {
		return a.only("activeTargets", func() error { return a.copyOwned(targets, nil) },
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
