package proxy

import "io"

// filterExemplars shows the exemplars of series that carry the name of one of
// the view's tenants. The query's selectors say so already, but not every
// upstream keeps to them: Thanos Query drops a matcher on a label that any of a
// receiver's tenants has as an external one, so the receiver answers with the
// exemplars of all its tenants.
func filterExemplars(dst io.Writer, src io.Reader, v view) error {
	a, err := newAnswer(dst, src, v)
	if err != nil {
		return err
	}
	return a.filter(func() error { return a.copyArray(a.ownedBy("seriesLabels")) })
}
