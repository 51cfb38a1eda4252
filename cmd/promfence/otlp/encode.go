package otlp

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// object and list keep the JSON below readable.
type (
	object = map[string]any
	list   = []any
)

// encode makes an ExportTraceServiceRequest: integers of 64 bits are strings and ids
// are hex, as the OTLP specification has it.
func encode(batch []Span, version string) []byte {
	spans := make(list, len(batch))
	for i, s := range batch {
		span := object{
			"traceId": hex.EncodeToString(s.Trace[:]), "spanId": hex.EncodeToString(s.ID[:]),
			"name": s.Method + " " + s.Route, "kind": 2, // SPAN_KIND_SERVER
			"startTimeUnixNano": nanos(s.Start), "endTimeUnixNano": nanos(s.Start.Add(s.Took)),
			"attributes": list{
				text("http.request.method", s.Method), text("http.route", s.Route),
				object{"key": "http.response.status_code", "value": object{"intValue": strconv.Itoa(s.Status)}},
				object{"key": "promfence.upstream_ms", "value": object{"doubleValue": s.Upstream.Seconds() * 1e3}},
				text("promfence.tenant", s.Tenant), text("promfence.request_id", s.Request),
			},
		}
		if s.Parent != ([8]byte{}) {
			span["parentSpanId"] = hex.EncodeToString(s.Parent[:])
		}
		if s.Status >= http.StatusInternalServerError {
			span["status"] = object{"code": 2} // STATUS_CODE_ERROR
		}
		spans[i] = span
	}
	body, err := json.Marshal(object{"resourceSpans": list{object{
		"resource":   object{"attributes": list{text("service.name", "promfence"), text("service.version", version)}},
		"scopeSpans": list{object{"scope": object{"name": "promfence"}, "spans": spans}},
	}}})
	if err != nil { // texts and finite numbers always marshal
		panic(err)
	}
	return body
}

func nanos(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

func text(key, value string) object { return object{"key": key, "value": object{"stringValue": value}} }
