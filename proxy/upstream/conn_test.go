package upstream_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/proxy/upstream"
)

// requests are one of each method, and one that the sockets do not take at once.
func requests(t *testing.T) map[string]*http.Request {
	t.Helper()
	return map[string]*http.Request{"GET": get(t.Context(), t), "POST": post(t.Context(), t, 100), "a large POST": post(t.Context(), t, 64<<10)}
}

// A query that its upstream died of must not be sent to the next one.
func TestARequestThatMayHaveBeenReadIsNotSentAgain(t *testing.T) {
	for name, second := range map[string]string{ // what the second request of a connection gets
		"nothing": "", "the beginning of an answer": "HTTP/1.1 200 O", "announcements, forever": strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100),
	} {
		for method := range requests(t) {
			t.Run(name+", "+method, func(t *testing.T) {
				w := newWire(t, false, func(conn net.Conn, _, n int) bool {
					if n == 0 {
						_, _ = io.WriteString(conn, says("x"))
						return true
					}
					_, _ = io.WriteString(conn, second)
					return false
				})
				c := w.client(t, nil)
				if _, _, err := send(c, get(t.Context(), t), upstream.Streamed); err != nil {
					t.Fatal(err)
				}
				if _, body, err := send(c, requests(t)[method], upstream.Streamed); err == nil || w.conns.Load() != 1 {
					t.Errorf("%q %v over %d connections", body, err, w.conns.Load())
				}
			})
		}
	}
	t.Run("on a new connection", func(t *testing.T) {
		w := newWire(t, false, func(net.Conn, int, int) bool { return false })
		c := w.client(t, nil)
		for method, r := range requests(t) {
			before := w.conns.Load()
			if _, body, err := send(c, r, upstream.Streamed); err == nil || w.conns.Load() != before+1 {
				t.Errorf("%s: %q %v over %d connections", method, body, err, w.conns.Load()-before)
			}
		}
	})
}

func TestAConnectionThatWasClosedWhileIdleIsReplaced(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		for method := range requests(t) {
			t.Run(fmt.Sprintf("%s, TLS %t", method, secure), func(t *testing.T) {
				t.Parallel()
				closed := make(chan bool, 2)
				w := newWire(t, secure, func(conn net.Conn, _, _ int) bool {
					_, _ = io.WriteString(conn, says("x"))
					_ = conn.Close()
					closed <- true
					return false
				})
				c := w.client(t, nil)
				for range 2 {
					if _, body, err := send(c, requests(t)[method], upstream.Streamed); err != nil || body != "x" {
						t.Fatalf("%q %v", body, err)
					}
					<-closed
					time.Sleep(20 * time.Millisecond) // it has come
				}
			})
		}
	}
}

// The upstream has seen a part of the request only, so it has done nothing.
func TestARequestThatWasNotWrittenWholeIsSentAgain(t *testing.T) {
	const size = 8 << 20 // more than the sockets hold
	w := serveWire(t, false, func(conn net.Conn, m int) {
		br := bufio.NewReader(conn)
		for n := range 2 {
			r, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			if m == 0 && n == 1 { // in the middle of the body
				tcp, ok := conn.(*net.TCPConn)
				if !ok || tcp.SetLinger(0) != nil {
					t.Error("no reset")
				}
				return
			}
			got, _ := io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(conn, says(fmt.Sprint(got)))
		}
	})
	c := w.client(t, nil)
	if _, _, err := send(c, get(t.Context(), t), upstream.Streamed); err != nil {
		t.Fatal(err)
	}
	if _, body, err := send(c, post(t.Context(), t, size), upstream.Streamed); err != nil || body != fmt.Sprint(size) || w.conns.Load() != 2 {
		t.Errorf("%q %v over %d connections", body, err, w.conns.Load())
	}
}

// The time limit is a minute: what is heard in time is heard because it came.
func TestAnUpstreamThatAnswersEarlyIsHeardAtOnce(t *testing.T) {
	const size = 8 << 20
	for name, leave := range map[string]bool{"and stops reading": false, "and hangs up": true} {
		t.Run(name, func(t *testing.T) {
			left := make(chan bool, 1)
			w := serveWire(t, false, func(conn net.Conn, _ int) {
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
					return
				}
				_, _ = io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge")
				if !leave {
					left <- hungUp(conn)
				}
			})
			c := w.client(t, func(o *upstream.Options) { o.Timeout = time.Minute })
			begin := time.Now()
			status, body, err := send(c, post(t.Context(), t, size), upstream.Streamed)
			if err != nil || status != http.StatusRequestEntityTooLarge || body != "large" || time.Since(begin) > patience {
				t.Errorf("%d %q %v after %s", status, body, err, time.Since(begin))
			}
			if !leave && !<-left || c.Idle() > 0 {
				t.Error("the connection is kept, with a part of a request on it")
			}
		})
	}
}

// Whoever no longer waits for an answer ends the upstream's work, too.
func TestTheEndOfARequestsContextEndsTheConnection(t *testing.T) {
	for name, tt := range map[string]struct {
		begun string
		size  int
	}{
		"before the answer":             {"", 0},
		"in the answer":                 {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx", 0},
		"while the request is written":  {"", 8 << 20},
		"in the answer, with a request": {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx", 8 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			began, ended := make(chan bool, 1), make(chan bool, 1)
			c := serveWire(t, false, func(conn net.Conn, _ int) {
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
					return
				}
				_, _ = io.WriteString(conn, tt.begun)
				began <- true
				ended <- hungUp(conn)
			}).client(t, func(o *upstream.Options) { o.Timeout = time.Minute })
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			go func() {
				<-began
				time.Sleep(20 * time.Millisecond) // it has come
				leave()
			}()
			begin := time.Now()
			if _, _, err := send(c, post(ctx, t, tt.size), upstream.Streamed); !errors.Is(err, context.Canceled) || time.Since(begin) > patience {
				t.Errorf("%v after %s", err, time.Since(begin))
			}
			if !<-ended {
				t.Error("the upstream works on for nobody")
			}
		})
	}
}

func TestAnAnswersHeaderIsBounded(t *testing.T) {
	for _, tt := range []struct {
		bytes int
		ok    bool
	}{{200 << 10, true}, {256 << 10, false}, {64 << 20, false}} {
		c := newWire(t, false, func(conn net.Conn, _, _ int) bool {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n")
			line := "X: " + strings.Repeat("x", 1000-5) + "\r\n"
			for range tt.bytes / len(line) {
				if _, err := io.WriteString(conn, line); err != nil {
					return false
				}
			}
			_, _ = io.WriteString(conn, strings.Repeat(line, 1+tt.bytes%len(line)/len(line))+"\r\nx")
			return true
		}).client(t, nil)
		if _, _, err := send(c, get(t.Context(), t), upstream.Streamed); (err == nil) != tt.ok {
			t.Errorf("%d bytes: %v", tt.bytes, err)
		}
	}
}

func TestAnnouncementsAreBounded(t *testing.T) {
	for n, ok := range map[int]bool{0: true, 1: true, 5: true, 6: false, 1000: false} {
		c := newWire(t, false, func(conn net.Conn, _, _ int) bool {
			_, _ = io.WriteString(conn, strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", n)+says("x"))
			return true
		}).client(t, nil)
		if _, body, err := send(c, get(t.Context(), t), upstream.Streamed); (err == nil) != ok || ok && body != "x" {
			t.Errorf("%d announcements: %q %v", n, body, err)
		}
	}
}

// What follows a status that is none must not be taken for the answer.
func TestOnlyAStatusFrom100To199AnnouncesAnAnswer(t *testing.T) {
	for status, want := range map[string]int{"000": 0, "001": 0, "099": 0, "100": 200, "103": 200, "199": 200, "101": 101, "200": 200, "999": 999} {
		c := newWire(t, false, func(conn net.Conn, _, _ int) bool {
			_, _ = io.WriteString(conn, "HTTP/1.1 "+status+" X\r\nContent-Length: 0\r\n\r\n"+says("x"))
			return true
		}).client(t, nil)
		resp, err := c.Send(get(t.Context(), t), upstream.Streamed)
		got := 0
		if err == nil {
			got = resp.StatusCode
			_ = resp.Body.Close()
		}
		if got != want {
			t.Errorf("%s: %d %v, want %d", status, got, err, want)
		}
	}
}

func TestTheProtocolIsAgreedOn(t *testing.T) {
	server, client := certificate(t)
	for name, tt := range map[string]struct {
		offers []string
		want   string
		ok     bool
	}{
		"both": {[]string{"h2", "http/1.1"}, "http/1.1", true}, "none": {nil, "", true}, "another only": {[]string{"spdy"}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			server := server.Clone()
			server.NextProtos = tt.offers
			w := serveWire(t, false, func(conn net.Conn, _ int) {
				secure := tls.Server(conn, server)
				if _, err := http.ReadRequest(bufio.NewReader(secure)); err == nil {
					_, _ = io.WriteString(secure, says("spoken: "+secure.ConnectionState().NegotiatedProtocol))
				}
			})
			w.url.Scheme, w.tls = "https", client
			_, body, err := send(w.client(t, nil), get(t.Context(), t), upstream.Streamed)
			if (err == nil) != tt.ok || tt.ok && body != "spoken: "+tt.want || !tt.ok && !errors.Is(err, upstream.ErrUnreached) {
				t.Errorf("%q %v", body, err)
			}
		})
	}
}
