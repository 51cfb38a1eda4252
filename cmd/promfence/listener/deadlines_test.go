package listener_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promfence/promfence/cmd/promfence/listener"
)

// Each case sets deadlines one after the other, and then waits.
func TestTheLastDeadlineCounts(t *testing.T) {
	const passed, never = -time.Second, 24 * time.Hour
	for name, tt := range map[string]struct {
		set  []time.Duration // from now; never = none
		want time.Duration
	}{
		"one":                     {[]time.Duration{time.Second}, time.Second},
		"a later one":             {[]time.Duration{time.Second, time.Minute}, time.Minute},
		"later ones":              {[]time.Duration{time.Second, time.Minute, time.Hour}, time.Hour},
		"a sooner one":            {[]time.Duration{time.Minute, time.Second}, time.Second},
		"none any more":           {[]time.Duration{time.Second, never}, never},
		"a later one after none":  {[]time.Duration{time.Second, never, time.Minute}, time.Minute},
		"a sooner one after none": {[]time.Duration{time.Minute, never, time.Second}, time.Second},
		"one that has passed":     {[]time.Duration{time.Minute, passed}, 0},
		"one after it":            {[]time.Duration{passed, time.Second}, time.Second},
	} {
		for direction, way := range map[string]struct {
			set  func(net.Conn, time.Time) error
			wait func(net.Conn, []byte) (int, error)
		}{
			"reading": {net.Conn.SetReadDeadline, net.Conn.Read},
			"writing": {net.Conn.SetWriteDeadline, net.Conn.Write},
			"both":    {net.Conn.SetDeadline, net.Conn.Read},
		} {
			t.Run(name+", "+direction, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					caller, c := connected(t)
					begin := time.Now()
					for _, d := range tt.set {
						at := begin.Add(d)
						if d == never {
							at = time.Time{}
						}
						if err := way.set(c, at); err != nil {
							t.Fatal(err)
						}
					}
					go func() { time.Sleep(never); _ = caller.Close() }()
					_, err := way.wait(c, make([]byte, 1))
					if took := time.Since(begin); took != tt.want || errors.Is(err, os.ErrDeadlineExceeded) != (tt.want != never) {
						t.Errorf("%v after %s, want %s", err, took, tt.want)
					}
					time.Sleep(never)
				})
			})
		}
	}
}

// connected is a caller's connection and what was accepted of it.
func connected(t *testing.T) (caller, c net.Conn) {
	t.Helper()
	p, l, _ := guarded(listener.Options{})
	caller = p.dial()
	got := <-accept(l)
	if got.err != nil {
		t.Fatal(got.err)
	}
	t.Cleanup(func() { _ = got.conn.Close(); _ = l.Close() })
	return caller, got.conn
}

// A write that goes on after a deadline that was not the last one sends each byte once.
func TestADeadlineThatDoesNotCountCutsNoWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		caller, c := connected(t)
		begin := time.Now()
		_ = c.SetWriteDeadline(begin.Add(time.Second))
		_ = c.SetWriteDeadline(begin.Add(time.Minute))
		got := make(chan string)
		go func() {
			b := make([]byte, 6)
			_, _ = io.ReadFull(caller, b[:2])
			time.Sleep(10 * time.Second)
			_, _ = io.ReadFull(caller, b[2:])
			got <- string(b)
		}()
		if n, err := c.Write([]byte("abcdef")); n != 6 || err != nil {
			t.Errorf("wrote %d: %v", n, err)
		}
		if s := <-got; s != "abcdef" {
			t.Errorf("the caller read %q", s)
		}
	})
}

// A later deadline also counts for a read that waits already.
func TestADeadlineIsMovedUnderARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := connected(t)
		begin := time.Now()
		_ = c.SetReadDeadline(begin.Add(time.Minute))
		go func() {
			time.Sleep(time.Second)
			_ = c.SetReadDeadline(begin.Add(time.Hour))
			time.Sleep(10 * time.Minute)
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
		}()
		_, err := c.Read(make([]byte, 1))
		if took := time.Since(begin); took != 10*time.Minute+2*time.Second || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v after %s", err, took)
		}
	})
}
