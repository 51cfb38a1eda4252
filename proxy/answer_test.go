package proxy_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/proxy"
)

// reply is an upstream's answer with a status, headers in pairs, and a body.
func reply(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func promError(errorType, text string) string {
	return fmt.Sprintf(`{"status":"error","errorType":%q,"error":%q,"warnings":["store 10.0.0.1"]}`, errorType, text)
}

func TestUpstreamErrors(t *testing.T) {
	const secret = "receive series from Addr: 10.0.0.1:10901 LabelSets: {tenant_id=\"globex\"}"
	tests := []struct {
		name, body string
		status     int
		wantStatus int
		errorType  string
		text       string
	}{
		{"a 400 speaks of the query", promError("bad_data", `invalid parameter "time": cannot parse`), 400, 400, "bad_data", "cannot parse"},
		{"the engine's limit", promError("execution", "query processing would load too many samples into memory in query execution"), 422, 422, "execution", "too many samples"},
		{"a many-to-many match", promError("execution", "found duplicate series for the match group {} on the right hand-side"), 422, 422, "execution", "found duplicate"},
		{"the engine's timeout", promError("timeout", "query timed out in expression evaluation"), 503, 503, "timeout", "query timed out"},
		{"a duration", promError("execution", "6:9: division by zero"), 422, 422, "execution", "division by zero"},
		{"a store in a 422", promError("execution", "expanding series: "+secret), 422, 422, "execution", "could not answer"},
		{"a query that was canceled upstream", promError("canceled", "query was canceled in expression evaluation"), 499, 499, "canceled", "query was canceled"},
		{"a store in a 499", promError("canceled", secret), 499, 499, "canceled", "could not answer"},
		{"a store in a 500", promError("internal", secret), 500, 500, "internal", "could not answer"},
		{"a store in a 503", promError("unavailable", secret), 503, 503, "unavailable", "could not answer"},
		{"a store in a 400 that is not about the query", promError("internal", secret), 400, 400, "internal", "could not answer"},
		{"HTML", "<html>nginx at 10.0.0.1</html>", 502, 502, "bad_gateway", "could not answer"},
		{"no such endpoint", "404 page not found", 404, 404, "not_found", "does not serve"},
		{"no such method", "", 405, 405, "method_not_allowed", "does not serve"},
		{"an invented type", promError("globex", secret), 500, 500, "internal", "could not answer"},
		{"the upstream doubts promfence", "who are you, 10.0.0.1?", 401, 502, "bad_gateway", "refused promfence"},
		{"the upstream forbids promfence something", promError("bad_data", secret), 403, 502, "bad_gateway", "refused promfence"},
		{"a proxy doubts promfence", secret, 407, 502, "bad_gateway", "refused promfence"},
		{"a limit of a store", promError("execution", "expanding series: "+secret+": exceeded series limit: limit 1000 violated (got 2000)"), 422, 422, "execution", "limit 1000, got 2000"},
		{"a limit that is no JSON", "the query time range exceeds the limit (query length: 745h0m0s, limit: 720h0m0s)\n", 400, 400, "bad_data", "limit 720h0m0s"},
		{"a store that looks like a duration", promError("execution", "10.0.0.1:10901: duration is out of range"), 422, 422, "execution", "could not answer"},
		{"a redirect", "", 302, 502, "bad_gateway", "not one of its query API"},
		{"not modified", "", 304, 502, "bad_gateway", "not one of its query API"},
	}
	f := newFence(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f.Answer(reply(tt.status, tt.body, "Location", "http://10.0.0.1/", "Content-Type", "text/html", "WWW-Authenticate", "Basic", "Set-Cookie", "a=b"))
			resp, body := f.Get(t, "/api/v1/query?query=up")
			wantError(t, resp, body, tt.wantStatus, tt.errorType, tt.text)
			if all := fmt.Sprint(resp.Header, body); strings.Contains(all, "10.0.0.1") || strings.Contains(all, "globex") || strings.Contains(all, "Basic") || strings.Contains(all, "a=b") {
				t.Errorf("the caller read %s", all)
			}
		})
	}
	f.logged(t, "10.0.0.1:10901")
}

func TestCompressedErrorIsNarrowed(t *testing.T) {
	f := newFence(t, nil)
	var packed bytes.Buffer
	zw := gzip.NewWriter(&packed)
	_, _ = io.WriteString(zw, promError("execution", "expanding series: 10.0.0.1"))
	_ = zw.Close()
	f.Answer(reply(422, packed.String(), "Content-Encoding", "gzip"))
	r := f.Request(t, "GET", "/api/v1/query?query=up", "")
	r.Header.Set("Accept-Encoding", "gzip")
	resp, body := f.Do(t, r)
	wantError(t, resp, body, 422, "execution", "could not answer")
	if resp.Header.Get("Content-Encoding") != "" {
		t.Error("our own error claims to be compressed")
	}
}

func TestAnswerHeaders(t *testing.T) {
	f := newFence(t, nil)
	f.Answer(reply(200, success, "Content-Type", "application/json", "Server", "nginx", "Set-Cookie", "a=b", "Via", "1.1 inner",
		"Access-Control-Allow-Origin", "http://evil", "Cache-Control", "public, max-age=60", "ETag", "x", "Location", "/x", "X-Served-By", "10.0.0.1", "Retry-After", "ask 10.0.0.1"))
	resp, _ := f.Get(t, "/api/v1/query?query=up")
	for _, name := range []string{"Server", "Set-Cookie", "Via", "Etag", "Location", "X-Served-By", "Retry-After"} {
		if v := resp.Header.Get(name); v != "" {
			t.Errorf("%s: %s reached the caller", name, v)
		}
	}
	for name, want := range map[string]string{
		"Cache-Control": "private, no-store", "Vary": "Authorization, X-Promfence-Tenant, X-Promfence-Policy, Accept-Encoding", "Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff",
	} {
		if got := resp.Header.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestTheUpstreamsDateIsADateOrOurs(t *testing.T) {
	f := newFence(t, nil)
	for sent, kept := range map[string]bool{"Mon, 23 Nov 2026 01:02:03 GMT": true, "10.0.0.1": false, strings.Repeat("x", 4096): false} {
		f.Answer(reply(200, success, "Content-Type", "application/json", "Date", sent))
		resp, _ := f.Get(t, "/api/v1/query?query=up")
		got := resp.Header.Get("Date")
		if _, err := http.ParseTime(got); err != nil || (got == sent) != kept {
			t.Errorf("Date: %s became %s", sent, got)
		}
	}
}

func TestFederationIsSamplesOrNothing(t *testing.T) {
	f := newFence(t, nil)
	for sent, want := range map[string]int{
		"text/plain; version=0.0.4; charset=utf-8; escaping=underscores": 200, "application/openmetrics-text; version=1.0.0": 200,
		"application/vnd.google.protobuf; encoding=delimited": 200, "text/html": 502, "application/json": 502, "text/plain; =": 502,
	} {
		f.Answer(reply(200, "up 1", "Content-Type", sent))
		resp, body := f.Get(t, "/federate?match[]=up")
		if resp.StatusCode != want || strings.Contains(body, "up 1") != (want == 200) {
			t.Errorf("%s: got %d %s", sent, resp.StatusCode, body)
		}
	}
}

func TestTrailersAndEarlyHintsDoNotPass(t *testing.T) {
	f := newFence(t, nil)
	f.Answer(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</globex>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Trailer", "X-Store")
		w.WriteHeader(http.StatusOK)
		_, _ = io.WriteString(w, success)
		w.Header().Set("X-Store", "10.0.0.1")
		w.Header().Set(http.TrailerPrefix+"X-Other", "10.0.0.1")
	})
	resp, body := f.Get(t, "/api/v1/query?query=up")
	if resp.Header.Get("Cache-Control") != "private, no-store" || resp.Header.Get("X-Request-Id") == "" || resp.Header.Get("Vary") == "" {
		t.Errorf("early hints took our headers away: %v", resp.Header)
	}
	if resp.StatusCode != 200 || body != success || len(resp.Trailer) != 0 || resp.Header.Get("Link") != "" {
		t.Errorf("got %d %v %v %s", resp.StatusCode, resp.Header, resp.Trailer, body)
	}
}

func TestUpstreamFaults(t *testing.T) {
	t.Run("down", func(t *testing.T) {
		f := newFence(t, nil)
		f.Upstream.Close()
		resp, body := f.Get(t, "/api/v1/query?query=up")
		wantError(t, resp, body, 502, "bad_gateway", "could not be reached")
		if strings.Contains(body, "127.0.0.1") {
			t.Errorf("the address reached the caller: %s", body)
		}
	})
	t.Run("slow", func(t *testing.T) {
		f := newFence(t, func(o *proxy.Options) { o.UpstreamTimeout = 50 * time.Millisecond })
		f.Answer(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		resp, body := f.Get(t, "/api/v1/query?query=up")
		wantError(t, resp, body, 504, "timeout", "in time")
	})
	t.Run("an answer cut short", func(t *testing.T) {
		f := newFence(t, nil)
		f.Answer(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"status":"success"`)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		})
		resp, body := f.Get(t, "/api/v1/query?query=up")
		wantError(t, resp, body, 502, "bad_gateway", "broke off")
	})
	t.Run("a caller who leaves cancels the query", func(t *testing.T) {
		f := newFence(t, nil)
		began, ended := make(chan struct{}), make(chan struct{})
		f.Answer(func(_ http.ResponseWriter, r *http.Request) {
			close(began)
			<-r.Context().Done()
			close(ended)
		})
		ctx, leave := context.WithCancel(t.Context())
		go func() {
			<-began
			leave()
		}()
		if resp, err := http.DefaultClient.Do(f.Request(t, "GET", "/api/v1/query?query=up", "").WithContext(ctx)); err == nil {
			_ = resp.Body.Close()
			t.Fatal("the caller has left")
		}
		select {
		case <-ended:
		case <-time.After(time.Minute):
			t.Error("the upstream's query goes on")
		}
	})
}

func TestFilteredRows(t *testing.T) {
	const rules = `{"status":"success","data":{"groups":[{"name":"g","file":"f","rules":[{"name":"mine","labels":{"tenant_id":"acme"},"type":"recording","new":1},{"name":"theirs","labels":{"tenant_id":"globex"},"type":"recording"}]}]}}`
	packed := func(s string) string {
		var b bytes.Buffer
		zw := gzip.NewWriter(&b)
		_, _ = io.WriteString(zw, s)
		_ = zw.Close()
		return b.String()
	}
	prefixed := func(o *proxy.Options) {
		o.Upstream = &url.URL{Scheme: "http", Host: o.Upstream.Host, Path: "/prometheus/"}
	}
	tests := []struct {
		name   string
		change func(*proxy.Options)
		answer http.HandlerFunc
		status int
		path   string
	}{
		{"plain", nil, reply(200, rules), 200, "/api/v1/rules"},
		{"behind a prefix", prefixed, reply(200, rules), 200, "/prometheus/api/v1/rules"},
		{"gzip, unasked", nil, reply(200, packed(rules), "Content-Encoding", "gzip"), 200, "/api/v1/rules"},
		{"gzip cut short", nil, reply(200, packed(rules)[:60], "Content-Encoding", "gzip"), 502, "/api/v1/rules"},
		{"gzip that is not", nil, reply(200, rules, "Content-Encoding", "gzip"), 502, "/api/v1/rules"},
		{"an encoding we cannot read", nil, reply(200, rules, "Content-Encoding", "br"), 502, "/api/v1/rules"},
		{"cut short", nil, reply(200, rules[:len(rules)-3]), 502, "/api/v1/rules"},
		{"HTML", nil, reply(200, "<html>theirs</html>"), 502, "/api/v1/rules"},
		{"JSON in the name of HTML", nil, reply(200, rules, "Content-Type", "text/html"), 502, "/api/v1/rules"},
		{"another shape", nil, reply(200, `{"status":"success","data":["theirs"]}`), 502, "/api/v1/rules"},
		{"an error", nil, reply(500, promError("internal", "theirs")), 500, "/api/v1/rules"},
		{"a redirect", nil, reply(307, rules, "Location", "/theirs"), 502, "/api/v1/rules"},
		{"a partial answer", nil, reply(206, rules), 502, "/api/v1/rules"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFence(t, tt.change)
			f.Answer(tt.answer)
			resp, body := f.Get(t, "/api/v1/rules")
			if a := f.Asked(); len(a) != 1 || a[0].Path != tt.path || a[0].Header.Get("Accept-Encoding") != "identity" {
				t.Errorf("the upstream was asked %v", a)
			}
			if strings.Contains(fmt.Sprint(resp.Header, body), "theirs") {
				t.Errorf("the caller read %s", body)
			}
			if resp.StatusCode != tt.status {
				t.Fatalf("%d %s", resp.StatusCode, body)
			}
			if tt.status == 200 && (!strings.Contains(body, `"mine"`) || !strings.Contains(body, `"new":1`)) {
				t.Errorf("the caller's own rule is missing: %s", body)
			}
		})
	}
}

func TestWarningsOfStoresAreHidden(t *testing.T) {
	const answer = `{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["receive series from Addr: 10.0.0.1:10901 LabelSets: {tenant_id=\"globex\"}","PromQL warning: mine"]}`
	for _, encoding := range []string{"", "gzip"} {
		t.Run("encoding "+encoding, func(t *testing.T) {
			f := newFence(t, nil)
			f.Answer(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if r.Header.Get("Accept-Encoding") != "gzip" {
					_, _ = io.WriteString(w, answer)
					return
				}
				w.Header().Set("Content-Encoding", "gzip")
				zw := gzip.NewWriter(w)
				_, _ = io.WriteString(zw, answer)
				_ = zw.Close()
			})
			r := f.Request(t, "GET", "/api/v1/query?query=up", "")
			if encoding != "" {
				r.Header.Set("Accept-Encoding", "br, gzip;q=0.5")
			} else {
				r.Header.Set("Accept-Encoding", "zstd, gzip;q=0.0")
			}
			resp, body := f.Do(t, r)
			if got := resp.Header.Get("Content-Encoding"); got != encoding {
				t.Errorf("Content-Encoding %q, want %q", got, encoding)
			}
			if encoding == "gzip" {
				zr, err := gzip.NewReader(strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				plain, err := io.ReadAll(zr)
				if err != nil {
					t.Fatal(err)
				}
				body = string(plain)
			}
			if strings.Contains(body, "10.0.0.1") || strings.Contains(body, "globex") || !strings.Contains(body, "PromQL warning: mine") || !strings.Contains(body, "may be incomplete") {
				t.Errorf("the caller read %s", body)
			}
			f.logged(t, "10.0.0.1:10901")
		})
	}
}

func TestAnErrorThatClaimsToBeFineTellsNoStore(t *testing.T) {
	f := newFence(t, nil)
	f.Answer(reply(200, promError("internal", "store 10.0.0.1:10901 is gone"), "Content-Type", "application/json"))
	_, body := f.Get(t, "/api/v1/query?query=up")
	if strings.Contains(body, "10.0.0.1") || !strings.Contains(body, `{"status":"error","errorType":"internal"`) {
		t.Errorf("the caller read %s", body)
	}
	f.logged(t, "10.0.0.1:10901")
}

func TestAnswersOfOtherTypesAreNotPassedOn(t *testing.T) {
	f := newFence(t, nil)
	for contentType, want := range map[string]int{
		"application/json": 200, "Application/JSON; charset=utf-8": 200, "": 200, "text/plain; charset=utf-8": 200,
		"text/html": 502, "application/vnd.mimir.queryresponse+protobuf": 502, "application/x-protobuf": 502, ";": 502,
	} {
		f.Answer(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{contentType}
			_, _ = io.WriteString(w, success)
		})
		if resp, body := f.Get(t, "/api/v1/query?query=up"); resp.StatusCode != want {
			t.Errorf("%q: %d %s", contentType, resp.StatusCode, body)
		}
	}
}

// What a caller's program makes of an answer is not for its bytes to say.
func TestAnAnswerWithoutATypeIsNotGuessed(t *testing.T) {
	f := newFence(t, nil)
	f.Answer(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		_, _ = io.WriteString(w, "<html><script>1</script>")
	})
	for path, want := range map[string]string{"/api/v1/query?query=up": "application/json", "/federate?match[]=up": "application/octet-stream"} {
		if resp, body := f.Get(t, path); resp.Header.Get("Content-Type") != want {
			t.Errorf("%s: %v %s", path, resp.Header, body)
		}
	}
}

// A caller who half-closes has left, as far as anybody can tell: they must not
// read an empty success.
func TestCallerWhoHalfClosesReadsNoSuccess(t *testing.T) {
	f := newFence(t, nil)
	f.Answer(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	conn := f.Send(t, "/api/v1/query?query=up")
	if tcp, ok := conn.(*net.TCPConn); !ok || tcp.CloseWrite() != nil {
		t.Fatal("not half closed")
	}
	if answer, err := io.ReadAll(conn); len(answer) > 0 {
		t.Errorf("they read %q, %v", answer, err)
	}
}

func TestAnUpstreamBehindAUnixSocketHasNoPrefix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "up.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 1)
	up := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Host + r.URL.RequestURI()
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, success)
	})}
	t.Cleanup(func() { _ = up.Close() })
	go func() { _ = up.Serve(ln) }()
	f := newFence(t, func(o *proxy.Options) { o.Upstream = &url.URL{Scheme: "unix", Path: path} })
	if resp, body := f.Get(t, "/api/v1/query?query=up"); resp.StatusCode != 200 || body != success {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	if got := <-asked; got != "localhost/api/v1/query?query=up%7Btenant_id%3D%22acme%22%7D" {
		t.Errorf("the upstream was asked %s", got)
	}
}
