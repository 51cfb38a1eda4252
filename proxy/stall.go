package proxy

import (
	"net"
	"net/http"
	"time"
)

// stallTimeout is how long a caller may take nothing of what was written for
// them, by default: one who reads slowly keeps the answer, one who has stopped
// does not keep our memory and the upstream's.
const stallTimeout = time.Minute

// A stallGuard bounds how long a caller may take nothing of an answer.
type stallGuard struct {
	limit time.Duration
	armed time.Time // when the limit began last
	http2 bool
}

// arm begins the time in which what is written next must be on its way. One
// that has just begun will do: setting a deadline costs more than a look at the
// clock.
func (x *exchange) arm() {
	now := time.Now()
	if now.Sub(x.stall.armed) < x.stall.limit/100 {
		return
	}
	x.stall.armed = now
	// A writer without deadlines (a test's recorder) has no slow peer either.
	_ = http.NewResponseController(x.ResponseWriter).SetWriteDeadline(now.Add(x.stall.limit))
}

// disarm ends it. HTTP/2 resets a stream when its deadline passes, even while
// nothing is written because the upstream is still thinking; HTTP/1 looks at the
// deadline only when it writes, and arm sets it anew.
func (x *exchange) disarm() {
	if x.stall.http2 {
		x.stall.armed = time.Time{}
		_ = http.NewResponseController(x.ResponseWriter).SetWriteDeadline(time.Time{})
	}
}

// FlushError is how http.ResponseController flushes.
func (x *exchange) FlushError() error {
	x.arm()
	defer x.disarm()
	return http.NewResponseController(x.ResponseWriter).Flush()
}

// reset ends a connection so that its caller sees that the answer is not whole: over
// HTTP/1.0, an answer without a length ends with its connection, and an orderly end is
// a whole answer.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	for {
		if tcp, ok := conn.(interface{ SetLinger(sec int) error }); ok {
			_ = tcp.SetLinger(0) // closing it then resets it
			return
		}
		over, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return
		}
		conn = over.NetConn()
	}
}
