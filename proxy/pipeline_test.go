package proxy_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A refusal does not wait for a body, and what follows the body is a request of
// its own: it is read where it begins, or not at all.
func TestRequestBehindARefusedBody(t *testing.T) {
	t.Parallel() // it waits
	f := newFence(t, nil)
	token := "Authorization: Bearer " + f.Issuer.Token(t, "acme", nil) + "\r\n"
	next := "GET /api/v1/query?query=next HTTP/1.1\r\nHost: x\r\n" + token + "\r\n"
	tests := []struct {
		name, head, body string
		want             []int
	}{
		{"no token", "POST /api/v1/query HTTP/1.1\r\nContent-Length: 8\r\n", "query=up", []int{401, 200}},
		{"no such path, in chunks", "POST /nowhere HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + token, "8\r\nquery=up\r\n0\r\n\r\n", []int{404, 200}},
		{"another type", "POST /api/v1/query HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n" + token, "query=up", []int{415, 200}},
		{"remote read without one", "POST /api/v1/read HTTP/1.1\r\nContent-Length: 8\r\n" + token, "query=up", []int{415, 200}},
		{"a body on GET", "GET /api/v1/query HTTP/1.1\r\nContent-Length: 8\r\n" + token, "query=up", []int{400, 200}},
		{"a body that is a request", "GET /nowhere HTTP/1.1\r\nContent-Length: 41\r\n" + token, "GET /-/healthy HTTP/1.1\r\nHost: x\r\nX: yz\r\n", []int{404, 200}},
		{"an empty body on GET", "GET /api/v1/query?query=up HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + token, "0\r\n\r\n", []int{200, 200}},
		{"too large to skip", "POST /api/v1/query HTTP/1.1\r\nContent-Length: 9000000\r\n" + token, "", []int{413}},
		{"a body that was not asked for", "POST /nowhere HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 8\r\n" + token, "query=up", []int{404}},
		{"a broken chunk", "POST /nowhere HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + token, "zz\r\n", []int{404}},
	}
	var all sync.WaitGroup
	for _, tt := range tests {
		all.Go(func() {
			got := statuses(t, f, len(tt.want), tt.head+"Host: x\r\n\r\n", tt.body+next)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s: the answers (-want +got):\n%s", tt.name, diff)
			}
		})
	}
	all.Wait()
	for _, a := range f.Asked() {
		if q := a.form(t).Get("query"); !strings.HasSuffix(q, `{tenant_id="acme"}`) {
			t.Errorf("the upstream was asked %+v", a)
		}
	}
}

// statuses are those of the answers on one connection: of n, and of one more if
// it comes. What is sent comes in parts, a moment apart.
func statuses(t *testing.T, f *fence, n int, parts ...string) []int {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(f.URL, "http://"))
	if err != nil {
		t.Error(err)
		return nil
	}
	defer conn.Close()
	for _, part := range parts {
		_, _ = io.WriteString(conn, part) // a refusal may have closed it
		time.Sleep(20 * time.Millisecond) // far below the second that promfence waits for what it does not read
	}
	var all []int
	for r := bufio.NewReader(conn); ; {
		wait := time.Minute
		if len(all) >= n {
			wait = 100 * time.Millisecond
		}
		_ = conn.SetReadDeadline(time.Now().Add(wait))
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return all
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		all = append(all, resp.StatusCode)
	}
}
