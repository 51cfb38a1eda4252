package socket_test

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/promfence/promfence/proxy/socket"
)

// A goroutine whose calls never have to wait lets others have their turn between them.
func TestOthersHaveTheirTurn(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const calls = 4 * socket.MaxCalls
	for network, listen := range networks {
		l := listen(t)
		for name, do := range map[string]func(c *socket.Conn) (int, error){
			"writes": func(c *socket.Conn) (int, error) { return c.Write([]byte("x")) },
			"reads":  func(c *socket.Conn) (int, error) { return c.Read(make([]byte, 1)) },
		} {
			a, peer := pair(t, l)
			c := &socket.Conn{Conn: a}
			if name == "reads" {
				_, _ = peer.Write(make([]byte, calls))
				if waiting, err := news(c, true); !waiting || err != nil {
					t.Fatal(waiting, err)
				}
			}
			var others atomic.Bool
			go others.Store(true)
			for range calls {
				if n, err := do(c); n != 1 || err != nil {
					t.Fatal(n, err)
				}
			}
			if !others.Load() {
				t.Errorf("%s: nobody else had a turn in %d %s", network, calls, name)
			}
		}
	}
}
