package proxy

import "io"

var exemplars = kind{labels: "seriesLabels", noun: "the list of exemplars of the series", label: "__name__"}

// filterExemplars shows the exemplars of series that carry the name of one of
// the view's tenants. The query's selectors say so already; but exemplars have a
// way of their own through an upstream of several stores, and each one tells
// whose it is.
func filterExemplars(dst io.Writer, src io.Reader, v view) error {
	a, err := newAnswer(dst, src, v)
	if err != nil {
		return err
	}
	return a.filter(func() error { return a.copyOwned(exemplars, nil) })
}
