package thanos_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/test/harness/thanos"
	"github.com/promfence/promfence/test/harness/upstream"
)

// What a caller reads of an outage, and no more.
const (
	incomplete = "the upstream warned that this answer may be incomplete"
	unanswered = "the upstream could not answer this request; promfence's log has its message under this X-Request-Id"
)

// telling are what Thanos's messages on an outage hold, of others and of itself.
func telling(th *thanos.Thanos) []string {
	return append(th.Stores(), stranger, "default-tenant", "Addr:", "MinTime", "rpc error", "fetch series", "transport:", "0x")
}

// many series make answers that take a while.
func many(t *testing.T, th *thanos.Thanos, tenant string) {
	t.Helper()
	var lines strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&lines, "many_total{job=%q, series=\"%04d\"} 1+1x40\n", tenant, i)
	}
	th.Load(t, tenant, begin, step, lines.String())
}

func TestAnOutageTellsNothingOfOthers(t *testing.T) {
	own := upstream.Target{Job: "shop", Address: upstream.Expose(t, "# HELP scraped_total What acme says.\n# TYPE scraped_total counter\nscraped_total 1\n"), Labels: map[string]string{"tenant_id": "acme"}}
	th := thanos.Start(t, upstream.Options{Rules: map[string]string{"rules": "groups:" + ownRules + strangeRules}, Targets: []upstream.Target{own}})
	th.Load(t, "acme", begin, step, ownSeries)
	th.Receive(t, "acme", upstream.Traced("of-acme", now))
	many(t, th, "acme")
	many(t, th, stranger)
	base := th.Query(t)
	settle(t, base)
	idp := authtest.NewIssuer(t)
	w := &watch{telling: telling(th), base: fenced(t, idp, base), token: idp.Token(t, "acme", nil), marks: map[string]int{}}

	// The receiver is killed while callers ask, and they go on asking.
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	var callers sync.WaitGroup
	requests := outageRequests()
	for _, path := range requests[:8] {
		callers.Go(func() {
			for ctx.Err() == nil && w.seen(path) < 3 {
				w.ask(ctx, t, path)
			}
		})
	}
	time.Sleep(300 * time.Millisecond)
	th.Receiver.Kill()
	callers.Wait()

	if text, err := get(t, base+"/api/v1/query?query=requests_total"); err != nil || !strings.Contains(text, stranger) {
		t.Fatalf("Thanos itself does not tell of the stranger, so this shows nothing: %v %s", err, text)
	}
	for _, path := range requests {
		w.ask(t.Context(), t, path)
	}
	th.Sidecar.Kill()
	for _, path := range requests {
		w.ask(t.Context(), t, path)
	}
	for _, path := range requests {
		silent := strings.Contains(path, "explain") || // which reads nothing
			strings.Contains(path, "/series") && strings.Contains(path, "response=true") // where Thanos itself says nothing
		if w.seen(path) == 0 && !silent {
			t.Errorf("%s: the caller never learns that something is missing", path)
		}
	}
}

// outageRequests are those that need both stores, the first ones big.
func outageRequests() (all []string) {
	when := fmt.Sprintf("&start=%d&end=%d&step=15", begin.Unix(), now.Unix())
	for _, partial := range []string{"&partial_response=true", "&partial_response=false"} {
		for _, path := range []string{
			"/api/v1/query_range?query=many_total" + when, "/api/v1/query?query=sum(rate(many_total[5m]))&dedup=false&engine=thanos&time=" + fmt.Sprint(now.Unix()),
		} {
			all = append(all, path+partial, path+partial+"&encoding=gzip")
		}
	}
	for _, partial := range []string{"&partial_response=true", "&partial_response=false"} {
		for _, path := range []string{
			"/api/v1/labels?match[]=many_total", "/api/v1/label/series/values?match[]=many_total", "/api/v1/series?match[]=many_total" + when,
			"/api/v1/query_exemplars?query=traced_total", "/api/v1/query_explain?query=many_total&engine=thanos",
			"/api/v1/rules?type=alert", "/api/v1/alerts?", "/api/v1/metadata?", "/api/v1/targets?",
		} {
			all = append(all, path+partial, path+partial+"&encoding=gzip")
		}
	}
	return all
}

// A watch looks at every answer.
type watch struct {
	telling     []string
	base, token string

	mu    sync.Mutex
	marks map[string]int // answers that say that something is missing
}

func (w *watch) seen(path string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.marks[path]
}

func (w *watch) ask(ctx context.Context, t *testing.T, path string) {
	address, gzipped := strings.CutSuffix(path, "&encoding=gzip")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.base+strings.ReplaceAll(address, "[]", url.QueryEscape("[]")), nil)
	if err != nil {
		t.Error(err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	req.Header.Set("Accept-Encoding", "identity")
	if gzipped {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		if ctx.Err() == nil {
			t.Errorf("%s: %v", path, err)
		}
		return
	}
	defer resp.Body.Close()
	text, err := read(resp)
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return
	}
	resp.Header.Del("X-Request-Id") // random, so it may hold a short word
	for _, word := range w.telling {
		if strings.Contains(text, word) || strings.Contains(fmt.Sprint(resp.Header), word) {
			t.Errorf("%s: %s: an answer holds %q: %.2000s", path, resp.Status, word, text[max(0, strings.Index(text, word)-500):])
		}
	}
	w.judge(t, path, resp.StatusCode, text)
}

// judge sees whether an answer is one of those that are meant.
func (w *watch) judge(t *testing.T, path string, status int, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case status == http.StatusOK && strings.Contains(text, `"warnings":[`) && strings.Contains(text, incomplete):
		w.marks[path]++
	case status == http.StatusOK && !strings.Contains(text, `"warnings"`):
	case status != http.StatusOK && strings.Contains(text, unanswered) && (strings.Contains(text, `"errorType":"execution"`) || strings.Contains(text, `"errorType":"internal"`)):
		w.marks[path]++
	default:
		t.Errorf("%s: %d %.2000s", path, status, text)
	}
}

// read returns the whole answer, plain.
func read(resp *http.Response) (string, error) {
	var body bytes.Buffer
	src := io.Reader(resp.Body)
	if resp.Header.Get("Content-Encoding") == "gzip" {
		zr, err := gzip.NewReader(src)
		if err != nil {
			return "", err
		}
		src = zr
	}
	_, err := body.ReadFrom(src)
	return body.String(), err
}

// A large answer is the upstream's to the last byte.
func TestALargeAnswerComesWhole(t *testing.T) {
	th := thanos.Start(t, upstream.Options{})
	many(t, th, "acme")
	many(t, th, stranger)
	base := th.Query(t)
	idp := authtest.NewIssuer(t)
	through, token := fenced(t, idp, base), idp.Token(t, "acme", nil)
	path := fmt.Sprintf("/api/v1/query_range?query=%s&start=%d&end=%d&step=5&dedup=false", url.QueryEscape(`sort_desc(many_total{tenant_id="acme"})`), begin.Unix(), now.Unix())
	direct := ""
	err := upstream.Poll(t.Context(), 20*time.Second, func() (err error) {
		if direct, err = get(t, base+path); err == nil && len(direct) < 4<<20 {
			err = fmt.Errorf("only %d bytes", len(direct))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, encoding := range []string{"identity", "gzip"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, through+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Accept-Encoding", encoding)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := read(resp)
		_ = resp.Body.Close()
		if err != nil || text != direct {
			t.Errorf("%s: %d bytes through promfence, %d directly: %v", encoding, len(text), len(direct), err)
		}
	}
}
