package attack_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// A request is what goes over the wire, byte for byte, but for {host} and
// {auth}, which stand for the server and for the caller's Authorization header.
type request string

// get is a GET as any client would send it. Headers are whole lines.
func get(target string, headers ...string) request { return bare("GET", target, headers...) }

func bare(method, target string, headers ...string) request {
	return request(method + " " + target + " HTTP/1.1\r\nHost: {host}\r\n{auth}" + lines(headers) + "Connection: close\r\n\r\n")
}

// post is a form as any client would send it.
func post(target, form string, headers ...string) request {
	return with("POST", target, form, append([]string{"Content-Type: application/x-www-form-urlencoded"}, headers...)...)
}

// with is a request with a body of a known length.
func with(method, target, body string, headers ...string) request {
	return request(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: {host}\r\n{auth}%sContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		method, target, lines(headers), len(body), body))
}

func lines(headers []string) string {
	var b strings.Builder
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	return b.String()
}

// query is an instant query, at the time at which the loaded series are.
func query(text string) request {
	return get("/api/v1/query?time=" + at + "&query=" + url.QueryEscape(text))
}

// An answer is all that came back on one connection.
type answer struct {
	raw    []byte // as it came
	status int    // of the last response; 0 = none
	header http.Header
	body   []byte // of the last response, decoded
	plain  []byte // everything of every response in every decoding
	took   time.Duration
}

// send writes a request to addr and reads until the other side hangs up. A part
// may be "{pause}": nothing is sent for that long.
func send(t testing.TB, addr, token string, r request) *answer {
	t.Helper()
	auth := ""
	if token != "" {
		auth = "Authorization: Bearer " + token + "\r\n"
	}
	text := strings.NewReplacer("{host}", addr, "{auth}", auth).Replace(string(r))
	start := time.Now()
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(start.Add(time.Minute))
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = io.WriteString(conn, text) // a refusal may cut it short
	}()
	a := &answer{}
	a.raw, err = io.ReadAll(conn)
	a.took = time.Since(start)
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		t.Errorf("the answer does not end: %.300q", a.raw)
	}
	_ = conn.Close()
	<-written
	a.parse(text)
	return a
}

// parse reads the responses, one after another, and collects every reading of
// them in plain.
func (a *answer) parse(sent string) {
	a.plain = append(a.plain, a.raw...)
	method, _, _ := strings.Cut(sent, " ")
	for in := bufio.NewReader(bytes.NewReader(a.raw)); ; {
		resp, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return
		}
		if resp.StatusCode >= http.StatusOK {
			a.status, a.header = resp.StatusCode, resp.Header
		}
		body, _ := io.ReadAll(resp.Body) // what is left of a cut answer counts, too
		_ = resp.Body.Close()
		a.plain = append(a.plain, body...)
		if resp.Header.Get("Content-Encoding") == "gzip" {
			if z, err := gzip.NewReader(bytes.NewReader(body)); err == nil {
				body, _ = io.ReadAll(z)
				a.plain = append(a.plain, body...)
			}
		}
		a.plain = fmt.Append(a.plain, resp.Trailer)
		a.plain = append(a.plain, unsnapped(body)...)
		a.body = body
	}
}
