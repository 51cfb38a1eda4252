package proxy

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// stallTimeout is how long a caller may take nothing of what was written for
// them, by default: one who reads slowly keeps the answer, one who has stopped
// does not keep our memory and the upstream's.
const stallTimeout = time.Minute

// arm begins the time in which what is written next must be on its way. One
// that has just begun will do: setting a deadline costs more than a look at the
// clock.
func (x *exchange) arm() {
	now := time.Now()
	if now.Sub(x.armed) < x.stall/100 {
		return
	}
	x.armed = now
	// A writer without deadlines (a test's recorder) has no slow peer either.
	_ = http.NewResponseController(x.ResponseWriter).SetWriteDeadline(now.Add(x.stall))
}

// disarm ends it. HTTP/2 resets a stream when its deadline passes, even while
// nothing is written because the upstream is still thinking; HTTP/1 looks at the
// deadline only when it writes, and arm sets it anew.
func (x *exchange) disarm() {
	if x.http2 {
		x.armed = time.Time{}
		_ = http.NewResponseController(x.ResponseWriter).SetWriteDeadline(time.Time{})
	}
}

// FlushError is how http.ResponseController flushes.
func (x *exchange) FlushError() error {
	x.arm()
	defer x.disarm()
	return http.NewResponseController(x.ResponseWriter).Flush()
}

var errStalled = errors.New("the upstream stopped in the middle of its answer")

// A stallReader gives up on a body of which nothing arrives for so long. The
// time in which nobody reads it does not count.
type stallReader struct {
	io.ReadCloser
	timer   *time.Timer
	after   time.Duration
	stalled atomic.Bool
}

func newStallReader(body io.ReadCloser, after time.Duration) io.ReadCloser {
	if after <= 0 {
		return body
	}
	s := &stallReader{ReadCloser: body, after: after}
	s.timer = time.AfterFunc(after, func() {
		s.stalled.Store(true)
		_ = body.Close() // the read that is waiting ends with an error
	})
	s.timer.Stop()
	return s
}

func (s *stallReader) Read(b []byte) (int, error) {
	s.timer.Reset(s.after)
	n, err := s.ReadCloser.Read(b)
	s.timer.Stop()
	if err != nil && err != io.EOF && s.stalled.Load() {
		err = errStalled
	}
	return n, err
}
