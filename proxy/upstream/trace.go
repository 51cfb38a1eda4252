package upstream

import (
	"context"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// traceContext writes the headers of W3C's Trace Context.
var traceContext propagation.TraceContext

// joinTracestate makes one text of the lines of tracestate: they are one list. It is
// empty if that is too long to be passed on.
func joinTracestate(h http.Header) string {
	if state := strings.Join(h["Tracestate"], ","); len(state) <= maxHeaderValue {
		return state
	}
	return ""
}

// propagate makes what the upstream records a child of the call's span. Without one,
// what the caller sent is passed on.
func (call Call) propagate(out http.Header) {
	if !call.Span.IsValid() {
		if len(call.Caller["Tracestate"]) > 1 {
			delete(out, "Tracestate")
			if state := joinTracestate(call.Caller); state != "" {
				out.Set("Tracestate", state)
			}
		}
		return
	}
	delete(out, "Tracestate") // of a trace that could not be read, unless it is set now
	traceContext.Inject(trace.ContextWithSpanContext(context.Background(), call.Span), propagation.HeaderCarrier(out))
}
