package upstream

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/promql/parser"
)

// Load writes series in the notation of Prometheus's own rule tests, one on a
// line, the first sample at start and the others step apart:
//
//	http_requests_total{tenant_id="acme"} 0+10x20
//	{"http.requests", tenant_id="acme"} 1 _ 3 {{schema:0 count:4 sum:5 buckets:[1 2 1]}}
func (u *Upstream) Load(t testing.TB, start time.Time, step time.Duration, lines string) {
	t.Helper()
	u.Write(t, ParseSeries(t, start, step, lines)...)
}

// ParseSeries reads the notation of Load.
func ParseSeries(t testing.TB, start time.Time, step time.Duration, lines string) []prompb.TimeSeries {
	t.Helper()
	p := parser.NewParser(parser.Options{})
	var all []prompb.TimeSeries
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, values, err := p.ParseSeriesDesc(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		all = append(all, timeSeries(name, values, start, step))
	}
	return all
}

func timeSeries(name labels.Labels, values []parser.SequenceValue, start time.Time, step time.Duration) prompb.TimeSeries {
	s := prompb.TimeSeries{Labels: prompb.FromLabels(name, nil)}
	at := start.UnixMilli()
	for _, v := range values {
		switch {
		case v.Omitted:
		case v.Histogram != nil:
			s.Histograms = append(s.Histograms, prompb.FromFloatHistogram(at, v.Histogram))
		default:
			s.Samples = append(s.Samples, prompb.Sample{Timestamp: at, Value: v.Value})
		}
		at += step.Milliseconds()
	}
	return s
}

// Traced is a sample of traced_total with an exemplar on it, whose trace_id is
// id. Pairs are more of the series' labels.
func Traced(id string, at time.Time, pairs ...string) prompb.TimeSeries {
	ls := labels.FromStrings(append([]string{"__name__", "traced_total"}, pairs...)...)
	return prompb.TimeSeries{
		Labels:    prompb.FromLabels(ls, nil),
		Samples:   []prompb.Sample{{Timestamp: at.UnixMilli(), Value: 1}},
		Exemplars: []prompb.Exemplar{{Labels: []prompb.Label{{Name: "trace_id", Value: id}}, Value: 1, Timestamp: at.UnixMilli()}},
	}
}

// Write sends series by remote write; they are readable when it returns.
func (u *Upstream) Write(t testing.TB, series ...prompb.TimeSeries) {
	t.Helper()
	RemoteWrite(t, u.URL+"/api/v1/write", http.Header{}, series...)
}

// RemoteWrite sends series to a server that may want to be told the tenant by a
// header.
func RemoteWrite(t testing.TB, address string, header http.Header, series ...prompb.TimeSeries) {
	t.Helper()
	body, err := (&prompb.WriteRequest{Timeseries: series}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, bytes.NewReader(snappy.Encode(nil, body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	req.Header.Set("Content-Encoding", "snappy")
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("X-Prometheus-Remote-Write-Version", "0.1.0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(resp.Body)
		t.Fatalf("remote write: %s: %s", resp.Status, text)
	}
}
