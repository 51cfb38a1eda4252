package filter

import "io"

var exemplars = kind{labels: "seriesLabels", noun: "the list of exemplars of the series", label: "__name__"}

// Exemplars shows the exemplars of series that match the label policy. The query's
// selectors say so already; but exemplars have a way of their own through an
// upstream of several stores, and each one tells whose it is.
func (v View) Exemplars(dst io.Writer, src io.Reader) error {
	a, err := newAnswer(dst, src, v)
	if err != nil {
		return err
	}
	return a.filter(func() error { return a.copyShown(exemplars, nil) })
}
