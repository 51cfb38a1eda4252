package proxy

import (
	"io"
	"net/http"
	"time"
)

const (
	bodyPause   = 5 * time.Second  // how long a request's body may pause
	bodyTimeout = 30 * time.Second // how long it may take to arrive
)

// A pacedReader reads a body that may be slow, and may not stop. A writer without
// deadlines (a test's recorder) has no slow peer either.
type pacedReader struct {
	io.Reader
	rc  *http.ResponseController
	end time.Time
}

func (r pacedReader) Read(p []byte) (int, error) {
	deadline := time.Now().Add(bodyPause)
	if r.end.Before(deadline) {
		deadline = r.end
	}
	_ = r.rc.SetReadDeadline(deadline)
	return r.Reader.Read(p)
}
