package listener

import (
	"errors"
	"os"
	"sync"
	"time"
)

// A deadline is that of a connection's reads, or of its writes. net/http moves the first
// five times for each request, mostly to a later time, and the proxy the second once;
// each would change the runtime's timers. Here a later time, or none, is only noted: a
// deadline that passes too early is set anew, to what was noted, and nobody hears of it.
type deadline struct {
	set func(time.Time) error

	mu     sync.Mutex
	wanted time.Time // zero = none
	armed  time.Time // not after wanted
}

// want sets the deadline.
func (d *deadline) want(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wanted = t
	if t.IsZero() || !d.armed.IsZero() && !t.Before(d.armed) {
		return nil
	}
	d.armed = t
	return d.set(t)
}

// early reports whether an error is a deadline that has passed before it was wanted,
// and sets it anew.
func (d *deadline) early(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.wanted.IsZero() && !time.Now().Before(d.wanted) {
		return false
	}
	d.armed = d.wanted
	return d.set(d.wanted) == nil
}

func (s *slot) SetReadDeadline(t time.Time) error  { return s.read.want(t) }
func (s *slot) SetWriteDeadline(t time.Time) error { return s.write.want(t) }

func (s *slot) SetDeadline(t time.Time) error {
	return errors.Join(s.read.want(t), s.write.want(t))
}

func (s *slot) Read(b []byte) (int, error) {
	for {
		n, err := s.Conn.Read(b)
		if err == nil || n > 0 || !s.read.early(err) {
			return n, err
		}
	}
}

func (s *slot) Write(b []byte) (int, error) {
	written := 0
	for {
		n, err := s.Conn.Write(b[written:])
		if written += n; err == nil || !s.write.early(err) {
			return written, err
		}
	}
}
