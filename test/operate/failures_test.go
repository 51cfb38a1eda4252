package operate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/fence"
	"github.com/promfence/promfence/test/harness/upstream"
)

// A refusal is an error as every Prometheus client reads it.
type refusal struct {
	Status, ErrorType, Error string
}

// refused checks the shape that all of promfence's errors have, and returns it.
func refused(t *testing.T, got harness.Reply) refusal {
	t.Helper()
	var r refusal
	d := json.NewDecoder(strings.NewReader(got.Body))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil || r.Status != "error" || r.Error == "" {
		t.Errorf("%v: not the one error: %s", err, got.Body)
	}
	if rest, _ := io.ReadAll(io.MultiReader(d.Buffered())); len(strings.TrimSpace(string(rest))) > 0 {
		t.Errorf("more than one error: %s", got.Body)
	}
	for name, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"} {
		if h := got.Header.Get(name); h != want {
			t.Errorf("%s: %q, want %q", name, h, want)
		}
	}
	if got.Header.Get("X-Request-Id") == "" || !strings.Contains(got.Header.Get("Vary"), "Authorization") {
		t.Errorf("no X-Request-Id, or no Vary: %v", got.Header)
	}
	return r
}

func TestEveryRefusalHasItsStatusAndTellsTheCallerWhy(t *testing.T) {
	behind := harness.Answering(t)
	f := fence.Before(t, behind.URL)
	tests := map[string]struct {
		method, path, body, contentType string
		status                          int
		errorType, says                 string
	}{
		"PromQL that is none":           {"GET", "/api/v1/query?query=sum(up", "", "", 400, "bad_data", "1:7: parse error"},
		"PromQL with a hole":            {"POST", "/api/v1/query", "query=up+%2B", "application/x-www-form-urlencoded", 400, "bad_data", "1:5: parse error"},
		"no query":                      {"GET", "/api/v1/query", "", "", 400, "bad_data", `"query"`},
		"info()":                        {"GET", "/api/v1/query?query=info(up)", "", "", 400, "bad_data", "group_left"},
		"a selector of everything":      {"GET", "/api/v1/query?query={}", "", "", 400, "bad_data", "match"},
		"series without a selector":     {"GET", "/api/v1/series", "", "", 400, "bad_data", "match[]"},
		"a selector that is none":       {"GET", "/api/v1/series?match[]=up)", "", "", 400, "bad_data", `"match[]"`},
		"brackets too deep":             {"GET", "/api/v1/query?query=" + strings.Repeat("(", 101) + "up" + strings.Repeat(")", 101), "", "", 400, "bad_data", "100"},
		"too many terms":                {"POST", "/api/v1/query", "query=a" + strings.Repeat("%2Ba", 2000), "application/x-www-form-urlencoded", 400, "bad_data", "2000"},
		"a query too long":              {"POST", "/api/v1/query", "query=" + strings.Repeat("a", 65<<10), "application/x-www-form-urlencoded", 400, "bad_data", "65536"},
		"a time that is none":           {"GET", "/api/v1/query?query=up&time=yesterday", "", "", 200, "", ""}, // The upstream's to refuse.
		"two times":                     {"GET", "/api/v1/query?query=up&time=1&time=2", "", "", 400, "bad_data", `"time"`},
		"a body with a GET":             {"GET", "/api/v1/query?query=up", "query=down", "application/x-www-form-urlencoded", 400, "bad_data", "body"},
		"a label name with a separator": {"GET", "/api/v1/label/a%2Fb/values", "", "", 404, "not_found", ""},
		"a label name that is no text":  {"GET", "/api/v1/label/%ff/values", "", "", 400, "bad_data", "label"},
		"a path that does not exist":    {"GET", "/api/v1/nothing", "", "", 404, "not_found", ""},
		"a write":                       {"POST", "/api/v1/write", "", "", 404, "not_found", ""},
		"a deletion":                    {"POST", "/api/v1/admin/tsdb/delete_series?match[]=up", "", "", 404, "not_found", ""},
		"the upstream's settings":       {"GET", "/api/v1/status/config", "", "", 404, "not_found", ""},
		"the upstream's metrics":        {"GET", "/metrics", "", "", 404, "not_found", ""},
		"the upstream's pages":          {"GET", "/graph", "", "", 404, "not_found", ""},
		"a slash at the end":            {"GET", "/api/v1/query/?query=up", "", "", 404, "not_found", ""},
		"two slashes":                   {"GET", "/api/v1//query?query=up", "", "", 404, "not_found", "one slash"},
		"an escaped letter":             {"GET", "/api/v1/%71uery?query=up", "", "", 404, "not_found", ""},
		"a way up":                      {"GET", "/api/v1/label/../query?query=up", "", "", 404, "not_found", ""},
		"a method that is not served":   {"DELETE", "/api/v1/query", "", "", 405, "method_not_allowed", ""},
		"label values by POST":          {"POST", "/api/v1/label/job/values", "", "", 405, "method_not_allowed", ""},
		"a body too long":               {"POST", "/api/v1/query", "query=up&x=" + strings.Repeat("x", 1<<20), "application/x-www-form-urlencoded", 413, "too_large", "1048576"},
		"JSON":                          {"POST", "/api/v1/query", `{"query":"up"}`, "application/json", 415, "unsupported_media_type", "application/x-www-form-urlencoded"},
		"a multipart form":              {"POST", "/api/v1/query", "--x\r\n", "multipart/form-data; boundary=x", 415, "unsupported_media_type", "application/x-www-form-urlencoded"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), tt.method, f.URL, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			path, query, _ := strings.Cut(tt.path, "?")
			req.URL.Path = path                                                                            // for whoever reads the request; what is sent is
			req.URL.Opaque, req.URL.RawQuery = "//"+req.URL.Host+path, strings.ReplaceAll(query, " ", "+") // as it stands
			req.Header.Set("Authorization", "Bearer "+f.Token(t, "acme"))
			if tt.contentType != "" {
				req.Header.Set("Content-Type", tt.contentType)
			}
			got := harness.Do(t, req)
			if got.Status != tt.status {
				t.Fatalf("%d, want %d: %s", got.Status, tt.status, got.Body)
			}
			asked := behind.Take()
			if tt.status == http.StatusOK {
				return
			}
			if r := refused(t, got); r.ErrorType != tt.errorType || !strings.Contains(r.Error, tt.says) {
				t.Errorf("want %s and %q: %s", tt.errorType, tt.says, got.Body)
			}
			if allow := got.Header.Get("Allow"); (tt.status == http.StatusMethodNotAllowed) != (allow != "") {
				t.Errorf("Allow: %q", allow)
			}
			if len(asked) > 0 {
				t.Errorf("the upstream was asked %s %s", asked[0].Method, asked[0].Path)
			}
		})
	}
}

func TestAnUpstreamInTroubleIsSaidWithoutItsAddress(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	slow := upstream.Stub(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	broken := upstream.Stub(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, `{"status":"error","errorType":"internal","error":"store 10.1.2.3:10901 has no tenant globex"}`)
	}))
	elsewhere := upstream.Stub(t, http.RedirectHandler("http://10.1.2.3/login", http.StatusFound))
	suspicious := upstream.Stub(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	tests := map[string]struct {
		upstream  string
		status    int
		errorType string
	}{
		"down":                  {"http://" + gone.Addr().String(), 502, "bad_gateway"},
		"slow":                  {slow.URL, 504, "timeout"},
		"broken":                {broken.URL, 500, "internal"},
		"behind a login":        {elsewhere.URL, 502, "bad_gateway"},
		"in doubt of promfence": {suspicious.URL, 502, "bad_gateway"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := fence.Before(t, tt.upstream, "UPSTREAM_TIMEOUT=300ms")
			address, err := url.Parse(tt.upstream)
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{"/api/v1/query", "/api/v1/rules", "/api/v1/metrics/series"} {
				got := harness.Send(t, http.MethodGet, f.URL+path, f.Token(t, "acme"), harness.Form("query", "up", "match[]", "up"))
				if got.Status != tt.status {
					t.Errorf("%s: %d, want %d: %s", path, got.Status, tt.status, got.Body)
				}
				r := refused(t, got)
				if r.ErrorType != tt.errorType || strings.Contains(got.Body, address.Host) || strings.Contains(got.Body, "10.1.2.3") || strings.Contains(got.Body, "globex") {
					t.Errorf("%s: want %s and no address: %s", path, tt.errorType, got.Body)
				}
			}
			if status, _ := harness.Fetch(t, f.URL+"/-/ready", "", nil); status != http.StatusOK {
				t.Errorf("not ready, for want of an upstream: %d", status)
			}
		})
	}
}

func TestAnAnswerThatIsCutShortDoesNotLookWhole(t *testing.T) {
	for name, path := range map[string]string{"streamed": "/api/v1/query", "filtered": "/api/v1/rules"} {
		t.Run(name, func(t *testing.T) {
			behind := upstream.Stub(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Content-Length", "1000")
				_, _ = io.WriteString(w, `{"status":"success","data":{"groups":[`)
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}))
			f := fence.Before(t, behind.URL)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.URL+path+"?query=up", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+f.Token(t, "acme"))
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return // As good as an error while reading.
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err == nil && resp.StatusCode == http.StatusOK {
				t.Errorf("a whole answer: %s", body)
			}
			if err := logged(t, f, "cut short"); err != nil && resp.StatusCode == http.StatusOK {
				t.Error(err)
			}
		})
	}
}

func TestACallerWhoGoesAwayEndsTheUpstreamsWork(t *testing.T) {
	began, ended := make(chan struct{}, 1), make(chan struct{}, 1)
	behind := upstream.Stub(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		<-r.Context().Done()
		ended <- struct{}{}
	}))
	f := fence.Before(t, behind.URL)
	for _, path := range []string{"/api/v1/query", "/api/v1/rules"} {
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.URL+path+"?query=up", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+f.Token(t, "acme"))
		go func() {
			<-began
			cancel()
		}()
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", path, err)
		}
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Errorf("%s: the upstream still works for nobody", path)
		}
	}
}

func TestOneLogLineTellsARequestAndNoSecret(t *testing.T) {
	behind := harness.Answering(t)
	f := fence.Before(t, behind.URL)
	token := f.Token(t, "acme")
	got := harness.Send(t, http.MethodGet, f.URL+"/api/v1/metrics/query", token, harness.Form("query", "my_private_metric"))
	id := got.Header.Get("X-Request-Id")
	if err := logged(t, f, id); err != nil || id == "" {
		t.Fatalf("request id %q: %v", id, err)
	}
	var found []map[string]any
	for line := range strings.Lines(f.Log()) {
		var l map[string]any
		if json.Unmarshal([]byte(line), &l) == nil && l["req_id"] == id {
			found = append(found, l)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d lines for the request, want 1:\n%s", len(found), f.Log())
	}
	for field, want := range map[string]any{
		"subject": "alice", "route": "/api/v1/metrics/query", "method": "GET", "status": 200.0, "bytes": float64(len(got.Body)),
	} {
		if found[0][field] != want {
			t.Errorf("%s: %v, want %v", field, found[0][field], want)
		}
	}
	if tenants, _ := found[0]["tenants"].([]any); !slices.Equal(tenants, []any{"acme"}) {
		t.Errorf("tenants: %v", found[0]["tenants"])
	}
	for _, field := range []string{"ms", "upstream_ms", "time"} {
		if found[0][field] == nil {
			t.Errorf("no %s in %v", field, found[0])
		}
	}
	if text := f.Log(); strings.Contains(text, "my_private_metric") || strings.Contains(text, token) {
		t.Errorf("the log has the query or the token:\n%s", text)
	}
	if _, text := harness.Fetch(t, f.Admin+"/metrics", "", nil); !strings.Contains(text, "promfence_") || strings.Contains(text, "my_private_metric") {
		t.Errorf("the admin listener's metrics:\n%s", text)
	}
}

// logged waits until the process has logged a text.
func logged(t *testing.T, f *fence.Fence, text string) error {
	t.Helper()
	return upstream.Poll(t.Context(), 5*time.Second, func() error {
		if !strings.Contains(f.Log(), text) {
			return fmt.Errorf("nothing with %q in the log:\n%s", text, f.Log())
		}
		return nil
	})
}
