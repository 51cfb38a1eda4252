package clients_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/upstream"
)

// A second Prometheus that federates from promfence holds what one holds that
// federates from an upstream with acme's data alone.
func aFederatingPrometheusCannotTell(t *testing.T, w *world) {
	config := func(server, token string) string {
		return `
global: {scrape_interval: 1s, scrape_timeout: 1s, scrape_native_histograms: true}
scrape_configs:
- job_name: federate
  honor_labels: true
  metrics_path: /federate
  params: {'match[]': ['{job=~".+",__name__!~"up|scrape.*|.*stranger.*|scraped.*"}', 'traced_total', '{"lat.ency"}']}
  authorization: {credentials: ` + token + `}
  http_headers: {X-Dashboard-Uid: {values: [abc]}}
  static_configs: [{targets: ['` + strings.TrimPrefix(server, "http://") + `']}]
`
	}
	same(t, w, config, "sort_by_label({tenant_id=\"acme\", __name__!~\"ALERTS.*|job:.*\"}, '__name__', 'job', 'code', 'instance', 'le')")
}

// Likewise one that reads from it remotely.
func aReadingPrometheusCannotTell(t *testing.T, w *world) {
	config := func(server, token string) string {
		return `
remote_read:
- url: ` + server + `/api/v1/read
  read_recent: true
  authorization: {credentials: ` + token + `}
  headers: {X-Dashboard-Uid: abc}
`
	}
	same(t, w, config,
		"sort_by_label({__name__=~\"requests_total|memory_bytes|only_stranger\"}, '__name__', 'job', 'code')", "sort_by_label(rate(requests_total[5m]), 'job', 'code')",
		"histogram_quantile(0.9, native_seconds)", "sum(rate(latency_seconds_bucket[5m]))", "requests_total{tenant_id=\"stranger\"}", "{\"lat.ency\"}")
}

// same compares what a second Prometheus answers when it reads from either.
func same(t *testing.T, w *world, config func(server, token string) string, queries ...string) {
	t.Helper()
	alone := upstream.Start(t, upstream.Options{Config: config(w.Alone.URL, "none")}).URL
	fenced := upstream.Start(t, upstream.Options{Config: config(w.fence, w.token)}).URL
	for _, query := range queries {
		want, got := "", ""
		err := upstream.Poll(t.Context(), 20*time.Second, func() error {
			want, got = instant(t, alone, query, w.Now), instant(t, fenced, query, w.Now)
			if diff := cmp.Diff(want, got); diff != "" {
				return fmt.Errorf("(-alone +promfence):\n%s", diff)
			}
			if want == "[]" && !strings.Contains(query, "=\""+harness.Stranger) {
				return fmt.Errorf("nothing there")
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", query, err)
		}
		if strings.Contains(got, harness.Stranger) {
			t.Errorf("%s tells of a stranger: %s", query, got)
		}
	}
}

// instant is the result of an instant query.
func instant(t *testing.T, base, query string, at time.Time) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/api/v1/query?"+url.Values{"query": {query}, "time": {fmt.Sprint(at.Unix())}}.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	body := harness.Do(t, req).Body
	var answer struct {
		Error string
		Data  struct{ Result json.RawMessage }
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Error != "" {
		t.Fatalf("%v in %s", err, body)
	}
	return string(answer.Data.Result)
}
