// Package otlp sends spans to a collector, by OTLP over HTTP in its JSON form.
//
// It stops one threat: a slow or absent collector that delays answers or makes the
// process hold ever more memory. A request never waits for it; the spans that
// wait are bounded in number; those without room, and those that the collector does
// not take, are lost and counted. A sent span is not referenced any more.
//
// The protocol is a page of JSON. The usual libraries would make the program half as
// large again.
package otlp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

const (
	queueSize   = 4096
	batchSize   = 512
	postTimeout = 10 * time.Second
	drainWithin = 5 * time.Second // for the last spans, when the process ends
)

// A Span is one request as a distributed trace shows it.
type Span struct {
	Trace      [16]byte
	ID, Parent [8]byte // no Parent = the trace begins here
	Start      time.Time
	Took       time.Duration
	Upstream   time.Duration // to the upstream's response header; 0 = it did not answer
	Route      string
	Method     string
	Tenant     string // empty = not proven
	Request    string // X-Request-Id
	Status     int
}

// An Exporter sends spans to one collector.
type Exporter struct {
	url     string
	version string
	every   time.Duration
	client  *http.Client
	log     func() *zerolog.Logger
	queue   chan Span
	lost    prometheus.Counter
}

// Options are what an Exporter is made of.
type Options struct {
	Endpoint string        // the collector's, such as http://host:4318
	Version  string        // what the spans name as the program's
	Every    time.Duration // how long a span waits for others, at most
	Log      func() *zerolog.Logger
	Metrics  prometheus.Registerer
}

// New makes an Exporter.
func New(o Options) *Exporter {
	e := &Exporter{
		url: strings.TrimSuffix(o.Endpoint, "/") + "/v1/traces", version: o.Version, every: o.Every,
		client: &http.Client{Timeout: postTimeout}, log: o.Log, queue: make(chan Span, queueSize),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "promfence_spans_lost_total", Help: "Spans that did not reach tracing.endpoint.",
		}),
	}
	o.Metrics.MustRegister(e.lost)
	return e
}

// Add takes a span to be sent. It returns at once.
func (e *Exporter) Add(s Span) {
	select {
	case e.queue <- s:
	default:
		e.lost.Inc()
	}
}

// Run sends spans until ctx ends, and then those that wait.
func (e *Exporter) Run(ctx context.Context) {
	sending, giveUp := context.WithCancel(context.WithoutCancel(ctx)) // a batch on its way at the end arrives
	defer giveUp()
	context.AfterFunc(ctx, func() { time.AfterFunc(drainWithin, giveUp) })
	tick := time.NewTicker(e.every)
	defer tick.Stop()
	var batch []Span
	for {
		select {
		case s := <-e.queue:
			if batch = append(batch, s); len(batch) < batchSize {
				continue
			}
		case <-tick.C:
		case <-ctx.Done():
			for len(e.queue) > 0 {
				batch = append(batch, <-e.queue)
			}
			e.send(sending, batch)
			return
		}
		e.send(sending, batch)
		clear(batch) // else the texts of sent spans stay until others take their places
		batch = batch[:0]
	}
}

func (e *Exporter) send(ctx context.Context, batch []Span) {
	if len(batch) == 0 {
		return
	}
	if err := e.post(ctx, encode(batch, e.version)); err != nil {
		e.lost.Add(float64(len(batch)))
		e.log().Warn().Err(err).Int("spans", len(batch)).Msg("spans are lost: the collector of tracing.endpoint does not take them")
	}
}

func (e *Exporter) post(ctx context.Context, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := e.client.Do(r)
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
