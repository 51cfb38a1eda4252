// Package socket reads, writes and looks at promfence's sockets, of callers and upstreams.
//
// It exists for one figure. Package net announces each call to the kernel to Go's
// scheduler, as one that may wait: a thread looks after them every 20 µs, and whose call
// takes longer loses its processor to another thread. The sockets of net never wait in
// the kernel, but to send over one often takes longer. Here the calls are not announced.
// A dashboard's request then costs a tenth less CPU time, and a quarter less where
// requests come one by one, measured in one run beside the calls of package net. No call
// takes long, because larger ones are net's, and between them others have their turn.
// Waiting is the runtime's, as ever; so are deadlines, closing, and who may read and
// write at the same time.
//
// It stops one threat: bytes or an end that nobody has read yet and that are taken for
// what comes next. [Conn.Peek] tells of them.
//
// Only this package uses unsafe, for the address of the bytes that the kernel reads or
// writes.
package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
)

const (
	maxCall  = 32 << 10 // bytes: to send so many takes half as long again as to send one
	maxCalls = 32       // without a wait: after so many, others have their turn
)

// A Conn reads, writes and fails as the connection in it. What is not a socket, or reads
// and writes in a way of its own, is left to that.
type Conn struct {
	net.Conn

	once    sync.Once
	socket  syscall.RawConn // nil = none, or closed
	network string          // empty = the connection reads and writes itself
	in, out transfer
	busy    atomic.Int32 // calls since one had to wait, of in and out
	ahead   look
}

// A transfer is a read or a write.
type transfer struct {
	mu    sync.Mutex
	until func(done func(fd uintptr) bool) error // waits between calls
	call  func(fd uintptr) (done bool)
	p     []byte
	n     int
	errno syscall.Errno
	busy  *atomic.Int32
}

// A look is one at what can be read.
type look struct {
	mu    sync.Mutex
	call  func(fd uintptr)
	n     int
	errno syscall.Errno
}

// open finds the socket, once.
func (c *Conn) open() {
	c.once.Do(func() {
		s, ok := c.Conn.(syscall.Conn)
		if !ok || !supported {
			return
		}
		socket, err := s.SyscallConn()
		if err != nil {
			return
		}
		switch c.Conn.(type) { // and nothing that only has one in it
		case *net.TCPConn:
			c.network = "tcp"
		case *net.UnixConn:
			c.network = "unix"
		}
		c.socket = socket
		c.in.until, c.in.call, c.in.busy = socket.Read, c.in.receive, &c.busy
		c.out.until, c.out.call, c.out.busy = socket.Write, c.out.send, &c.busy
		c.ahead.call = func(fd uintptr) { c.ahead.n, c.ahead.errno = peek(fd) }
	})
}

// Read reads as [net.Conn] does.
func (c *Conn) Read(p []byte) (int, error) {
	if c.open(); c.network == "" || len(p) == 0 || len(p) > maxCall {
		return c.Conn.Read(p)
	}
	n, err := c.in.run(p)
	switch {
	case err != nil:
		return n, c.failure("read", err)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// Write writes as [net.Conn] does.
func (c *Conn) Write(p []byte) (int, error) {
	if c.open(); c.network == "" || len(p) == 0 || len(p) > maxCall {
		return c.Conn.Write(p)
	}
	n, err := c.out.run(p)
	if err != nil {
		err = c.failure("write", err)
	}
	return n, err
}

// CanPeek reports whether Peek can tell.
func (c *Conn) CanPeek() bool {
	c.open()
	return c.socket != nil
}

// Peek reports whether there is something to be read, and leaves it there. Its error says
// why there will be nothing any more: [io.EOF], or what ended the connection.
func (c *Conn) Peek() (bool, error) {
	if !c.CanPeek() {
		return false, errors.ErrUnsupported
	}
	l := &c.ahead
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := c.socket.Control(l.call); err != nil {
		return false, err
	}
	switch {
	case l.errno == syscall.EAGAIN:
		return false, nil
	case l.errno != 0:
		return false, l.errno
	case l.n == 0:
		return false, io.EOF
	}
	return true, nil
}

// run transfers bytes, and waits where it must. A goroutine that never has to, because
// its peer sends and takes without a pause, would keep its processor until the runtime
// ends its turn after 10 ms, and everybody else would wait for as many turns as there
// are such peers.
func (t *transfer) run(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.busy.Add(1) > maxCalls {
		t.busy.Store(0)
		runtime.Gosched()
	}
	t.p, t.n, t.errno = p, 0, 0
	err := t.until(t.call)
	t.p = nil
	if err == nil && t.errno != 0 {
		err = t.errno
	}
	return t.n, err
}

// receive reads what there is.
func (t *transfer) receive(fd uintptr) (done bool) {
	t.n, t.errno = receive(fd, t.p)
	if t.errno != 0 {
		t.n = 0
	}
	return t.done()
}

// send writes until all is written.
func (t *transfer) send(fd uintptr) (done bool) {
	for t.n < len(t.p) {
		n, errno := send(fd, t.p[t.n:])
		if t.errno = errno; errno != 0 {
			return t.done()
		}
		t.n += n
	}
	return true
}

// done reports whether a call need not wait. If it must, others have their turn.
func (t *transfer) done() bool {
	if t.errno != syscall.EAGAIN {
		return true
	}
	t.busy.Store(0)
	return false
}

// failure describes an error as package net does. Not every system names the addresses
// of a connection that was reset before it was accepted.
func (c *Conn) failure(op string, err error) error {
	if e, ok := err.(*net.OpError); ok { //nolint:errorlint // made for this call by package net
		e.Op = op
		return e
	}
	return &net.OpError{
		Op: op, Net: c.network, Source: c.LocalAddr(), Addr: c.RemoteAddr(),
		Err: os.NewSyscallError(op, err),
	}
}
