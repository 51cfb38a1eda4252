package proxy

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

// A Span is one request as a distributed trace shows it.
type Span struct {
	Trace      [16]byte
	ID, Parent [8]byte // no Parent = the trace begins here
	Start      time.Time
	Took       time.Duration
	Upstream   time.Duration // to the upstream's response header; 0 = it did not answer
	Route      string        // the row's path
	Method     string
	Tenant     string // empty = not proven
	Request    string // X-Request-Id
	Status     int
}

// newSpan continues the trace of the W3C header traceparent, or begins one. It
// is nil when the caller has decided that this trace is not recorded.
func newSpan(h http.Header) *Span {
	s := &Span{}
	_, _ = rand.Read(s.ID[:]) // never fails, by its documentation
	v := h["Traceparent"]
	if len(v) == 1 && s.continues(v[0]) {
		if !strings.ContainsRune("13579bdf", rune(v[0][54])) { // the last bit of the flags
			return nil
		}
		return s
	}
	s.Parent = [8]byte{}
	_, _ = rand.Read(s.Trace[:])
	return s
}

// continues reads a traceparent of version 00: version, trace, parent and flags
// in lower-case hex.
func (s *Span) continues(v string) bool {
	if len(v) != 55 || v[:3] != "00-" || v[35] != '-' || v[52] != '-' {
		return false
	}
	for i, c := range []byte(v) {
		if i != 2 && i != 35 && i != 52 && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	_, errTrace := hex.Decode(s.Trace[:], []byte(v[3:35]))
	_, errParent := hex.Decode(s.Parent[:], []byte(v[36:52]))
	return errTrace == nil && errParent == nil && s.Trace != [16]byte{} && s.Parent != [8]byte{}
}

// joinTracestate makes one line of several: they are one list, by W3C's Trace
// Context.
func joinTracestate(in, out http.Header) {
	lines := in["Tracestate"]
	if len(lines) < 2 {
		return
	}
	delete(out, "Tracestate")
	if all := strings.Join(lines, ","); len(all) <= maxHeaderValue {
		out["Tracestate"] = []string{all}
	}
}

// propagate makes what the upstream records a child of this span.
func (s *Span) propagate(h http.Header) {
	if s == nil {
		return
	}
	if s.Parent == ([8]byte{}) {
		h.Del("Tracestate") // of a trace that we could not read
	}
	h.Set("Traceparent", "00-"+hex.EncodeToString(s.Trace[:])+"-"+hex.EncodeToString(s.ID[:])+"-01")
}

// trace hands over the span of a request that has ended.
func (p *Proxy) trace(r *record) {
	if r.span == nil || !r.decision.made { // probes are no part of a trace
		return
	}
	s := *r.span
	s.Start, s.Took, s.Upstream, s.Route, s.Method, s.Request, s.Status = r.start, r.answered.took, r.upstream.took, r.routeName(), r.method, r.id, r.answered.status
	if r.matcher != nil {
		s.Tenant = r.matcher.names
	}
	p.spans(s)
}
