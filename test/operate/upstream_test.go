package operate_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// raw takes over the connection, writes, and hangs up; reset does so rudely.
func raw(text string, reset bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, text)
		if tcp, ok := conn.(*net.TCPConn); ok && reset {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}
}

func TestUpstreamThatFails(t *testing.T) {
	const begun = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	up := stub(t, map[string]http.HandlerFunc{
		"dies_with_length":  raw(begun+"Content-Length: 1000\r\n\r\n{\"status\":", false),
		"dies_in_chunk":     raw(begun+"Transfer-Encoding: chunked\r\n\r\n400\r\n{\"status\":", false),
		"resets_at_once":    raw("", true),
		"resets_in_answer":  raw(begun+"Content-Length: 1000\r\n\r\n{\"status\":", true),
		"says_nothing":      raw("", false),
		"says_garbage":      raw("\x00\xffSSH-2.0-OpenSSH\r\n\r\n", false),
		"garbage_chunks":    raw(begun+"Transfer-Encoding: chunked\r\n\r\nzz\r\n", false),
		"endless_header":    raw("HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 1<<20), false),
		"dies_late":         raw(begun+"Content-Length: 100000\r\n\r\n{\"status\":\""+strings.Repeat("x", 50_000), false),
		"hangs":             func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"switches_protocol": raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", false),
	})
	f := start(t, up, "UPSTREAM_TIMEOUT=1s")
	before := f.Goroutines(t)
	for name, want := range map[string]int{
		"dies_with_length": 502, "dies_in_chunk": 502, "resets_in_answer": 502, "garbage_chunks": 502, // nothing has left yet
		"dies_late":      0, // no whole answer
		"resets_at_once": 502, "says_nothing": 502, "says_garbage": 502, "endless_header": 502, "switches_protocol": 502,
		"hangs": 504,
	} {
		t.Run(name, func(t *testing.T) {
			status, body, err := ask(t.Context(), http.DefaultClient, f.query(name), f.Token(t, "acme"))
			if want == 0 && err == nil {
				t.Errorf("half an answer looks like a whole one: %d %q", status, body)
			}
			if want != 0 && (status != want || err != nil || !strings.Contains(body, `"status":"error"`)) {
				t.Errorf("%d %q %v, want %d", status, body, err, want)
			}
			if strings.Contains(body, strings.TrimPrefix(up, "http://")) {
				t.Errorf("the upstream's address is told: %s", body)
			}
			f.wants(t, "beta", "up", http.StatusOK)
		})
	}
	http.DefaultClient.CloseIdleConnections()
	f.Settles(t, before+10)
}

func TestUpstreamThatComesBack(t *testing.T) {
	address := freeAddress(t)
	f := start(t, "http://"+address)
	f.wants(t, "acme", "up", http.StatusBadGateway)
	for range 2 {
		ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { respond(w) })}
		go func() { _ = s.Serve(ln) }()
		f.wants(t, "acme", "up", http.StatusOK)
		_ = s.Close()
		f.wants(t, "acme", "up", http.StatusBadGateway)
	}
}

// An upstream closes connections that are idle at any time, which is no caller's
// business. One that closes them with a request on it may have died of it.
func TestUpstreamThatClosesConnections(t *testing.T) {
	for name, tt := range map[string]struct {
		reads  bool // the second request, before it leaves
		status int
	}{"while they are idle": {false, http.StatusOK}, "at the second request": {true, http.StatusBadGateway}} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			var conns atomic.Int64
			go func() { // promises to keep each connection, and answers once
				for {
					conn, err := ln.Accept()
					if err != nil {
						return
					}
					conns.Add(1)
					go func() {
						defer conn.Close()
						br := bufio.NewReader(conn)
						r, err := http.ReadRequest(br)
						if err != nil {
							return
						}
						_, _ = io.Copy(io.Discard, r.Body)
						_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
						if tt.reads {
							_, _ = http.ReadRequest(br)
						}
					}()
				}
			}()
			f := start(t, "http://"+ln.Addr().String())
			token := f.Token(t, "acme")
			for i := range 20 {
				method, address, body := http.MethodGet, f.query("up"), ""
				if i/2%2 == 1 {
					method, address, body = http.MethodPost, f.URL+"/api/v1/query", "query=up"
				}
				r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Authorization", "Bearer "+token)
				if body != "" {
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				}
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				want := http.StatusOK
				if i%2 == 1 {
					want = tt.status
				}
				if resp.StatusCode != want {
					t.Fatalf("request %d, a %s: %d, want %d\n%s", i, method, resp.StatusCode, want, f.Log())
				}
				time.Sleep(10 * time.Millisecond) // a farewell has come
			}
			if n, want := conns.Load(), int64(20); !tt.reads && n != want || tt.reads && n != want/2 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

func TestCallerWhoVanishes(t *testing.T) {
	arrived, left := make(chan bool, 1), make(chan bool, 1)
	f := start(t, stub(t, map[string]http.HandlerFunc{"slow": func(_ http.ResponseWriter, r *http.Request) {
		arrived <- true
		<-r.Context().Done()
		left <- true
	}}))
	before := f.Goroutines(t)
	ctx, vanish := context.WithCancel(t.Context())
	go func() { _, _, _ = ask(ctx, http.DefaultClient, f.query("slow"), f.Token(t, "acme")) }()
	<-arrived
	vanish()
	select {
	case <-left:
	case <-time.After(patience):
		t.Fatal("the upstream still works for nobody")
	}
	f.Settles(t, before+10)
	if n := f.metric(t, "promfence_requests_in_flight"); n != 0 {
		t.Errorf("%v requests in flight", n)
	}
}
