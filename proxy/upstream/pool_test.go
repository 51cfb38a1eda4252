package upstream_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/promfence/promfence/proxy/upstream"
)

// An answer that nobody asked for must not be taken for the next one's, which
// may be another tenant's.
func TestWhatNobodyAskedForAnswersNobody(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(io.Writer, string, string){
		"in one write": func(w io.Writer, own, stray string) { _, _ = io.WriteString(w, own+stray) },
		"just behind": func(w io.Writer, own, stray string) {
			_, _ = io.WriteString(w, own)
			_, _ = io.WriteString(w, stray)
		},
		"while it is idle": func(w io.Writer, own, stray string) {
			_, _ = io.WriteString(w, own)
			time.Sleep(20 * time.Millisecond)
			_, _ = io.WriteString(w, stray)
		},
		"one byte": func(w io.Writer, own, _ string) { _, _ = io.WriteString(w, own+"\n") },
	} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, TLS %t", name, secure), func(t *testing.T) {
				t.Parallel()
				said := make(chan bool, 5)
				c := newWire(t, secure, func(conn net.Conn, m, n int) bool {
					answer(conn, says(fmt.Sprintf("own %d.%d", m, n)), says("stray"))
					said <- true
					return true
				}).client(t, nil)
				for i := range 5 {
					status, body, err := send(c, get(t.Context(), t), upstream.Streamed)
					if err != nil || status != http.StatusOK || body != fmt.Sprintf("own %d.0", i) {
						t.Fatalf("request %d got %d %q %v", i, status, body, err)
					}
					<-said // what comes while it is idle has been sent
					time.Sleep(50 * time.Millisecond)
				}
			})
		}
	}
}

// A record of TLS that has come in part only is as bad: nothing can be deciphered
// yet.
func TestABeginningOfWhatNobodyAskedForAnswersNobody(t *testing.T) {
	t.Parallel()
	for _, part := range []int{3, 5, 20} {
		c := newWire(t, true, func(conn net.Conn, m, _ int) bool {
			secure, _ := conn.(*tls.Conn)
			raw, _ := secure.NetConn().(*heldConn)
			raw.hold()
			_, _ = io.WriteString(secure, says(fmt.Sprintf("own %d", m)))
			own := raw.held()
			_, _ = io.WriteString(secure, says("stray"))
			raw.send(own + part)
			time.Sleep(200 * time.Millisecond) // the next request has been sent, on this connection or another
			raw.send(raw.held())
			return true
		}).client(t, nil)
		for i := range 2 {
			if status, body, err := send(c, get(t.Context(), t), upstream.Streamed); err != nil || body != fmt.Sprintf("own %d", i) {
				t.Errorf("with %d bytes, request %d got %d %q %v", part, i, status, body, err)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// strays is an upstream that says what nobody asked for on its first connection,
// when told to.
func strays(t *testing.T, secure bool) (c *upstream.Client, w *wire, say func(string)) {
	t.Helper()
	first := make(chan net.Conn, 1)
	w = newWire(t, secure, func(conn net.Conn, m, n int) bool {
		_, _ = io.WriteString(conn, says("x"))
		if m == 0 && n == 0 {
			first <- conn
		}
		return true
	})
	c = w.client(t, nil)
	return c, w, func(text string) {
		t.Helper()
		conn := <-first
		if text == "" {
			_ = conn.Close()
		} else if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond) // it has come
	}
}

// together makes n connections that become idle at the same time, the first one last.
func together(t *testing.T, c *upstream.Client, kinds ...upstream.Kind) {
	t.Helper()
	var open []*http.Response
	for _, kind := range kinds {
		resp, err := c.Send(get(t.Context(), t), kind)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()   // reading it to its end gives the connection back
		open = append(open, resp) //nolint:bodyclose // closed above
	}
	for i := range open {
		if _, err := io.Copy(io.Discard, open[len(open)-1-i].Body); err != nil {
			t.Fatal(err)
		}
	}
	if c.Idle() != len(kinds) {
		t.Fatalf("%d connections are idle, want %d", c.Idle(), len(kinds))
	}
}

func TestWhatBecameIdleJustBeforeAnUnaskedAnswerIsClosedWithIt(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		says string
		age  time.Duration // how long before the others were idle
		left int           // idle connections afterwards, beside the one that has served
		all  int64
	}{
		"at the same time":     {says("stray"), 0, 0, 4},
		"long before":          {says("stray"), 2 * time.Second, 2, 3},
		"nothing was said":     {"", 0, 2, 3},
		"nothing, long before": {"", 2 * time.Second, 2, 3},
	} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, TLS %t", name, secure), func(t *testing.T) {
				t.Parallel()
				c, w, say := strays(t, secure)
				together(t, c, upstream.Streamed, upstream.Filtered, upstream.Filtered)
				if tt.age > 0 { // the first one becomes idle anew
					c.Age(tt.age)
					if _, _, err := send(c, get(t.Context(), t), upstream.Streamed); err != nil {
						t.Fatal(err)
					}
				}
				say(tt.says)
				if _, body, err := send(c, get(t.Context(), t), upstream.Streamed); err != nil || body != "x" {
					t.Fatalf("%q %v", body, err)
				}
				if got := c.Idle() - 1; got != tt.left || w.conns.Load() != 4 {
					t.Errorf("%d other connections are idle, want %d; %d in all", got, tt.left, w.conns.Load())
				}
			})
		}
	}
	t.Run("behind the answer", func(t *testing.T) {
		w := newWire(t, false, func(conn net.Conn, m, n int) bool {
			stray := ""
			if m == 0 && n == 1 {
				stray = says("stray")
			}
			_, _ = io.WriteString(conn, says("x")+stray)
			return true
		})
		c := w.client(t, nil)
		together(t, c, upstream.Streamed, upstream.Filtered)
		if _, _, err := send(c, get(t.Context(), t), upstream.Streamed); err != nil || c.Idle() != 0 {
			t.Errorf("%v; %d connections are idle", err, c.Idle())
		}
	})
}

// A raw answer that a filter should have read must not answer a narrowed request.
func TestKindsShareNoConnection(t *testing.T) {
	w := newWire(t, false, func(conn net.Conn, m, _ int) bool {
		_, err := io.WriteString(conn, says(fmt.Sprint(m)))
		return err == nil
	})
	c := w.client(t, nil)
	for i := range 6 {
		kind, want := upstream.Streamed, "0"
		if i%2 == 1 {
			kind, want = upstream.Filtered, "1"
		}
		if _, body, err := send(c, get(t.Context(), t), kind); err != nil || body != want {
			t.Errorf("request %d was answered by connection %q, want %s: %v", i, body, want, err)
		}
	}
}

func TestAConnectionServesOneRequestAfterAnother(t *testing.T) {
	chunked := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nTrailer: x\r\n\r\n"
	failed := "HTTP/1.1 422 No\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	for name, tt := range map[string]struct {
		answer string
		most   int
		conns  int64
	}{
		"a length":                   {says("x"), 1, 1},
		"chunks and a trailer":       {chunked, 1, 1},
		"an error":                   {failed, 1, 1},
		"nothing":                    {"HTTP/1.1 204 No Content\r\n\r\n", 1, 1},
		"after an announcement":      {"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + says("x"), 1, 1},
		"a farewell":                 {strings.Replace(says("x"), "\r\n", "\r\nConnection: close\r\n", 1), 1, 3},
		"an old version":             {strings.Replace(says("x"), "HTTP/1.1", "HTTP/1.0", 1), 1, 3},
		"an old version that stays":  {strings.Replace(says("x"), "HTTP/1.1 200 OK", "HTTP/1.0 200 OK\r\nConnection: keep-alive", 1), 1, 3},
		"none may serve twice":       {says("x"), 0, 3},
		"none may, and it is chunks": {chunked, 0, 3},
	} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, TLS %t", name, secure), func(t *testing.T) {
				w := newWire(t, secure, func(conn net.Conn, _, _ int) bool {
					_, err := io.WriteString(conn, tt.answer)
					return err == nil
				})
				c := w.client(t, func(o *upstream.Options) { o.MaxIdleConnections = tt.most })
				for i := range 3 {
					if status, body, err := send(c, get(t.Context(), t), upstream.Streamed); err != nil {
						t.Errorf("request %d got %d %s %v", i, status, body, err)
					}
				}
				if got := w.conns.Load(); got != tt.conns {
					t.Errorf("%d connections, want %d", got, tt.conns)
				}
			})
		}
	}
}

// An answer that was not read to its end leaves a part of itself behind.
func TestAConnectionWithHalfAnAnswerServesNobody(t *testing.T) {
	w := newWire(t, false, func(conn net.Conn, m, _ int) bool {
		_, err := io.WriteString(conn, says(fmt.Sprint(m, strings.Repeat("x", 1000))))
		return err == nil
	})
	c := w.client(t, nil)
	for i := range 2 {
		resp, err := c.Send(get(t.Context(), t), upstream.Streamed)
		if err != nil {
			t.Fatal(err)
		}
		begin := make([]byte, 1)
		if _, err := io.ReadFull(resp.Body, begin); err != nil || string(begin) != fmt.Sprint(i) {
			t.Errorf("request %d was answered by connection %s: %v", i, begin, err)
		}
		_ = resp.Body.Close()
	}
}

// More callers at once than connections are kept for leave no more than those.
func TestIdleConnectionsAreBoundedAndEnd(t *testing.T) {
	var ended sync.WaitGroup
	w := serveWire(t, false, func(conn net.Conn, _ int) {
		ended.Add(1)
		defer ended.Done()
		_, _ = io.ReadFull(conn, make([]byte, 1))
		_, _ = io.WriteString(conn, says("x"))
		if !hungUp(conn) {
			t.Error("a connection stays open for ever")
		}
	})
	c := w.client(t, func(o *upstream.Options) { o.MaxIdleConnections = 3 })
	var open []*http.Response
	for range 10 {
		resp, err := c.Send(get(t.Context(), t), upstream.Kind(len(open)%2))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()   // reading it to its end gives the connection back
		open = append(open, resp) //nolint:bodyclose // closed above
	}
	for _, resp := range open {
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
	}
	if c.Idle() != 3 {
		t.Errorf("%d connections are idle, want 3", c.Idle())
	}
	c.Reap()
	if c.Idle() != 3 {
		t.Errorf("%d connections are idle after they were looked through, want 3", c.Idle())
	}
	c.Age(2 * time.Minute)
	c.Reap()
	if c.Idle() != 0 {
		t.Errorf("%d connections are idle after minutes", c.Idle())
	}
	resp, err := c.Send(get(t.Context(), t), upstream.Streamed)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	c.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || c.Idle() != 0 {
		t.Errorf("%v; %d connections are idle after the end", err, c.Idle())
	}
	ended.Wait()
}

// The connection that has been idle longest makes room, whatever its kind.
func TestALongIdleConnectionMakesRoom(t *testing.T) {
	w := newWire(t, false, func(conn net.Conn, m, _ int) bool {
		_, err := io.WriteString(conn, says(fmt.Sprint(m)))
		return err == nil
	})
	c := w.client(t, func(o *upstream.Options) { o.MaxIdleConnections = 2 })
	together(t, c, upstream.Filtered, upstream.Filtered)
	c.Age(time.Second)
	for range 3 {
		if _, body, err := send(c, get(t.Context(), t), upstream.Streamed); err != nil || body != "2" || c.Idle() != 2 {
			t.Errorf("connection %q, %v; %d are idle", body, err, c.Idle())
		}
	}
	if _, body, err := send(c, get(t.Context(), t), upstream.Filtered); err != nil || body != "0" {
		t.Errorf("connection %q, which had been idle longest, or a new one: %v", body, err)
	}
}

// Where nobody can tell what the upstream has done, it may have sent anything.
func TestAConnectionThatCannotBeLookedAtServesOnce(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	if !upstream.New(upstream.Options{URL: &url.URL{Scheme: "http", Host: "x"}}).TakesForGone(ours) {
		t.Error("it would be used again")
	}
}
