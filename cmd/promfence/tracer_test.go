package main_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/auth/authtest"
)

// The shape is OTLP's, in its JSON form.
func TestSpansReachTheCollector(t *testing.T) {
	idp, asked, got := authtest.NewIssuer(t), make(chan string, 1), make(chan string, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- r.Method + " " + r.URL.Path + " " + r.Header.Get("Content-Type") + " " + string(body)
	}))
	t.Cleanup(collector.Close)
	p := start(t, append(settings(idp, upstream(t, asked, nil)), "PROMFENCE_TRACING_ENDPOINT="+collector.URL)...)
	until(t, p.admin+"/-/ready", 200)
	p.asks(t, idp, asked)
	p.end() // what is left is sent
	select {
	case sent := <-got:
		want := `POST /v1/traces application/json ` +
			`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"promfence"}},{"key":"service.version","value":{"stringValue":"#"}}]},` +
			`"scopeSpans":[{"scope":{"name":"promfence"},"spans":[{"attributes":[` +
			`{"key":"http.request.method","value":{"stringValue":"GET"}},{"key":"http.route","value":{"stringValue":"/api/v1/query"}},` +
			`{"key":"http.response.status_code","value":{"intValue":"200"}},{"key":"promfence.upstream_ms","value":{"doubleValue":#}},` +
			`{"key":"promfence.tenant","value":{"stringValue":"acme"}},{"key":"promfence.request_id","value":{"stringValue":"#"}}],` +
			`"endTimeUnixNano":"#","kind":2,"name":"GET /api/v1/query","spanId":"#","startTimeUnixNano":"#","traceId":"#"}]}]}]}`
		changing := regexp.MustCompile(`((?:version|request_id)","value":\{"stringValue":"|Id":"|Nano":"|doubleValue":)[^"}]+`)
		if diff := cmp.Diff(want, changing.ReplaceAllString(sent, "$1#")); diff != "" {
			t.Error(diff)
		}
	case <-time.After(patience):
		t.Fatal("no span")
	}
}

// A batch of so many spans is sent at once. It is on its way when the drain ends.
func TestSpansOnTheirWayArriveDuringADrain(t *testing.T) {
	t.Parallel() // it waits
	idp, asked := authtest.NewIssuer(t), make(chan string, 1)
	began, drained, arrived := make(chan struct{}, 10), make(chan struct{}), make(chan error, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		began <- struct{}{}
		<-drained
		select {
		case <-r.Context().Done():
			arrived <- r.Context().Err()
		case <-time.After(300 * time.Millisecond): // promfence has not hung up
			arrived <- nil
		}
	}))
	t.Cleanup(collector.Close)
	p := start(t, append(settings(idp, upstream(t, asked, nil)), "PROMFENCE_TRACING_ENDPOINT="+collector.URL)...)
	until(t, p.admin+"/-/ready", 200)
	for range 512 {
		p.asks(t, idp, asked)
	}
	<-began
	p.end()
	p.logged(t, "info", "drained")
	close(drained)
	if err := <-arrived; err != nil {
		t.Errorf("promfence hangs up: %v", err)
	}
	if err := p.ended(t); err != nil {
		t.Error(err)
	}
	for _, line := range p.lines() {
		if strings.Contains(line, "spans are lost") {
			t.Error(line)
		}
	}
}

func TestCollectorThatIsGoneStopsNoRequest(t *testing.T) {
	idp, asked := authtest.NewIssuer(t), make(chan string, 1)
	p := start(t, append(settings(idp, upstream(t, asked, nil)), "PROMFENCE_TRACING_ENDPOINT=http://127.0.0.1:1")...)
	until(t, p.admin+"/-/ready", 200)
	p.asks(t, idp, asked)
	p.logged(t, "warn", "spans are lost")
	p.asks(t, idp, asked)
}
