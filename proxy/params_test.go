package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestParametersRefused(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	tests := []struct {
		name, method, query, body, contentType string
		status                                 int
		errorType, text                        string
	}{
		{"two different queries in the URL", "GET", "query=up&query=down", "", "", 400, "bad_data", `"query" was sent twice`},
		{"one in the URL, another in the body", "POST", "query=up", "query=down", form, 400, "bad_data", `"query" was sent twice`},
		{"two times", "GET", "query=up&time=1&time=2", "", "", 400, "bad_data", `"time" was sent twice`},
		{"an encoded name", "GET", "query=up&%71uery=down", "", "", 400, "bad_data", `"query" was sent twice`},
		{"a semicolon", "GET", "query=up;query=down", "", "", 400, "bad_data", `";"`},
		{"a semicolon in the body", "POST", "", "query=up;x=y", form, 400, "bad_data", `";"`},
		{"broken percent-encoding", "GET", "query=%zz", "", "", 400, "bad_data", "percent-encoding"},
		{"broken encoding of an unknown name", "GET", "query=up&%zz=1", "", "", 400, "bad_data", "percent-encoding"},
		{"too many", "GET", "query=up" + strings.Repeat("&a=b", 1000), "", "", 400, "bad_data", "too many parameters"},
		{"a body on GET", "GET", "query=up", "query=down", form, 400, "bad_data", "not accepted with GET"},
		{"JSON", "POST", "", `{"query":"up"}`, "application/json", 415, "unsupported_media_type", "x-www-form-urlencoded"},
		{"multipart", "POST", "query=up", "--x\r\n", "multipart/form-data; boundary=x", 415, "unsupported_media_type", ""},
		{"a body without a type", "POST", "", "query=up", "-", 415, "unsupported_media_type", ""},
		{"a strange type parameter", "POST", "", "query=up", form + "; boundary=x", 415, "unsupported_media_type", ""},
		{"no query", "GET", "", "", "", 400, "bad_data", `invalid parameter "query"`},
		{"an empty query", "GET", "query=", "", "", 400, "bad_data", `invalid parameter "query"`},
		{"broken PromQL", "GET", "query=sum(up", "", "", 400, "bad_data", "1:7: parse error: unclosed left parenthesis"},
		{"a huge body", "POST", "", "query=up&x=" + strings.Repeat("y", 1<<20), form, 413, "too_large", "1048576"},
	}
	f := newFence(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := "/api/v1/query?" + tt.query
			r := f.Request(t, tt.method, path, tt.body)
			r.Header.Del("Content-Type")
			if tt.contentType != "-" {
				r.Header.Set("Content-Type", tt.contentType)
			}
			resp, body := f.Do(t, r)
			wantError(t, resp, body, tt.status, tt.errorType, tt.text)
			if a := f.Asked(); a != nil {
				t.Errorf("the upstream was asked %v", a)
			}
		})
	}
}

func TestParametersMerged(t *testing.T) {
	f := newFence(t, nil)
	t.Run("equal values collapse", func(t *testing.T) {
		f.Do(t, f.Request(t, "POST", "/api/v1/query?query=up&time=1", "query=up&time=1"))
		a := f.Asked()
		if len(a) != 1 || a[0].Query != "" || a[0].Body != "query=up%7Btenant_id%3D%22acme%22%7D&time=1" {
			t.Errorf("the upstream was asked %v", a)
		}
	})
	t.Run("selectors of URL and body are one list", func(t *testing.T) {
		f.Do(t, f.Request(t, "POST", "/api/v1/labels?match[]=a", "match[]=b"))
		a := f.Asked()
		want := []string{`{__name__="a",tenant_id="acme"}`, `{__name__="b",tenant_id="acme"}`}
		if len(a) != 1 || a[0].Query != "" || !slices.Equal(a[0].form(t)["match[]"], want) {
			t.Errorf("the upstream was asked %v", a)
		}
	})
	t.Run("an empty POST needs no type", func(t *testing.T) {
		r := f.Request(t, "POST", "/api/v1/labels?match[]=a", "")
		if resp, body := f.Do(t, r); resp.StatusCode != http.StatusOK {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
		f.Asked()
	})
	t.Run("a charset is fine", func(t *testing.T) {
		r := f.Request(t, "POST", "/api/v1/query", "query=up")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
		if resp, body := f.Do(t, r); resp.StatusCode != http.StatusOK {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
		f.Asked()
	})
}

// The upstream refuses it, and should see what the caller wrote.
func TestRulesChosenByNothing(t *testing.T) {
	f := newFence(t, nil)
	f.Get(t, "/api/v1/rules?match[]=%7B%7D")
	if a := f.Asked(); len(a) != 1 || !slices.Equal(a[0].form(t)["match[]"], []string{"{}"}) {
		t.Errorf("the upstream was asked %v", a)
	}
}

func TestSelectorsOfARow(t *testing.T) {
	tests := []struct {
		name, path string
		want       []string // match[] upstream
		status     int
	}{
		{"series without any", "/api/v1/series", nil, 400},
		{"series of everything", "/api/v1/series?match[]={}", nil, 400},
		{"series of the empty string", `/api/v1/series?match[]={a=""}`, nil, 400},
		{"labels without any", "/api/v1/labels", []string{`{tenant_id="acme"}`}, 200},
		{"labels of somebody else", `/api/v1/labels?match[]={tenant_id="globex"}`, []string{`{tenant_id="acme",tenant_id="globex"}`}, 200},
		{"too many", "/api/v1/labels?" + strings.Repeat("match[]=a&", 1001), nil, 400},
		{"federation of nothing", "/federate", nil, 200},
		{"federation of {}", "/federate?match[]={}", nil, 200},
		{"federation of {} and one more", "/federate?match[]={}&match[]=a", []string{`{__name__="a",tenant_id="acme"}`}, 200},
		{"federation of the empty string", `/federate?match[]={a=""}`, []string{`{a="",tenant_id="acme"}`}, 200},
		{"federation of any name", `/federate?match[]={__name__=~".*"}`, []string{`{__name__=~".*",tenant_id="acme"}`}, 200},
	}
	f := newFence(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			escaped := strings.NewReplacer("{", "%7B", "}", "%7D", `"`, "%22").Replace(tt.path)
			resp, body := f.Get(t, escaped)
			if resp.StatusCode != tt.status {
				t.Fatalf("%d %s", resp.StatusCode, body)
			}
			a := f.Asked()
			if tt.status != http.StatusOK {
				if a != nil {
					t.Errorf("the upstream was asked %v", a)
				}
				return
			}
			if len(a) != 1 || !slices.Equal(a[0].form(t)["match[]"], tt.want) {
				t.Errorf("the upstream was asked %v, want %q", a, tt.want)
			}
		})
	}
}

// raw sends bytes and returns the status line of the answer.
func (f *fence) raw(t *testing.T, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(f.URL, "http://"))
	if err != nil {
		return err.Error()
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err.Error()
	}
	if _, err := io.WriteString(conn, request); err != nil {
		return err.Error()
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(line)
}

func TestWireTricks(t *testing.T) {
	f := newFence(t, nil)
	token := "Authorization: Bearer " + f.Issuer.Token(t, "acme", nil) + "\r\n"
	head := func(line string) string { return line + " HTTP/1.1\r\nHost: x\r\n" + token }
	tests := []struct{ name, request, want string }{
		{"the plain twin", head("GET /api/v1/query?query=up") + "\r\n", "200"},
		{"an absolute target", head("GET http://other/api/v1/query?query=up") + "\r\n", "200"},
		{"length and chunks", head("POST /api/v1/query") + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n8\r\nquery=up\r\n0\r\n\r\n", "200"},
		{"two lengths", head("POST /api/v1/query") + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nquery=up", "400"},
		{"a body on GET in chunks", head("GET /api/v1/query?query=up") + "Transfer-Encoding: chunked\r\n\r\n8\r\nquery=up\r\n0\r\n\r\n", "400"},
		{"an escape beside a byte that wants one", head("GET /api/v1/l%61bel/^/values") + "\r\n", "404"},
		{"CONNECT", head("CONNECT other:80") + "\r\n", "404"},
		{"an asterisk", head("OPTIONS *") + "\r\n", "404"},
		{"a WebSocket", head("GET /api/v1/query?query=up") + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "200"},
		{"an unknown expectation", head("POST /api/v1/query") + "Expect: 200-ok\r\nContent-Length: 0\r\n\r\n", "417"},
		{"two tokens", head("GET /api/v1/query?query=up") + token + "\r\n", "401"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := f.raw(t, tt.request)
			if !strings.HasPrefix(got, "HTTP/1.1 "+tt.want) {
				t.Errorf("got %q, want %s", got, tt.want)
			}
			for _, a := range f.Asked() {
				if q := a.form(t).Get("query"); q != `up{tenant_id="acme"}` || a.Header.Get("Upgrade") != "" {
					t.Errorf("the upstream was asked %v", a)
				}
			}
		})
	}
}

func TestHeadersTowardsTheUpstream(t *testing.T) {
	f := newFence(t, nil)
	r := f.Request(t, "GET", "/api/v1/query?query=up", "")
	for _, name := range []string{
		"Cookie", "X-Scope-OrgID", "THANOS-TENANT", "X-Prom-Label-Policy", "X-Forwarded-For", "X-Forwarded-Host", "Forwarded",
		"X-Id-Token", "X-Grafana-Id", "X-Real-Ip", "Range", "If-None-Match", "X-Original-URL", "X-Http-Method-Override", "Te", "Proxy-Authorization",
	} {
		r.Header.Set(name, "globex")
	}
	r.Header.Set("Connection", "close, X-Request-Id, Accept")
	r.Header.Set("X-Request-Id", "abc-1")
	r.Header.Set("Accept", "application/json")
	r.Header["User-Agent"] = []string{""} // none
	f.Do(t, r)
	a := f.Asked()
	if len(a) != 1 {
		t.Fatalf("asked %d times", len(a))
	}
	for name, values := range a[0].Header {
		if !slices.Contains([]string{"Accept-Encoding", "X-Request-Id", "Content-Length"}, name) {
			t.Errorf("%s: %q reached the upstream", name, values)
		}
	}
	if got := fmt.Sprint(a[0].Header["X-Request-Id"], a[0].Header["Accept"]); got != "[abc-1] []" {
		t.Errorf("got %s", got)
	}
}

// Prometheus 3.16 reads it as a yes or no to the use of start timestamps in rates.
func TestTheHeaderOnStartTimestampsReachesTheUpstream(t *testing.T) {
	f := newFence(t, nil)
	const name = "X-Prometheus-Use-Start-Timestamps"
	r := f.Request(t, "GET", "/api/v1/query?query=up", "")
	r.Header[name] = []string{"true", "false"}
	f.Do(t, r)
	if a := f.Asked(); len(a) != 1 || !slices.Equal(a[0].Header[name], []string{"true"}) {
		t.Errorf("the upstream was asked %v", a)
	}
}

func TestAcceptReachesTheUpstreamWhereFormatsDiffer(t *testing.T) {
	f := newFence(t, nil)
	for path, want := range map[string]string{"/federate?match[]=up": "text/plain", "/api/v1/query?query=up": ""} {
		r := f.Request(t, "GET", path, "")
		r.Header.Set("Accept", "text/plain")
		f.Do(t, r)
		if a := f.Asked(); len(a) != 1 || a[0].Header.Get("Accept") != want {
			t.Errorf("%s: the upstream was asked %v", path, a)
		}
	}
}

func TestBodiesThatNeverComeAreNotWaitedFor(t *testing.T) {
	t.Parallel() // it waits
	f := newFence(t, nil)
	var all sync.WaitGroup
	for _, line := range []string{"GET /-/healthy", "GET /-/ready", "GET /api/v1/query", "OPTIONS /api/v1/query"} {
		all.Go(func() {
			answer := f.raw(t, line+" HTTP/1.1\r\nHost: x\r\nOrigin: http://a\r\nAccess-Control-Request-Method: GET\r\nContent-Length: 10\r\n\r\n")
			if !strings.HasPrefix(answer, "HTTP/1.1 ") {
				t.Errorf("%s: %s", line, answer)
			}
		})
	}
	all.Wait()
}

func TestNestedEscapesAreCheap(t *testing.T) {
	f := newFence(t, nil)
	start := time.Now()
	resp, body := f.Get(t, "/api/v1/label/%"+strings.Repeat("25", 30_000)+"41/values")
	wantError(t, resp, body, http.StatusNotFound, "not_found", "")
	if took := time.Since(start); took > 10*time.Second { // all of them decoded take longer
		t.Errorf("it took %s", took)
	}
}
