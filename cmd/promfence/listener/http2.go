package listener

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

const (
	// maxStreams is what RFC 9113, section 6.5.2, wants at least.
	maxStreams = 100
	// maxFrame is the least that there is. net/http makes room for a frame when its
	// length is announced.
	maxFrame = 16 << 10
	// What of the bodies of a stream, and of all streams of its connection, waits to
	// be read.
	streamBuffer, connectionBuffer = 64 << 10, 128 << 10
	// streamHeaders bounds the headers of all streams of a connection.
	streamHeaders = 1 << 20
	// refusalTimeout is how long a caller may take for a refusal: it holds a stream.
	refusalTimeout = 5 * time.Second
)

// boundHTTP2 bounds what one HTTP/2 connection may hold.
func boundHTTP2(s *http.Server) {
	if s.HTTP2 == nil {
		s.HTTP2 = &http.HTTP2Config{}
	}
	s.HTTP2.MaxConcurrentStreams = maxStreams
	s.HTTP2.MaxReadFrameSize = maxFrame
	s.HTTP2.MaxReceiveBufferPerConnection = connectionBuffer
	s.HTTP2.MaxReceiveBufferPerStream = streamBuffer
}

// handler tells the connection of an HTTP/1 request what follows its header, and
// bounds the requests of HTTP/2, which net/http reads before anybody can count:
// their header lines, the headers of one connection, and the requests of all
// connections, as if each took one.
func (l *Listener) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor < 2 {
			if r.ContentLength != 0 {
				c, _ := r.Context().Value(connKey{}).(net.Conn)
				if c := http1Of(c); c != nil {
					c.expectBody(r.ContentLength)
				}
			}
			next.ServeHTTP(w, r)
			return
		}
		c, _ := r.Context().Value(connKey{}).(net.Conn)
		s := slotOf(c)
		if s == nil { // not one of ours
			refuseStream(w, r, http.StatusInternalServerError)
			return
		}
		lines, size := measure(r)
		if lines > MaxHeaderLines || size > int64(l.options.MaxHeaderBytes) {
			l.options.Metrics.refused.Inc()
			refuseStream(w, r, http.StatusRequestHeaderFieldsTooLarge)
			return
		}
		held, requests := s.headers.Add(size), l.requests.Add(1)
		defer func() { s.headers.Add(-size); l.requests.Add(-1) }()
		if held > streamHeaders || requests > int64(l.options.MaxConnections) {
			l.options.Metrics.delayed.Inc()
			w.Header().Set("Retry-After", "1")
			refuseStream(w, r, http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// measure counts a header as HTTP/1 would spell it.
func measure(r *http.Request) (lines int, size int64) {
	n := len(r.Method) + len(r.RequestURI) + len(r.Host) + len("  HTTP/2.0\r\nHost: \r\n\r\n")
	for name, values := range r.Header {
		lines += len(values)
		for _, v := range values {
			n += len(name) + len(v) + len(": \r\n")
		}
	}
	return lines, int64(n)
}

// refuseStream answers in plain text, without the request's header in memory: how
// long the answer waits is the caller's choice.
func refuseStream(w http.ResponseWriter, r *http.Request, status int) {
	r.Header = nil
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(refusalTimeout))
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, strconv.Itoa(status)+" "+http.StatusText(status)) // a caller who does not read it loses nothing
}
