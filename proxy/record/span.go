package record

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
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

// A spanUnderWay is the span of a request that has not ended.
type spanUnderWay struct {
	Span
	state trace.TraceState // the caller's, to be passed on
}

// newSpan continues the trace that the caller's headers name, or begins one. It is
// nil when the caller has decided that this trace is not recorded.
func newSpan(h http.Header) *spanUnderWay {
	s := &spanUnderWay{}
	_, _ = rand.Read(s.ID[:]) // never fails, by its documentation
	if parent := callersSpan(h); parent.IsValid() {
		if !parent.IsSampled() {
			return nil
		}
		s.Trace, s.Parent, s.state = parent.TraceID(), parent.SpanID(), parent.TraceState()
		return s
	}
	_, _ = rand.Read(s.Trace[:])
	return s
}

// maxTracestate bounds what is read of the header of that name.
const maxTracestate = 4 << 10

// callersSpan is the span that a caller's headers name, if they name one. With two
// lines of traceparent they name none; those of tracestate are one list.
func callersSpan(h http.Header) trace.SpanContext {
	if len(h["Traceparent"]) != 1 {
		return trace.SpanContext{}
	}
	carrier := propagation.HeaderCarrier{"Traceparent": h["Traceparent"]}
	if state := strings.Join(h["Tracestate"], ","); state != "" && len(state) <= maxTracestate {
		carrier.Set("Tracestate", state)
	}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
}

// context is the span as the parent of what the upstream records, and nobody's
// where none is recorded.
func (s *spanUnderWay) context() trace.SpanContext {
	if s == nil {
		return trace.SpanContext{}
	}
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: s.Trace, SpanID: s.ID, TraceFlags: trace.FlagsSampled, TraceState: s.state})
}

// trace hands over the span of a request that has ended. The record, which may outlive
// its request, keeps no header of it.
func (r *Record) trace() {
	under := r.span
	r.span = nil
	if under == nil || !r.decision.made { // probes are no part of a trace
		return
	}
	s := under.Span
	s.Start, s.Took, s.Upstream, s.Route, s.Method, s.Request, s.Status = r.start, r.answered.took, r.upstream.took, r.routeName(), r.method, r.id, r.answered.status
	if r.tenants.proven {
		s.Tenant = strings.Join(r.tenants.names, "|")
	}
	r.recorder.Spans(s)
}
