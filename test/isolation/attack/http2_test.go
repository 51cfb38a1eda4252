package attack_test

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/promfence/promfence/test/harness/upstream"
)

const ownQuery = "/api/v1/query?query=shop_temperature&time="

// tryHTTP2 attacks by frames what the families attack by lines. A header that is
// malformed ends its stream or its connection; what is well formed is answered
// as by HTTP/1.1.
func (w *world) tryHTTP2(t *testing.T) {
	base := []string{":method: GET", ":scheme: http", ":authority: " + w.addr, ":path: " + ownQuery + at, "authorization: Bearer " + w.acme}
	form := []string{":method: POST", ":scheme: http", ":authority: " + w.addr, ":path: /api/v1/query", "authorization: Bearer " + w.acme, "content-type: application/x-www-form-urlencoded"}
	with := func(more ...string) []string { return slices.Concat(base, more) }
	instead := func(line string) []string {
		name, _, _ := strings.Cut(line[1:], ": ")
		return append([]string{line}, slices.DeleteFunc(slices.Clone(base), func(l string) bool { return strings.HasPrefix(l, ":"+name+":") })...)
	}
	for name, lines := range map[string][]string{
		"plain": base, "no authority": base[:2:2], "another authority": instead(":authority: zqx.invalid"), "te: trailers": with("te: trailers"), "a tenant header": with("x-scope-orgid: zqx01", "thanos-tenant: zqx01"),
		"a host beside it": with("host: zqx.invalid"), "an absolute path": instead(":path: http://zqx.invalid" + ownQuery + at), "a length without a body": with("content-length: 5"),
	} {
		if name == "no authority" {
			lines = slices.Concat(lines, base[3:])
		}
		w.checkH2(t, "control/"+name, lines, func(c *h2) { c.open(1, true, lines...) }, http.StatusOK, mine)
	}
	body := []byte("query=shop_temperature&time=" + at)
	w.checkH2(t, "control/form", form, func(c *h2) { c.open(1, false, form...); _ = c.WriteData(1, true, body) }, http.StatusOK, mine)
	w.checkH2(t, "control/trailers", form, func(c *h2) {
		c.open(1, false, form...)
		_ = c.WriteData(1, false, body)
		c.open(1, true, "a: b")
	}, http.StatusOK, mine)
	w.checkH2(t, "control/continuations", base, func(c *h2) {
		block := c.encode(base...)
		_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:7], EndStream: true})
		for chunk := range slices.Chunk(block[7:], 50) {
			_ = c.WriteContinuation(1, false, chunk)
		}
		_ = c.WriteContinuation(1, true, nil)
	}, http.StatusOK, mine)

	for _, path := range []string{"*", "//api/v1/query", "/api/v1/../v1/query", "/api/v1/status/config", "http://x/api/v1/status/config", "/x"} {
		w.checkH2(t, "path "+path, base, func(c *h2) { c.open(1, true, instead(":path: "+path)...) }, http.StatusNotFound, "not_found")
	}
	for _, line := range []string{":path: ", ":path: api/v1/query", ":path: /api/v1/query\r\nx-a: b", ":path: /api/v1/query\x00", ":method: ", ":method: GET\r\nx: y", ":method: CONNECT", ":scheme: ", ":scheme: http\r\nx: y", ":authority: u:p@a", ":authority: a\r\nx: y"} {
		w.checkH2(t, "instead "+line, base, func(c *h2) { c.open(1, true, instead(line)...) }, 0, "")
	}
	for _, line := range []string{":path: /api/v1/status/config", ":method: DELETE", ":tenant: zqx01", ":status: 200", ":protocol: websocket", "X-Scope-OrgID: zqx01", "a b: c", "a\r\nx-scope-orgid: zqx01", "a: b\r\nx-scope-orgid: zqx01", "a: b\x00"} {
		w.checkH2(t, "with "+line, base, func(c *h2) { c.open(1, true, with(line)...) }, 0, "")
	}
	for _, line := range []string{"connection: x-scope-orgid", "transfer-encoding: chunked", "upgrade: h2c", "te: gzip", "proxy-connection: a"} {
		w.checkH2(t, "with "+line, base, func(c *h2) { c.open(1, true, with(line)...) }, http.StatusBadRequest, "not valid in HTTP/2", "only be")
	}
	w.checkH2(t, "two tokens", base, func(c *h2) { c.open(1, true, with("authorization: Bearer "+w.other)...) }, http.StatusUnauthorized, "unauthorized")
	w.checkH2(t, "a body on GET", base, func(c *h2) { c.open(1, false, base...); _ = c.WriteData(1, true, body) }, http.StatusBadRequest, "bad_data")
	w.checkH2(t, "a body that never comes", form, func(c *h2) { c.open(1, false, form...) }, http.StatusRequestTimeout, "timeout")
	for name, write := range map[string]func(*h2){
		"a length too short":          func(c *h2) { c.open(1, false, append(form, "content-length: 5")...); _ = c.WriteData(1, true, body) },
		"pseudo-headers in a trailer": func(c *h2) { c.open(1, false, form...); c.open(1, true, ":path: /api/v1/status/config") },
		"a trailer that is not last":  func(c *h2) { c.open(1, false, form...); c.open(1, false, "a: b") },
		"data on an idle stream":      func(c *h2) { _ = c.WriteData(1, true, body) },
		"a continuation alone":        func(c *h2) { _ = c.WriteContinuation(1, true, c.encode(base...)) },
		"another's continuation": func(c *h2) {
			_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.encode(base...), EndStream: true})
			_ = c.WriteContinuation(3, true, nil)
		},
		"a promise": func(c *h2) {
			_ = c.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: c.encode(base...), EndHeaders: true})
		},
		"references without end": func(c *h2) {
			block := append(c.encode(with("x: "+strings.Repeat("y", 3900))...), bytes.Repeat([]byte{0xbe}, 10_000)...)
			_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndStream: true, EndHeaders: true})
		},
	} {
		w.checkH2(t, name, form, write, 0, "")
	}
}

// checkH2 wants a status and one of the texts, or with status 0 no answer at all
// but a refusal.
func (w *world) checkH2(t *testing.T, name string, lines []string, write func(*h2), status int, wants ...string) {
	t.Run(name, func(t *testing.T) {
		c := dialH2(t, w.addr)
		defer c.conn.Close()
		start := time.Now()
		write(c)
		got := c.read()
		for _, leak := range w.leaks(request(strings.Join(lines, "\r\n")+"\r\n\r\n"), got) {
			t.Errorf("%s reaches acme: %.900s", leak, got.plain)
		}
		if took := time.Since(start); took > 8*time.Second {
			t.Errorf("it took %s", took)
		}
		refused := status == 0 && (got.status == http.StatusRequestHeaderFieldsTooLarge || got.status == 0 && len(got.raw) > 0)
		holds := slices.ContainsFunc(wants, func(want string) bool { return bytes.Contains(got.body, []byte(want)) })
		if !refused && (got.status != status || !holds) {
			t.Errorf("status %d %s, want %d with one of %q: %.300s", got.status, got.raw, status, wants, got.body)
		}
	})
}

// Streams that are taken back, or too many to be served, cost nothing that stays.
func TestHTTP2Floods(t *testing.T) {
	stub := upstream.Stub(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, emptyVector)
	}))
	f := startFence(t, stub.URL, "UPSTREAM_MAX_IDLE_CONNECTIONS=4")
	token := f.Token(t, "acme")
	head := []string{":method: GET", ":scheme: http", ":authority: " + f.addr, ":path: " + ownQuery + at, "authorization: Bearer " + token}
	send(t, f.addr, token, query(mine))
	for name, reset := range map[string]bool{"taken back": true, "all at once": false} {
		before, running := f.Metrics(t), f.Goroutines(t)
		c := dialH2(t, f.addr)
		for id := uint32(1); id < 4000; id += 2 {
			c.open(id, true, head...)
			if reset {
				_ = c.WriteRSTStream(id, http2.ErrCodeCancel)
			}
		}
		_ = c.conn.Close()
		if got := send(t, f.addr, token, query(mine)); got.status != http.StatusOK {
			t.Errorf("%s: the next caller gets %d", name, got.status)
		}
		f.Settles(t, running+2)
		if spent := f.Metrics(t)["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]; spent > 2000*0.005 {
			t.Errorf("%s: %.1f s of CPU for 2,000 streams", name, spent)
		}
	}
}
