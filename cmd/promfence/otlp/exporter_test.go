package otlp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"github.com/promfence/promfence/cmd/promfence/otlp"
)

// queue is how many spans may wait, batch how many are sent at once.
const (
	queue = 4096
	batch = 512
)

// exporter makes one that sends to a collector, with its metrics and its log.
func exporter(endpoint string) (*otlp.Exporter, *prometheus.Registry, *bytes.Buffer) {
	metrics, log := prometheus.NewRegistry(), &bytes.Buffer{}
	l := zerolog.New(log)
	return otlp.New(otlp.Options{Endpoint: endpoint, Version: "v1", Every: 5 * time.Second, Log: func() *zerolog.Logger { return &l }, Metrics: metrics}), metrics, log
}

// collector counts the spans of each request that it takes, and answers a status.
func collector(t *testing.T, status int, spans chan<- int) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		spans <- strings.Count(string(body), `"spanId"`)
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func lost(t *testing.T, metrics *prometheus.Registry, want int) {
	t.Helper()
	text := "# HELP promfence_spans_lost_total Spans that did not reach tracing.endpoint.\n# TYPE promfence_spans_lost_total counter\npromfence_spans_lost_total "
	n, _ := json.Marshal(want)
	if err := testutil.GatherAndCompare(metrics, strings.NewReader(text+string(n)+"\n"), "promfence_spans_lost_total"); err != nil {
		t.Error(err)
	}
}

// finish runs e until all that waits is sent.
func finish(t *testing.T, e *otlp.Exporter) {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	end()
	e.Run(ctx)
}

// counting is a collector within this process, so that time can be a bubble's.
type counting struct{ spans *int }

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	*c.spans += strings.Count(string(body), `"spanId"`)
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, err
}

func TestSpansThatWaitAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, metrics, _ := exporter("http://collector.test")
		sent := 0
		e.SetTransport(counting{&sent})
		for range queue + 7 { // nobody sends them; a request that waited for room would be a deadlock
			e.Add(otlp.Span{})
		}
		lost(t, metrics, 7)
		finish(t, e)
		if sent != queue {
			t.Errorf("%d spans arrived, want %d", sent, queue)
		}
		lost(t, metrics, 7)
	})
}

func TestSpansThatTheCollectorDoesNotTakeAreCounted(t *testing.T) {
	for status, taken := range map[int]bool{200: true, 202: true, 302: false, 400: false, 503: false} {
		e, metrics, log := exporter(collector(t, status, make(chan int, 10)))
		for range 3 {
			e.Add(otlp.Span{})
		}
		finish(t, e)
		want := 0
		if !taken {
			want = 3
		}
		lost(t, metrics, want)
		if strings.Contains(log.String(), `"spans":3`) == taken {
			t.Errorf("%d: the log says %q", status, log)
		}
	}
}

func TestNothingIsSentWhereNothingWaits(t *testing.T) {
	spans := make(chan int, 1)
	e, metrics, _ := exporter(collector(t, http.StatusOK, spans))
	finish(t, e)
	lost(t, metrics, 0)
	if len(spans) > 0 {
		t.Error("an empty batch was sent")
	}
}

// The end waits for a collector that does not answer, but not for long.
func TestTheEndIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, metrics, _ := exporter("http://collector.test")
		e.SetTransport(hanging{})
		e.Add(otlp.Span{})
		begin := time.Now()
		finish(t, e)
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("the end took %s", took)
		}
		lost(t, metrics, 1)
	})
}

// A request of spans ends although its collector does not.
func TestABatchIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, metrics, _ := exporter("http://collector.test")
		e.SetTransport(hanging{})
		e.Add(otlp.Span{})
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { e.Run(ctx); close(ended) }()
		time.Sleep(5*time.Second + 10*time.Second + time.Millisecond)
		synctest.Wait()
		lost(t, metrics, 1)
		end()
		<-ended
	})
}

type hanging struct{}

func (hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestFullBatchesAreSentAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _, _ := exporter("http://collector.test")
		sent := make(taking, 10)
		e.SetTransport(sent)
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { e.Run(ctx); close(ended) }()
		for range batch {
			e.Add(otlp.Span{})
		}
		synctest.Wait() // no time passes
		if len(sent) != 1 {
			t.Errorf("%d requests for a full batch", len(sent))
		}
		end()
		<-ended
	})
}

// taking gets the requests for a collector that takes all spans.
type taking chan *http.Request

func (c taking) RoundTrip(r *http.Request) (*http.Response, error) {
	c <- r
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

// A span's texts may be parts of a whole request.
func TestASpanThatWasSentIsForgotten(t *testing.T) {
	spans := make(chan int, 10)
	e, _, _ := exporter(collector(t, http.StatusOK, spans))
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { e.Run(ctx); close(ended) }()
	freed := make(chan struct{})
	add(e, freed)
	for range batch - 1 {
		e.Add(otlp.Span{})
	}
	<-spans
	for limit := time.After(time.Minute); ; {
		runtime.GC()
		select {
		case <-freed:
		case <-limit:
			t.Error("the text of a span that was sent is still in memory")
		case <-time.After(5 * time.Millisecond):
			continue
		}
		break
	}
	end()
	<-ended
}

// add adds a span whose text tells when it is gone.
func add(e *otlp.Exporter, freed chan<- struct{}) {
	text := bytes.Repeat([]byte("x"), 1<<20)
	tenant := string(text)
	runtime.AddCleanup(unsafe.StringData(tenant), func(c chan<- struct{}) { close(c) }, freed)
	e.Add(otlp.Span{Tenant: tenant})
}

func TestASpanSaysWhatItIs(t *testing.T) {
	body := make(chan string, 3)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body <- string(b)
	}))
	t.Cleanup(s.Close)
	for _, tt := range []struct {
		span       otlp.Span
		has, lacks string
	}{
		{otlp.Span{Status: 500}, `"status":{"code":2}`, `"parentSpanId"`},
		{otlp.Span{Status: 499, Parent: [8]byte{7: 1}}, `"parentSpanId":"0000000000000001"`, `"status":{`},
	} {
		e, _, _ := exporter(s.URL + "/")
		e.Add(tt.span)
		finish(t, e)
		if got := <-body; !strings.Contains(got, tt.has) || strings.Contains(got, tt.lacks) {
			t.Errorf("%s\nwant %s and no %s", got, tt.has, tt.lacks)
		}
	}
}
