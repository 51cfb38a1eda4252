package browser_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/test/harness/fence"
	"github.com/promfence/promfence/test/harness/upstream"
)

// website serves an empty page from an origin of its own.
func website(t *testing.T) *url.URL {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprint(w, "<!doctype html><title>a frontend</title><link rel=icon href=data:,>")
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// A seen is what a page's script can see of an answer.
type seen struct {
	Blocked string            // what fetch threw
	Status  int               //
	Headers map[string]string // those that the script may read
	Body    string
}

// fetch asks from within the page, as a script of its own would.
func (p *page) fetch(t *testing.T, method, address, token, body string) seen {
	t.Helper()
	headers := map[string]string{"Authorization": "Bearer " + token}
	options := map[string]any{"method": method, "headers": headers}
	if token == "" {
		delete(headers, "Authorization")
	}
	if body != "" {
		options["body"], headers["Content-Type"] = body, "application/x-www-form-urlencoded"
	}
	o, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(`fetch(%q, %s).then(
		async r => ({Status: r.status, Headers: Object.fromEntries(r.headers), Body: await r.text()}),
		e => ({Blocked: String(e)}))`, address, o)
	return get(t, p, chromedp.Evaluate[seen](script, chromedp.EvalAwaitPromise))
}

// A world is a promfence before an upstream that has an answer to everything.
type world struct {
	*fence.Fence
	behind *upstream.Recorder
}

func start(t *testing.T, settings ...string) world {
	t.Helper()
	behind := upstream.Stub(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, `{"status":"success","data":{"resultType":"scalar","result":[1,"42"]}}`)
	}))
	return world{fence.Before(t, behind.URL, settings...), behind}
}

// asked are the requests that reached the upstream since the last call.
func (w world) asked() []string {
	var all []string
	for _, r := range w.behind.Take() {
		all = append(all, r.Params().Get("query"))
	}
	return all
}

func TestAPageOnAnotherOriginReadsEveryAnswer(t *testing.T) {
	w := start(t)
	p := open(t, website(t))
	token := w.Token(t, "acme")
	address := w.URL + "/api/v1/metrics/query"

	tests := []struct {
		name, method, address, token, body string
		status                             int
		holds                              string
		asked                              []string // of the upstream
	}{
		{"an answer", "GET", address + "?query=up", token, "", 200, `"42"`, []string{`up{tenant_id="acme"}`}},
		{"an answer to a form", "POST", address, token, "query=up", 200, `"42"`, []string{`up{tenant_id="acme"}`}},
		{"a token that is none", "GET", address + "?query=up", "hunter2", "", 401, `"errorType":"unauthorized"`, nil},
		{"no token", "GET", address + "?query=up", "", "", 401, `"errorType":"unauthorized"`, nil},
		{"a path that is not served", "GET", w.URL + "/api/v1/admin/tsdb/snapshot", token, "", 404, `"errorType":"not_found"`, nil},
		{"a token without a tenant", "GET", address + "?query=up", w.Token(t, nil), "", 403, `"errorType":"forbidden"`, nil},
		{"readiness", "GET", w.URL + "/-/ready", "", "", 200, "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := p.fetch(t, tt.method, tt.address, tt.token, tt.body)
			if got.Blocked != "" || got.Status != tt.status || !strings.Contains(got.Body, tt.holds) {
				t.Errorf("the page sees %+v, want %d with %s", got, tt.status, tt.holds)
			}
			if got.Headers["x-request-id"] == "" {
				t.Errorf("the page does not see X-Request-Id: %v", got.Headers)
			}
			if diff := cmp.Diff(tt.asked, w.asked()); diff != "" {
				t.Errorf("the upstream was asked (-want +got):\n%s", diff)
			}
		})
	}
	const preflight = `"method":"OPTIONS","status":204`
	for range 100 { // lines are written a moment after the answer
		if strings.Contains(w.Log(), preflight) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("the browser has sent no preflight, or not been answered:\n%s", w.Log())
}

func TestAPageOnAnotherOriginSeesWhenToComeBack(t *testing.T) {
	page := website(t)
	comeBack := func(got seen, status int) error {
		if seconds, err := strconv.Atoi(got.Headers["retry-after"]); got.Status != status || err != nil || seconds < 1 {
			return fmt.Errorf("the page sees %+v, want %d with Retry-After in seconds", got, status)
		}
		return nil
	}
	t.Run("from a limit", func(t *testing.T) {
		w := start(t, "LIMITS_REQUESTS_PER_SECOND=1", "LIMITS_BURST=1")
		p, token := open(t, page), w.Token(t, "acme")
		err := upstream.Poll(t.Context(), 20*time.Second, func() error {
			return comeBack(p.fetch(t, "GET", w.URL+"/api/v1/metrics/query?query=up", token, ""), http.StatusTooManyRequests)
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Run("while there are no keys", func(t *testing.T) {
		idp := authtest.NewIssuer(t)
		idp.Fail(http.StatusInternalServerError)
		f := fence.Launch(t, append(fence.Trust(idp), "UPSTREAM_URL=http://127.0.0.1:1")...)
		got := open(t, page).fetch(t, "GET", f.URL+"/api/v1/metrics/query?query=up", idp.Token(t, "acme", nil), "")
		if err := comeBack(got, http.StatusServiceUnavailable); err != nil {
			t.Error(err)
		}
	})
}

func TestAnswersAreForListedOriginsOnly(t *testing.T) {
	listed, other := website(t), website(t)
	w := start(t, "CORS_ALLOWED_ORIGINS=https://elsewhere.example,"+listed.Scheme+"://"+listed.Host)
	token := w.Token(t, "acme")
	address := w.URL + "/api/v1/metrics/query?query=up"

	got := open(t, listed).fetch(t, "GET", address, token, "")
	if got.Status != 200 || !strings.Contains(got.Body, `"42"`) {
		t.Errorf("the listed origin sees %+v", got)
	}
	if want := []string{`up{tenant_id="acme"}`}; !slices.Equal(want, w.asked()) {
		t.Errorf("for the listed origin the upstream was not asked %s", want)
	}
	p := open(t, other)
	for _, address := range []string{address, w.URL + "/api/v1/nothing"} {
		if got := p.fetch(t, "GET", address, token, ""); !strings.Contains(got.Blocked, "Failed to fetch") {
			t.Errorf("the origin that is not listed sees %+v of %s", got, address)
		}
	}
	// A refused preflight ends it: the request itself is never sent.
	if asked := w.asked(); len(asked) > 0 {
		t.Errorf("for the origin that is not listed the upstream was asked %s", asked)
	}
	// Without a header of its own a request needs no preflight; its answer stays hidden.
	if got := p.fetch(t, "GET", w.URL+"/-/ready", "", ""); !strings.Contains(got.Blocked, "Failed to fetch") {
		t.Errorf("the origin that is not listed sees %+v", got)
	}
}
