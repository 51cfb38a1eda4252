package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/promfence/promfence/proxy"
)

const (
	spansQueued = 4096
	spansSent   = 512
	spansEvery  = 5 * time.Second
	sendTimeout = 10 * time.Second
	lastSpans   = 5 * time.Second // for them when the process ends
)

// A tracer sends spans to a collector by OTLP over HTTP, in its JSON form. What
// there is no room for, or what the collector does not take, is lost and
// counted: a request never waits for it.
//
// The protocol is a page of JSON; the usual libraries would make the program
// half as large again.
type tracer struct {
	url    string
	client *http.Client
	log    func() *zerolog.Logger
	queue  chan proxy.Span
	lost   prometheus.Counter
}

// newTracer returns nil without an endpoint.
func newTracer(endpoint string, log func() *zerolog.Logger, metrics prometheus.Registerer) *tracer {
	if endpoint == "" {
		return nil
	}
	t := &tracer{
		url: strings.TrimSuffix(endpoint, "/") + "/v1/traces", client: &http.Client{Timeout: sendTimeout}, log: log,
		queue: make(chan proxy.Span, spansQueued),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "promfence_spans_lost_total", Help: "Spans that did not reach tracing.endpoint.",
		}),
	}
	metrics.MustRegister(t.lost)
	return t
}

// take is where the proxy hands spans over.
func (t *tracer) take() func(proxy.Span) {
	if t == nil {
		return nil
	}
	return func(s proxy.Span) {
		select {
		case t.queue <- s:
		default:
			t.lost.Inc()
		}
	}
}

// run sends what it is given until ctx ends, and then what is left.
func (t *tracer) run(ctx context.Context) {
	if t == nil {
		return
	}
	sending, giveUp := context.WithCancel(context.WithoutCancel(ctx)) // a batch on its way at the end arrives
	defer giveUp()
	context.AfterFunc(ctx, func() { time.AfterFunc(lastSpans, giveUp) })
	tick := time.NewTicker(spansEvery)
	defer tick.Stop()
	var batch []proxy.Span
	for {
		select {
		case s := <-t.queue:
			if batch = append(batch, s); len(batch) < spansSent {
				continue
			}
		case <-tick.C:
		case <-ctx.Done():
			for len(t.queue) > 0 {
				batch = append(batch, <-t.queue)
			}
			t.send(sending, batch)
			return
		}
		t.send(sending, batch)
		clear(batch) // or the texts of spans that are sent stay until others take their places
		batch = batch[:0]
	}
}

func (t *tracer) send(ctx context.Context, batch []proxy.Span) {
	if len(batch) == 0 {
		return
	}
	if err := t.post(ctx, encodeSpans(batch)); err != nil {
		t.lost.Add(float64(len(batch)))
		t.log().Warn().Err(err).Int("spans", len(batch)).Msg("spans are lost: the collector of tracing.endpoint does not take them")
	}
}

func (t *tracer) post(ctx context.Context, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := t.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection is used again
	if resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}

// object and list keep the JSON below readable.
type (
	object = map[string]any
	list   = []any
)

// encodeSpans makes an ExportTraceServiceRequest: integers of 64 bits are
// strings and ids are hex, as the OTLP specification has it.
func encodeSpans(batch []proxy.Span) []byte {
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
		"resource":   object{"attributes": list{text("service.name", "promfence"), text("service.version", ownVersion())}},
		"scopeSpans": list{object{"scope": object{"name": "promfence"}, "spans": spans}},
	}}})
	if err != nil { // texts and finite numbers always marshal
		panic(err)
	}
	return body
}

func nanos(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

func text(key, value string) object { return object{"key": key, "value": object{"stringValue": value}} }
