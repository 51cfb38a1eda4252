package upstream_test

import (
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/promfence/promfence/proxy/upstream"
)

// What the kernel was told makes a peer that has died without a word noticed
// within 20 s, while it is waited for and while it is written to.
func TestAPeerThatDiesWithoutAWordIsNoticed(t *testing.T) {
	for _, secure := range []bool{false, true} {
		c := newWire(t, secure, func(conn net.Conn, _, _ int) bool {
			_, _ = io.WriteString(conn, says("x"))
			return true
		}).client(t, nil)
		if _, _, err := send(c, get(t.Context(), t), upstream.Streamed); err != nil {
			t.Fatal(err)
		}
		option := func(level, name int) (value int) {
			t.Helper()
			var err error
			if failed := c.Socket(func(fd uintptr) { value, err = syscall.GetsockoptInt(int(fd), level, name) }); failed != nil || err != nil {
				t.Fatal(failed, err)
			}
			return value
		}
		const userTimeout = 0x12 // TCP_USER_TIMEOUT
		idle, interval := option(syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE), option(syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL)
		silence := option(syscall.IPPROTO_TCP, userTimeout) / 1000
		if option(syscall.SOL_SOCKET, syscall.SO_KEEPALIVE) == 0 || silence == 0 || max(silence, idle)+interval >= 20 {
			t.Errorf("TLS %t: probes after %d s, every %d s; silence of %d s is taken for death", secure, idle, interval, silence)
		}
	}
}
