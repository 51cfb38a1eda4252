package body

import (
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/promfence/promfence/proxy/apierr"
)

const (
	bodyPause   = 5 * time.Second  // how long a request's body may pause
	bodyTimeout = 30 * time.Second // how long it may take to arrive

	// largeBodies is how many bytes the bodies beyond keptBody may have together
	// while they are read: one caller with many streams would take the memory of all.
	largeBodies = 32 << 20
)

// A pacedReader reads a body that may be slow, and may not stop. A writer without
// deadlines (a test's recorder) has no slow peer either.
type pacedReader struct {
	body io.Reader
	rc   http.ResponseController
	end  time.Time
	err  error
}

func (r *pacedReader) Read(p []byte) (n int, err error) {
	if r.err != nil { // at its end net/http waits for the next request, without a deadline of ours
		return 0, r.err
	}
	deadline := time.Now().Add(bodyPause)
	if r.end.Before(deadline) {
		deadline = r.end
	}
	_ = r.rc.SetReadDeadline(deadline)
	n, r.err = r.body.Read(p)
	return n, r.err
}

// A Room is shared by the large bodies that are being read.
type Room struct{ room *semaphore.Weighted }

// NewRoom has room for one body of the greatest length at least.
func NewRoom(maxBody int64) Room {
	return Room{semaphore.NewWeighted(max(largeBodies, maxBody))}
}

// take finds room for n bytes, until the request has been read. It does not wait: over
// HTTP/2 what came of a body that is not read stops all bodies of its connection.
func (b *Body) take(n int64) error {
	if !b.room.room.TryAcquire(n) {
		e := apierr.New(http.StatusServiceUnavailable, "too many large requests are being read: try again, or ask for less in one request")
		e.RetryAfter = time.Second
		return e
	}
	b.taken = n
	return nil
}

// Release gives back what a body took of the room. The request has been read.
func (b *Body) Release() {
	if b.taken > 0 {
		b.room.room.Release(b.taken)
		b.taken = 0
	}
}
