package clients_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/test/gobuild"
	"github.com/promfence/promfence/test/upstream"
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
	alone, fenced := second(t, config(w.alone, "none")), second(t, config(w.fence, w.token))
	for _, query := range queries {
		want, got := "", ""
		err := upstream.Poll(t.Context(), 20*time.Second, func() error {
			want, got = instant(t, alone, query, w.now), instant(t, fenced, query, w.now)
			if diff := cmp.Diff(want, got); diff != "" {
				return fmt.Errorf("(-alone +promfence):\n%s", diff)
			}
			if want == "[]" && !strings.Contains(query, "=\""+stranger) {
				return fmt.Errorf("nothing there")
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", query, err)
		}
		if strings.Contains(got, stranger) {
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
	_, body := do(t, http.DefaultClient, req)
	var answer struct {
		Error string
		Data  struct{ Result json.RawMessage }
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Error != "" {
		t.Fatalf("%v in %s", err, body)
	}
	return string(answer.Data.Result)
}

// second runs a Prometheus with this configuration and returns its URL.
func second(t *testing.T, config string) string {
	t.Helper()
	binary, err := gobuild.Prometheus(t.Context(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config+"storage: {tsdb: {out_of_order_time_window: 1h}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	cmd := exec.Command(binary, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--enable-feature=promql-experimental-functions")
	var output strings.Builder
	cmd.Stderr = &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	err = upstream.Poll(t.Context(), 20*time.Second, func() error {
		resp, err := http.Get("http://" + address + "/-/ready")
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("ready: %s", resp.Status)
		}
		return nil
	})
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("%v\n%s", err, output.String())
	}
	return "http://" + address
}
