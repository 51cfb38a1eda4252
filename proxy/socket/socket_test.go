package socket_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/promfence/promfence/proxy/socket"
)

const patience = 30 * time.Second

// networks connects two ends in each way that promfence does.
var networks = map[string]func(t *testing.T) net.Listener{
	"tcp":  func(t *testing.T) net.Listener { return listen(t, "tcp", "127.0.0.1:0") },
	"unix": func(t *testing.T) net.Listener { return listen(t, "unix", filepath.Join(t.TempDir(), "s")) },
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// pair is both ends of a new connection.
func pair(t *testing.T, l net.Listener) (ours, peer net.Conn) {
	t.Helper()
	peer, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ours, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(patience)
	if err := errors.Join(ours.SetDeadline(end), peer.SetDeadline(end)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = ours.Close(), peer.Close() })
	return ours, peer
}

// narrow makes a connection take little at a time, so that most writes have to wait.
func narrow(t *testing.T, c net.Conn) *socket.Conn {
	t.Helper()
	b, _ := c.(interface{ SetWriteBuffer(bytes int) error })
	if err := b.SetWriteBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	return &socket.Conn{Conn: c}
}

// over runs a test over each network.
func over(t *testing.T, f func(t *testing.T, l net.Listener)) {
	t.Helper()
	for name, listen := range networks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, listen(t))
		})
	}
}

// Bytes of any number arrive once and in order, also where the peer takes them slowly.
func TestEveryByteArrivesOnce(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, l net.Listener) {
		for _, size := range []int{0, 1, 4096, 32<<10 - 1, 32 << 10, 32<<10 + 1, 3 << 20} {
			for _, slow := range []bool{false, true} {
				a, b := pair(t, l)
				from, to := narrow(t, a), &socket.Conn{Conn: b}
				sent := make([]byte, size)
				for i := range sent {
					sent[i] = byte(rand.Uint32())
				}
				go func() {
					for rest := sent; len(rest) > 0; {
						part := rest[:min(len(rest), 1+rand.IntN(40<<10))]
						if n, err := from.Write(part); n != len(part) || err != nil {
							t.Errorf("wrote %d of %d bytes: %v", n, len(part), err)
						}
						rest = rest[len(part):]
					}
					_ = from.Close()
				}()
				if slow {
					time.Sleep(20 * time.Millisecond) // the kernel's buffers fill up
				}
				var got bytes.Buffer
				for p := make([]byte, 40<<10); ; {
					n, err := to.Read(p[:1+rand.IntN(len(p))])
					if got.Write(p[:n]); err != nil {
						if !errors.Is(err, io.EOF) {
							t.Error(err)
						}
						break
					}
				}
				if !bytes.Equal(got.Bytes(), sent) {
					t.Errorf("%d bytes of %d arrived, or others", got.Len(), size)
				}
			}
		}
	})
}

// writeOn writes until that fails: nobody reads.
func writeOn(c net.Conn) (int, error) {
	for {
		if _, err := c.Write(make([]byte, 20<<10)); err != nil {
			return 0, err // some may have fit
		}
	}
}

// Whatever happens to a connection, it fails as that of package net.
func TestAConnFailsAsThatOfNet(t *testing.T) {
	t.Parallel()
	read := func(c net.Conn) (int, error) { return c.Read(make([]byte, 100)) }
	write := func(c net.Conn) (int, error) { return c.Write(make([]byte, 100)) }
	for name, do := range map[string]func(c, peer net.Conn) (int, error){
		"the peer has ended": func(c, peer net.Conn) (int, error) { _ = peer.Close(); return read(c) },
		"the peer has broken off": func(c, peer net.Conn) (int, error) {
			_, _ = write(c)
			_, _ = io.ReadFull(peer, make([]byte, 1)) // what is left unread makes a reset of the close
			_ = peer.Close()
			return read(c)
		},
		"writing to nobody": func(c, peer net.Conn) (int, error) {
			_ = peer.Close()
			_, _ = writeOn(c)
			return write(c)
		},
		"closed before a read":  func(c, _ net.Conn) (int, error) { _ = c.Close(); return read(c) },
		"closed before a write": func(c, _ net.Conn) (int, error) { _ = c.Close(); return write(c) },
		"closed during a read": func(c, _ net.Conn) (int, error) {
			time.AfterFunc(20*time.Millisecond, func() { _ = c.Close() })
			return read(c)
		},
		"closed during a write": func(c, _ net.Conn) (int, error) {
			time.AfterFunc(20*time.Millisecond, func() { _ = c.Close() })
			return writeOn(c)
		},
		"late before a read": func(c, _ net.Conn) (int, error) {
			_ = c.SetReadDeadline(time.Unix(1, 0))
			return read(c)
		},
		"late during a read": func(c, _ net.Conn) (int, error) {
			_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			return read(c)
		},
		"late before a write": func(c, _ net.Conn) (int, error) {
			_ = c.SetWriteDeadline(time.Unix(1, 0))
			return write(c)
		},
		"late during a write": func(c, _ net.Conn) (int, error) {
			_ = c.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
			return writeOn(c)
		},
		"nothing to read":  func(c, _ net.Conn) (int, error) { return c.Read(nil) },
		"nothing to write": func(c, _ net.Conn) (int, error) { return c.Write(nil) },
		"bytes, then an end": func(c, peer net.Conn) (int, error) {
			_, _ = io.WriteString(peer, "abc")
			_ = peer.Close()
			return io.ReadFull(c, make([]byte, 100))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			over(t, func(t *testing.T, l net.Listener) {
				said := func(wrap func(net.Conn) net.Conn) []any {
					a, b := pair(t, l)
					n, err := do(wrap(a), b)
					// Addresses differ.
					text := strings.NewReplacer(a.RemoteAddr().String()+":", "PEER:", a.LocalAddr().String()+"->", "US->").Replace(fmt.Sprint(err))
					late, ok := errors.AsType[net.Error](err)
					return []any{
						n, text, fmt.Sprintf("%T", err), errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded),
						ok && late.Timeout(), errors.Is(err, io.EOF),
					}
				}
				want := said(func(c net.Conn) net.Conn { return c })
				if got := said(func(c net.Conn) net.Conn { return &socket.Conn{Conn: c} }); !reflect.DeepEqual(got, want) {
					t.Errorf("got  %v\nwant %v", got, want)
				}
			})
		})
	}
}

// What a write that is late reports has arrived, and nothing else.
func TestALateWriteCountsItsBytes(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, l net.Listener) {
		a, peer := pair(t, l)
		c := &socket.Conn{Conn: a}
		_ = c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		sent := 0
		for b := make([]byte, 31<<10+7); ; {
			n, err := c.Write(b)
			if sent += n; err != nil {
				break
			}
		}
		_ = c.Close()
		if got, err := io.Copy(io.Discard, peer); int(got) != sent || err != nil {
			t.Errorf("%d bytes arrived of %d: %v", got, sent, err)
		}
	})
}

// Several writers at a time do not mix their bytes, nor do readers lose any.
func TestWritersAndReadersTakeTurns(t *testing.T) {
	t.Parallel()
	over(t, func(t *testing.T, l net.Listener) {
		a, b := pair(t, l)
		from, to := narrow(t, a), &socket.Conn{Conn: b}
		const writers, times, size = 8, 50, 10 << 10
		var writing sync.WaitGroup
		for w := range writers {
			writing.Go(func() {
				for range times {
					if _, err := from.Write(bytes.Repeat([]byte{byte(w)}, size)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		go func() { writing.Wait(); _ = from.Close() }()
		for block := make([]byte, size); ; {
			if _, err := io.ReadFull(to, block); err != nil {
				if !errors.Is(err, io.EOF) {
					t.Error(err)
				}
				break
			}
			if bytes.Count(block, block[:1]) != size {
				t.Fatal("bytes of several writers are mixed")
			}
		}
	})
}

// A counted connection is one of net that reads in its own way.
type counted struct {
	*net.TCPConn
	reads int
}

func (c *counted) Read(p []byte) (int, error) {
	c.reads++
	return c.TCPConn.Read(p)
}

// What is not net's own type is asked, and can be looked at if there is a socket.
func TestOtherConnectionsReadThemselves(t *testing.T) {
	t.Parallel()
	a, peer := pair(t, listen(t, "tcp", "127.0.0.1:0"))
	tcp, _ := a.(*net.TCPConn)
	own := &counted{TCPConn: tcp}
	c := &socket.Conn{Conn: own}
	_, _ = io.WriteString(peer, "ab")
	if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil || own.reads != 1 {
		t.Errorf("%d, %v after %d reads of its own", n, err, own.reads)
	}
	if waiting, err := news(c, true); !waiting || err != nil {
		t.Errorf("%t, %v", waiting, err)
	}

	one, other := net.Pipe()
	c = &socket.Conn{Conn: one}
	go func() { _, _ = io.WriteString(other, "x") }()
	if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if waiting, err := c.Peek(); waiting || !errors.Is(err, errors.ErrUnsupported) || c.CanPeek() {
		t.Errorf("%t, %v of what has no socket", waiting, err)
	}
}

// Once it is open, a connection leaves no garbage.
func TestCallsAllocateNothing(t *testing.T) {
	a, b := pair(t, listen(t, "tcp", "127.0.0.1:0"))
	from, to := &socket.Conn{Conn: a}, &socket.Conn{Conn: b}
	p := make([]byte, 1000)
	if n := testing.AllocsPerRun(100, func() {
		_, _ = from.Write(p)
		_, _ = io.ReadFull(to, p)
		_, _ = to.Peek()
	}); n > 0 {
		t.Errorf("%g allocations", n)
	}
}
