package attack_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/promfence/promfence/test/harness/upstream"
)

// rawUpstream answers every request with the same bytes, whatever they are.
func rawUpstream(t *testing.T, answer string) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveRaw(t, l, func(conn net.Conn) { answerOnce(bufio.NewReader(conn), conn, answer) })
	return "http://" + l.Addr().String()
}

// serveRaw hands each connection to serve, and closes it behind that.
func serveRaw(t *testing.T, l net.Listener, serve func(net.Conn)) {
	t.Helper()
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
}

// answerOnce reads a request whole and answers it.
func answerOnce(in *bufio.Reader, out io.Writer, answer string) {
	if r, err := http.ReadRequest(in); err == nil {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(out, answer)
	}
}

const emptyVector = `{"status":"success","data":{"resultType":"vector","result":[]}}`

func ok(body string, headers ...string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\nConnection: close\r\n\r\n%s", lines(headers), len(body), body)
}

// What an upstream, or a hop before it, says beside an answer stays with us, and
// what we say stays on it.
func TestAnswersOfStrangeUpstreams(t *testing.T) {
	for name, tt := range map[string]struct {
		request request
		answer  string
		status  int
		want    string // in the answer
		never   string // not in the answer
		header  map[string]string
	}{
		"as it should be": {query("up"), ok(emptyVector), 200, "vector", "", nil},
		"early hints do not take our headers away": {
			query("up"), "HTTP/1.1 103 Early Hints\r\nLink: </zqx>\r\n\r\n" + ok(emptyVector), 200, "vector", "zqx",
			map[string]string{"Cache-Control": "private, no-store", "Vary": "Authorization, X-Promfence-Tenant, X-Promfence-Policy, Accept-Encoding", "Access-Control-Allow-Origin": "*"},
		},
		"early hints before an error": {
			query("up"), "HTTP/1.1 103 Early Hints\r\nLink: </zqx>\r\n\r\nHTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n", 500, "internal", "zqx",
			map[string]string{"Cache-Control": "private, no-store", "Vary": "Authorization, X-Promfence-Tenant, X-Promfence-Policy, Accept-Encoding"},
		},
		"a redirect": {query("up"), "HTTP/1.1 302 Found\r\nLocation: http://zqx/\r\nContent-Length: 0\r\n\r\n", 502, "bad_gateway", "zqx", nil},
		"its headers": {
			query("up"), ok(emptyVector, "Set-Cookie: zqx=1", "Server: zqx", "X-Zqx: 1", "Via: zqx", "WWW-Authenticate: zqx", "Access-Control-Allow-Origin: zqx", "Cache-Control: public", "Location: zqx", "Link: zqx"), 200, "vector", "zqx",
			map[string]string{"Cache-Control": "private, no-store", "Access-Control-Allow-Origin": "*"},
		},
		"trailers":                 {query("up"), "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTrailer: X-Zqx\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Zqx: zqx\r\n\r\n", 200, "{}", "zqx", nil},
		"an answer that was cut":   {get("/api/v1/rules"), "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n" + `{"status":"success","data":{"groups":[{"name":"zqx"`, 502, "bad_gateway", "zqx", nil},
		"a login page":             {get("/api/v1/rules"), "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\nzqx", 502, "bad_gateway", "zqx", nil},
		"a login page for a query": {query("up"), "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\nzqx", 502, "bad_gateway", "zqx", nil},
		"protobuf that was not asked for": {
			get("/api/v1/query?query=up", "Accept: application/vnd.mimir.queryresponse+protobuf"),
			"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.mimir.queryresponse+protobuf\r\nContent-Length: 24\r\n\r\n\x0a\x13store zqx:1 unavaila..", 502, "bad_gateway", "zqx", nil,
		},
		"a warning of stores":               {query("up"), ok(`{"status":"success","warnings":["store zqx:10901 is gone"],"data":{"resultType":"vector","result":[]}}`), 200, "the upstream warned", "zqx", nil},
		"a warning in JSON of another name": {query("up"), strings.Replace(ok(`{"status":"success","warnings":["store zqx:10901 is gone"],"data":{"resultType":"vector","result":[]}}`), "application/json", "APPLICATION/JSON", 1), 200, "the upstream warned", "zqx", nil},
		"when to come back":                 {query("up"), "HTTP/1.1 503 x\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", 503, "unavailable", "", map[string]string{"Retry-After": "7"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := startFence(t, rawUpstream(t, tt.answer))
			got := send(t, f.addr, f.Issuer.Token(t, "acme", nil), tt.request)
			if got.status != tt.status || !bytes.Contains(got.body, []byte(tt.want)) {
				t.Errorf("status %d, want %d with %q: %.600s", got.status, tt.status, tt.want, got.raw)
			}
			if tt.never != "" && bytes.Contains(got.plain, []byte(tt.never)) {
				t.Errorf("%q reaches the caller: %.900q", tt.never, got.plain)
			}
			for name, want := range tt.header {
				if got.header.Get(name) != want {
					t.Errorf("%s is %q, want %q", name, got.header.Get(name), want)
				}
			}
		})
	}
}

// Older servers answer 404 when no target has what is asked for: asked of all
// targets, that tells whether somebody else's has it.
func TestTargetMetadataIsAskedOfOwnTargetsOnly(t *testing.T) {
	stub := upstream.Stub(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"status":"success","data":[]}`)
	}))
	f := startFence(t, stub.URL)
	for _, params := range []string{"", "?metric=secret", "?match_target={a=%22b%22}", "?match_target={tenant_id=%22zqx%22}&metric=secret"} {
		if got := send(t, f.addr, f.Issuer.Token(t, "acme", nil), get("/api/v1/targets/metadata"+params)); got.status != http.StatusOK {
			t.Errorf("%s: %d", params, got.status)
		}
		for _, asked := range stub.Take() {
			if m := asked.Params().Get("match_target"); !strings.Contains(m, `tenant_id="acme"`) {
				t.Errorf("%s: the upstream is asked for match_target=%q", params, m)
			}
		}
	}
}

// Whoever has no token can send what they like to the pages that need none:
// they must not keep a connection for ever, nor make metrics.
func TestStrangersDoNotKeepConnections(t *testing.T) {
	f := startFence(t, "http://127.0.0.1:1")
	for name, head := range map[string]request{
		"health":       "GET /-/healthy HTTP/1.1\r\nHost: {host}\r\n",
		"ready":        "GET /-/ready HTTP/1.1\r\nHost: {host}\r\n",
		"the page":     "GET /docs HTTP/1.1\r\nHost: {host}\r\n",
		"a preflight":  "OPTIONS /api/v1/query HTTP/1.1\r\nHost: {host}\r\nOrigin: https://a\r\nAccess-Control-Request-Method: GET\r\n",
		"no token":     "POST /api/v1/query HTTP/1.1\r\nHost: {host}\r\n",
		"no endpoint":  "POST /api/v1/nothing HTTP/1.1\r\nHost: {host}\r\n",
		"a wrong word": "POST /-/healthy HTTP/1.1\r\nHost: {host}\r\n",
	} {
		for rest, body := range map[string]request{
			"a body that never comes":  "Content-Length: 10\r\n\r\n",
			"a body that never ends":   "Content-Length: 10\r\n\r\nabc",
			"a chunk that never comes": "Transfer-Encoding: chunked\r\n\r\n",
			"a chunk that never ends":  "Transfer-Encoding: chunked\r\n\r\n5\r\nabc",
		} {
			t.Run(name+" with "+rest, func(t *testing.T) {
				t.Parallel()
				if got := send(t, f.addr, "", head+body); got.status == 0 || got.took > 5*time.Second {
					t.Errorf("status %d after %s, want an answer and the end of the connection within 5s", got.status, got.took)
				}
			})
		}
	}
}

func TestStrangersMakeNoMetrics(t *testing.T) {
	f := startFence(t, "http://127.0.0.1:1")
	before := f.Goroutines(t)
	t.Run("paths make no metrics", func(t *testing.T) {
		series := f.Metrics(t)["promfence_requests_total series"]
		for i := range 200 {
			for _, base := range []string{"/docs/", "/", "/api/v1/label/", "/-/"} {
				send(t, f.addr, "", get(fmt.Sprintf("%s%d", base, i)))
			}
		}
		if got := f.Metrics(t)["promfence_requests_total series"]; got > series+20 {
			t.Errorf("%v series, %v before: callers without a token fill our memory", got, series)
		}
	})
	f.Settles(t, before+2)
}

// A caller with a token can be slow, too.
func TestSlowCallersAreNotWaitedFor(t *testing.T) {
	stub := upstream.Stub(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, emptyVector)
	}))
	f := startFence(t, stub.URL)
	before := f.Goroutines(t)
	token := f.Issuer.Token(t, "acme", nil)
	if got := send(t, f.addr, token, post("/api/v1/query", "query=up")); got.status != http.StatusOK {
		t.Fatalf("the legitimate twin answers %d", got.status)
	}
	cut := func(r request, n int) request { return r[:len(r)-n] }
	for name, tt := range map[string]struct {
		request request
		status  int
	}{
		"a form that stops":       {cut(post("/api/v1/query", "query=up"), 3), 408},
		"a body on GET":           {cut(with("GET", "/api/v1/query?query=up", "abc"), 3), 400},
		"a remote read":           {cut(readRaw("abcdef"), 3), 408},
		"a chunk":                 {"POST /api/v1/query HTTP/1.1\r\nHost: {host}\r\n{auth}Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nque", 408},
		"a body for rules":        {cut(with("POST", "/api/v1/rules", "abc"), 3), 405},
		"a body for nobody":       {cut(with("POST", "/api/v1/nothing", "abc"), 3), 404},
		"a big body that stops":   {cut(post("/api/v1/query", strings.Repeat("a", 3<<20)), 1<<20), 413},
		"expects and never sends": {"POST /api/v1/query HTTP/1.1\r\nHost: {host}\r\n{auth}Content-Type: application/x-www-form-urlencoded\r\nExpect: 100-continue\r\nContent-Length: 8\r\n\r\n", 408},
	} {
		t.Run(name, func(t *testing.T) {
			if got := send(t, f.addr, token, tt.request); got.status != tt.status || got.took > 8*time.Second {
				t.Errorf("status %d after %s, want %d within 5s: %.300s", got.status, got.took, tt.status, got.raw)
			}
		})
	}
	f.Settles(t, before+2)
	if n := len(stub.Requests()); n != 1 {
		t.Errorf("%d requests reached the upstream, want the twin alone", n)
	}
}
