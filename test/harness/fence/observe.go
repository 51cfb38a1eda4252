package fence

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/promfence/promfence/test/harness/upstream"
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

// Goroutines are those that run in the program, but for the two of each idle
// connection to the upstream: these come and go. It needs ADMIN_PPROF=true.
func (f *Fence) Goroutines(t testing.TB) int {
	t.Helper()
	n, _ := f.goroutines(t)
	return n
}

func (f *Fence) goroutines(t testing.TB) (n int, profile string) {
	t.Helper()
	body := f.operator(t, "/debug/pprof/goroutine?debug=1")
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	_, stacks, _ := strings.Cut(string(text), "\n") // behind the title
	for stack := range strings.SplitSeq(stacks, "\n\n") {
		count, _, ok := strings.Cut(stack, " @ ")
		if !ok || strings.Contains(stack, "net/http.(*persistConn)") {
			continue
		}
		same, err := strconv.Atoi(count)
		if err != nil {
			t.Fatalf("no profile of goroutines: %s", stack)
		}
		n += same
	}
	return n, string(text)
}

// Settles fails the test unless the program comes to rest with no more than this
// many Goroutines.
func (f *Fence) Settles(t testing.TB, most int) {
	t.Helper()
	profile := ""
	err := upstream.Poll(t.Context(), 20*time.Second, func() error {
		var now int
		if now, profile = f.goroutines(t); now > most {
			return fmt.Errorf("%d goroutines, want %d", now, most)
		}
		return nil
	})
	if err != nil {
		t.Errorf("%v:\n%s", err, profile)
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
