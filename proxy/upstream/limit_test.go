package upstream_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/upstream"
)

// The time limit holds for the way there, wherever the upstream stops.
func TestAnUpstreamThatStopsIsLeft(t *testing.T) {
	t.Parallel()
	stops := func(t *testing.T, begun string) func(net.Conn, int) {
		t.Helper()
		return func(conn net.Conn, _ int) {
			_, _ = io.WriteString(conn, begun)
			<-t.Context().Done()
		}
	}
	for name, begun := range map[string]string{"before it reads": "", "in the status": "HTTP/1.1 2", "in the header": "HTTP/1.1 200 OK\r\nContent-Le", "after an announcement": "HTTP/1.1 103 Early Hints\r\n\r\nHTT"} {
		for method := range requests(t) {
			t.Run(name+", "+method, func(t *testing.T) {
				t.Parallel()
				w := serveWire(t, false, stops(t, begun))
				c := w.client(t, func(o *upstream.Options) { o.Timeout = 200 * time.Millisecond })
				_, body, err := send(c, requests(t)[method], upstream.Streamed)
				for end := time.Now().Add(patience); w.conns.Load() == 0; time.Sleep(time.Millisecond) { // it was made, and is still to be accepted
					if time.Now().After(end) {
						t.Fatal("no connection")
					}
				}
				if !upstream.IsTimeout(err) || errors.Is(err, upstream.ErrUnreached) || w.conns.Load() != 1 {
					t.Errorf("%q %v over %d connections", body, err, w.conns.Load())
				}
			})
		}
	}
	t.Run("while more is written than the sockets hold", func(t *testing.T) {
		t.Parallel()
		w := serveWire(t, false, stops(t, ""))
		c := w.client(t, func(o *upstream.Options) { o.Timeout = 200 * time.Millisecond })
		if _, _, err := send(c, post(t.Context(), t, 8<<20), upstream.Streamed); !upstream.IsTimeout(err) {
			t.Error(err)
		}
	})
	t.Run("in the body", func(t *testing.T) {
		t.Parallel()
		w := serveWire(t, false, stops(t, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbegun"))
		c := w.client(t, func(o *upstream.Options) { o.Timeout = 500 * time.Millisecond })
		for body := ""; body == ""; { // on a busy machine its begin may come too late
			var err error
			if _, body, err = send(c, get(t.Context(), t), upstream.Streamed); body != "" && body != "begun" || !upstream.IsTimeout(err) {
				t.Fatalf("%q %v", body, err)
			}
			if e, ok := errors.AsType[*apierr.Error](err); body != "" && (!ok || e.Status != http.StatusGatewayTimeout || strings.Contains(e.Message, "127.0.0.1")) {
				t.Errorf("a caller is told %v", err)
			}
		}
	})
}

func TestAnUpstreamThatPausesInTheBodyIsWaitedFor(t *testing.T) {
	const limit = 2 * time.Second
	for name, tt := range map[string]struct {
		pause time.Duration
		want  string
	}{"not for as long as the limit": {limit - 1, "xxxxx"}, "for longer": {limit + limit/50, "x"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := clientOf(t, "http://u", upstream.Options{Timeout: limit})
				ours, theirs := net.Pipe()
				var upstreamEnds sync.WaitGroup
				defer upstreamEnds.Wait()
				upstreamEnds.Go(func() {
					defer theirs.Close()
					_, _ = http.ReadRequest(bufio.NewReader(theirs))
					_, err := io.WriteString(theirs, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nx")
					for n := 1; n < 5 && err == nil; n++ {
						time.Sleep(tt.pause)
						_, err = io.WriteString(theirs, "x")
					}
				})
				resp, err := c.SendOver(ours, get(t.Context(), t))
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if body, err := io.ReadAll(resp.Body); string(body) != tt.want || upstream.IsTimeout(err) != (len(tt.want) < 5) {
					t.Errorf("%q %v", body, err)
				}
			})
		})
	}
}
