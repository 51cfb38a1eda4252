//go:build linux && (amd64 || arm64) && !race

package socket_test

import (
	"errors"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/promfence/promfence/proxy/socket"
)

// A call that waits in the kernel keeps a processor from everybody else, and is not ended
// by a deadline. So none waits, also of a socket that was made to.
func TestNoCallWaitsInTheKernel(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0)))) // one is left to end a call that waits
	for network, listen := range networks {
		l := listen(t)
		for name, do := range map[string]func(c *socket.Conn) error{
			"look":  func(c *socket.Conn) error { _, err := c.Peek(); return err },
			"read":  func(c *socket.Conn) error { _, err := c.Read(make([]byte, 100)); return err },
			"write": func(c *socket.Conn) error { _, err := writeOn(c); return err },
		} {
			a, peer := pair(t, l)
			makeWaiting(t, a)
			_ = a.SetDeadline(time.Now().Add(20 * time.Millisecond))
			end := time.AfterFunc(patience, func() { _ = peer.Close() })
			if err := do(&socket.Conn{Conn: a}); (err != nil || name != "look") && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("%s, a %s: %v", network, name, err)
			}
			end.Stop()
		}
	}
}

// makeWaiting puts a socket into blocking mode behind the runtime's back.
func makeWaiting(t *testing.T, c net.Conn) {
	t.Helper()
	s, _ := c.(syscall.Conn)
	raw, err := s.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = syscall.SetNonblock(int(fd), false) }); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
}
