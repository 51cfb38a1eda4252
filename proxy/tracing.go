package proxy

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

// traceContext reads and writes the headers of W3C's Trace Context.
var traceContext propagation.TraceContext

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

// callersSpan is the span that the headers name, if they name one. With two lines of
// traceparent they name none.
func callersSpan(h http.Header) trace.SpanContext {
	if len(h["Traceparent"]) != 1 {
		return trace.SpanContext{}
	}
	carrier := propagation.HeaderCarrier{"Traceparent": h["Traceparent"]}
	if state := joinTracestate(h); state != "" {
		carrier.Set("Tracestate", state)
	}
	return trace.SpanContextFromContext(traceContext.Extract(context.Background(), carrier))
}

// joinTracestate makes one text of the lines of tracestate: they are one list. It is
// empty if that is too long to be passed on.
func joinTracestate(h http.Header) string {
	if state := strings.Join(h["Tracestate"], ","); len(state) <= maxHeaderValue {
		return state
	}
	return ""
}

// propagate makes what the upstream records a child of this span. Without one, what
// the caller sent is passed on.
func (s *spanUnderWay) propagate(in, out http.Header) {
	if s == nil {
		if len(in["Tracestate"]) > 1 {
			delete(out, "Tracestate")
			if state := joinTracestate(in); state != "" {
				out.Set("Tracestate", state)
			}
		}
		return
	}
	delete(out, "Tracestate") // of a trace that we could not read, unless it is set now
	here := trace.NewSpanContext(trace.SpanContextConfig{TraceID: s.Trace, SpanID: s.ID, TraceFlags: trace.FlagsSampled, TraceState: s.state})
	traceContext.Inject(trace.ContextWithSpanContext(context.Background(), here), propagation.HeaderCarrier(out))
}

// trace hands over the span of a request that has ended.
func (p *Proxy) trace(x *exchange) {
	if x.span == nil || !x.decision.made { // probes are no part of a trace
		return
	}
	s, r := x.span.Span, x.record
	s.Start, s.Took, s.Upstream, s.Route, s.Method, s.Request, s.Status = r.start, r.answered.took, r.upstream.took, r.routeName(), r.method, r.id, r.answered.status
	if r.matcher != nil {
		s.Tenant = r.matcher.names
	}
	p.spans(s)
}
