package main_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	promfence "github.com/promfence/promfence/cmd/promfence"
)

// A pipes is a listener in memory, so that time can be a bubble's.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{} }

func (p pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p <- theirs
	return ours
}

func TestConnectionsOnWhichNothingComesAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := make(pipes)
		s := promfence.NewServer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, nil, 620*time.Second)
		go func() { _ = s.Serve(listener) }()
		defer close(listener)

		closedAfter := func(c net.Conn) time.Duration {
			t.Helper()
			begin := time.Now()
			if _, err := io.Copy(io.Discard, c); err != nil {
				t.Error(err)
			}
			return time.Since(begin)
		}
		for name, sent := range map[string]string{"nothing": "", "half a header": "GET / HTTP/1.1\r\nHost: x\r\nX-"} {
			c := listener.dial()
			if _, err := io.WriteString(c, sent); err != nil {
				t.Fatal(err)
			}
			if took := closedAfter(c); took != 10*time.Second {
				t.Errorf("%s was waited for %s", name, took)
			}
		}
		c := listener.dial()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode != http.StatusNoContent {
			t.Fatal(resp, err)
		}
		resp.Body.Close()
		if took := closedAfter(c); took != 620*time.Second {
			t.Errorf("another request was waited for %s", took)
		}
	})
}
