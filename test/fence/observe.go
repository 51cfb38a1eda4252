package fence

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/promfence/promfence/test/upstream"
)

// Metrics are the program's own, the sum of each family, and how many series
// each has as "NAME series".
func (f *Fence) Metrics(t testing.TB) map[string]float64 {
	t.Helper()
	body := f.operator(t, "/metrics")
	defer body.Close()
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(body)
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]float64{}
	for name, family := range families {
		for _, m := range family.Metric {
			sums[name] += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
		}
		sums[name+" series"] = float64(len(family.Metric))
	}
	return sums
}

// Settles fails the test unless the program comes to rest with this many
// goroutines. The setting ADMIN_PPROF=true makes it tell which are too many.
func (f *Fence) Settles(t testing.TB, most float64) {
	t.Helper()
	err := upstream.Poll(t.Context(), 20*time.Second, func() error {
		if now := f.Metrics(t)["go_goroutines"]; now > most {
			return fmt.Errorf("%v goroutines, want %v", now, most)
		}
		return nil
	})
	if err != nil {
		body := f.operator(t, "/debug/pprof/goroutine?debug=1")
		defer body.Close()
		text, _ := io.ReadAll(body)
		t.Errorf("%v:\n%s", err, text)
	}
}

// operator gets a page of the admin listener.
func (f *Fence) operator(t testing.TB, path string) io.ReadCloser {
	t.Helper()
	resp, err := http.Get(f.Admin + path)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Body
}
