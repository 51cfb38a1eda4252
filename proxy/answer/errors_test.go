package answer_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/promfence/promfence/proxy/answer"
)

// response is an upstream's answer with an error of Prometheus's shape.
func response(status int, errorType, text string) *http.Response {
	body, err := json.Marshal(map[string]string{"status": "error", "errorType": errorType, "error": text})
	if err != nil {
		panic(err)
	}
	return plainResponse(status, string(body))
}

func plainResponse(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

// Around each limit stands what no caller may see.
const (
	before = `expanding series: proxy Series(): rpc error: code = Aborted desc = receive series from Addr: 10.1.2.3:10901 LabelSets: {tenant_id="globex"} MinTime: 1: rpc error: code = Unknown desc = `
	behind = ` store 10.1.2.3:10901 {tenant_id="globex"}`
)

// The texts are those of the servers, with their numbers; says is what the caller must
// read of them.
func TestLimitsAreSaidWithTheirNumbers(t *testing.T) {
	for _, tt := range []struct {
		text string
		says []string
	}{
		// Thanos
		{"exceeded series limit: limit 1000 violated (got 2000)", []string{"series", "1000", "2000"}},
		{"exceeded chunks limit: limit 500000 violated (got 500010)", []string{"chunks", "500000", "500010"}},
		{"exceeded samples limit: limit 5 violated (got 120)", []string{"samples", "5", "120"}},
		{"exceeded bytes limit while fetching chunks: limit 1048576 violated (got 2097152)", []string{"bytes", "1048576", "2097152"}},
		{"exceeded bytes limit while fetching postings: limit 100 violated (got 101)", []string{"bytes", "100", "101"}},
		{"exceeded bytes limit while loading expanded postings from index cache: limit 100 violated (got 101)", []string{"bytes", "100", "101"}},
		{"exceeded series limit: rpc error: code = Code(8) desc = limit 10 violated (got 11)", []string{"series", "10", "11"}},
		{"failed to send series: limit 2 violated (got 3)", []string{"series", "2", "3"}},
		{"failed to send samples: limit 240 violated (got 360)", []string{"samples", "240", "360"}},
		{"postings: limit 7 violated (got 9)", []string{"7", "9"}},
		{"the query time range exceeds the limit (query length: 745h0m0s, limit: 720h0m0s)", []string{"745h0m0s", "720h0m0s"}},
		// Cortex
		{"invalid query, length > limit (8761h0m0s > 8760h0m0s)", []string{"8761h0m0s", "8760h0m0s"}},
		{`the query hit the max number of chunks limit while fetching chunks from ingesters for {__name__="x"} (limit: 2000000)`, []string{"chunks", "2000000"}},
		{`the query hit the max number of series limit (limit: 100000 series)`, []string{"series", "100000"}},
		{`the query hit the aggregated chunks size limit (limit: 1000 bytes)`, []string{"chunks", "1000 bytes"}},
		{"too many outstanding requests", []string{"try again"}},
		// Mimir
		{"the query exceeded the maximum number of series (limit: 100000 series) (err-mimir-max-series-per-query). Consider reducing the time range", []string{"series", "100000"}},
		{"the query exceeded the maximum number of chunks (limit: 2000000 chunks) (err-mimir-max-chunks-per-query). To adjust the related per-tenant limit, configure -querier.max-fetched-chunks-per-query", []string{"chunks", "2000000"}},
		{"the query exceeded the aggregated chunks size limit (limit: 100 bytes) (err-mimir-max-chunks-bytes-per-query)", []string{"chunks", "100 bytes"}},
		{"the estimated number of chunks for the query exceeds the maximum (limit: 4000000 chunks) (err-mimir-max-estimated-chunks-per-query)", []string{"chunks", "4000000"}},
		{"the query exceeded the maximum allowed estimated amount of memory consumed by a single query (limit: 1073741824 bytes) (err-mimir-max-estimated-memory-consumption-per-query)", []string{"memory", "1073741824 bytes"}},
		{"the total query time range exceeds the limit (query length: 1h0m0s, limit: 1m0s) (err-mimir-max-total-query-length). To adjust", []string{"1h0m0s", "1m0s"}},
		{"the query time range exceeds the limit (query length: 1h0m0s, limit: 1m0s) (err-mimir-max-query-length)", []string{"1h0m0s", "1m0s"}},
		{"the raw query size in bytes exceeds the limit (query size: 10, limit: 20) (err-mimir-max-query-expression-size-bytes)", []string{"10", "20"}},
		{"the request has been rejected because the tenant exceeded the request rate limit, set to 10 requests/s with a maximum allowed burst of 5 (err-mimir-tenant-max-request-rate)", []string{"10", "5", "try again"}},
		{"something that is new (limit: 12 things) (err-mimir-max-things-per-query)", []string{"12"}},
		{"something that is new (err-mimir-max-things-per-query)", nil},
		// VictoriaMetrics
		{"cannot select more than -search.maxSamplesPerQuery=1000000000 samples; possible solutions: increase the -search.maxSamplesPerQuery", []string{"samples", "1000000000"}},
		{"the number of matching timeseries exceeds 300000; either narrow down the search or increase -search.max* command-line flag values", []string{"series", "300000"}},
		{"the number of matching unique timeseries exceeds 300000; either narrow down the search or increase -search.maxUniqueTimeseries", []string{"series", "300000"}},
		{"too many points for the given step=1000, start=1700000000000 and end=1700100000000: 100001; cannot exceed -search.maxPointsPerTimeseries=30000", []string{"points", "100001", "-search.maxPointsPerTimeseries=30000"}},
		{"too many points for the given start=1700000000000, end=1700100000000 and step=10000: 60481; the maximum number of points is 30000 (see -search.maxPointsPerTimeseries command-line flag)", []string{"points", "60481", "30000"}},
		{"couldn't start executing the request in 10.000 seconds, since -search.maxConcurrentRequests=8 concurrent requests are executed. Possible solutions: to reduce query load", []string{"10.000", "8", "try again"}},
		{"too long query; got 20000 bytes; mustn't exceed `-search.maxQueryLen=16384` bytes", []string{"20000", "16384"}},
		{"not enough memory for processing 5 data points; according to -search.maxMemoryPerQuery=1024; requested memory: 5 bytes", []string{"-search.maxMemoryPerQuery=1024"}},
		{"timeout exceeded during query execution: 30.000 seconds; the timeout can be adjusted with -search.maxQueryDuration=30s", []string{"-search.maxQueryDuration=30s"}},
		{"response exceeds -search.maxResponseSeries", []string{"-search.maxResponseSeries"}},
		// Prometheus
		{"exceeded sample limit (50000000)", []string{"samples", "50000000"}},
		{"too many concurrent queries", []string{"concurrent", "try again"}},
		{"requested max_series of 5000 exceeds the server limit of 1000", []string{"max_series", "5000", "1000"}},
		{"requested max_query_duration of 1m0s exceeds the server limit of 30s", []string{"max_query_duration", "1m0s", "30s"}},
	} {
		for _, text := range []string{tt.text, before + tt.text + behind} {
			for name, resp := range map[string]*http.Response{"JSON": response(422, "execution", text), "no JSON": plainResponse(500, text+"\n")} {
				e, hidden := answer.Error(resp)
				for _, want := range append([]string{"limit"}, tt.says...) {
					if !strings.Contains(e.Message, want) {
						t.Errorf("%s of %q, as %s: %q does not say %s", name, tt.text, name, e.Message, want)
					}
				}
				if !hidden || strings.Contains(e.Message, "10.1.2.3") || strings.Contains(e.Message, "globex") || strings.Contains(e.Message, "__name__") {
					t.Errorf("%q became %q", text, e.Message)
				}
				if !strings.Contains(e.Err.Error(), tt.text[:10]) {
					t.Errorf("the log does not get %q", tt.text)
				}
			}
		}
	}
}

// Prometheus names the operation, and no number.
func TestCostLimitsOfPrometheus(t *testing.T) {
	for status, texts := range map[int]map[string]string{
		422: {"query would load too many series into memory in query execution": "cost_limit", "query would read too many samples in expression evaluation": "cost_limit"},
		503: {"cost estimation exceeded the query duration limit: query timed out in 10.1.2.3": "timeout"},
	} {
		for text, errorType := range texts {
			e, _ := answer.Error(response(status, errorType, text))
			if e.Type != errorType || e.Status != status || !strings.Contains(e.Message, "limit") || strings.Contains(e.Message, "10.1.2.3") {
				t.Errorf("%s became %d %s %q", text, e.Status, e.Type, e.Message)
			}
		}
	}
}

func TestATextThatOnlyBeginsLikeOneOfTheEngineIsHidden(t *testing.T) {
	for text, passes := range map[string]bool{
		"6:9: division by zero": true, "1:2: modulo by zero": true, "0:12: duration must be greater than 0": true,
		"3:4: duration is out of range": true, "3:4: duration is NaN or infinite": true,
		"10.1.2.3:10901: division by zero": false, "10901:1: division by zero at 10.1.2.3": false, "1:2: duration is 10.1.2.3": false,
		"1:2 division by zero": false, "12: division by zero": false, "1:2:3: division by zero": false, "x\n1:2: division by zero": false,
		"context deadline exceeded": true, "expanding series: context deadline exceeded": true, "expanding series: 10.1.2.3: context deadline exceeded": false,
		"query timed out in expression evaluation": true, "store 10.1.2.3: query timed out in expression evaluation": false,
	} {
		e, hidden := answer.Error(response(422, "execution", text))
		if (e.Message == text) != passes || hidden == passes {
			t.Errorf("%q became %q", text, e.Message)
		}
	}
}

// endless is an error body that never ends; it counts what was read.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	e.read += len(p)
	return len(p), nil
}

func TestAnErrorsBodyIsBounded(t *testing.T) {
	var packed bytes.Buffer
	zw := gzip.NewWriter(&packed)
	_, _ = zw.Write(bytes.Repeat([]byte("x"), 64<<20))
	_ = zw.Close()
	for name, resp := range map[string]*http.Response{
		"endless":    {StatusCode: 422, Header: http.Header{}, Body: io.NopCloser(&endless{})},
		"compressed": {StatusCode: 422, Header: http.Header{"Content-Encoding": {"gzip"}}, Body: io.NopCloser(&packed)},
	} {
		e, hidden := answer.Error(resp)
		if !hidden || len(e.Message) > 200 || len(e.Err.Error()) > 5<<10 {
			t.Errorf("%s: %d bytes for the caller, %d for the log", name, len(e.Message), len(e.Err.Error()))
		}
	}
	src := &endless{}
	_, _ = answer.Error(&http.Response{StatusCode: 422, Header: http.Header{}, Body: io.NopCloser(src)})
	if src.read > 128<<10 {
		t.Errorf("%d bytes were read", src.read)
	}
}

func TestRetryAfterIsASmallNumber(t *testing.T) {
	for value, want := range map[string]float64{"7": 7, "3600": 3600, "3601": 0, "0": 0, "-1": 0, "ask 10.1.2.3": 0} {
		resp := response(503, "unavailable", "x")
		resp.Header.Set("Retry-After", value)
		if e, _ := answer.Error(resp); e.RetryAfter.Seconds() != want {
			t.Errorf("%s became %s", value, e.RetryAfter)
		}
	}
}

func TestAnErrorTypeIsOneOfPrometheus(t *testing.T) {
	known := []string{"timeout", "canceled", "execution", "bad_data", "internal", "cost_limit", "unavailable", "not_found", "not_acceptable", "too_many_requests"}
	for _, errorType := range append(known, "globex", "") {
		want := errorType
		if !slices.Contains(known, errorType) {
			want = "internal"
		}
		if e, _ := answer.Error(response(500, errorType, "x")); e.Type != want {
			t.Errorf("%q became %q", errorType, e.Type)
		}
	}
}

// Where the text names no number, the limits that went along with the query do. A
// setting above the upstream's own limit is nobody's mistake but the operator's.
func TestLimitsThatWereSentAreNamed(t *testing.T) {
	const series, samples = "query would load too many series into memory in query execution", "query would read too many samples in query execution"
	ours, theirs := answer.SentLimit{Param: "max_series", Value: "100", Setting: "max_series"}, answer.SentLimit{Param: "max_series", Value: "7"}
	for _, tt := range []struct {
		status      int
		text        string
		sent        []answer.SentLimit
		want, limit string
	}{
		{422, series, nil, "the query selects more series than the upstream's limit allows: narrow it or shorten its range", ""},
		{422, series, []answer.SentLimit{ours}, "the query selects more series than the upstream's limit allows (limits.max_series is 100): narrow it or shorten its range", "max_series"},
		{422, series, []answer.SentLimit{theirs}, "the query selects more series than the upstream's limit allows (max_series is 7): narrow it or shorten its range", ""},
		{422, samples, []answer.SentLimit{ours}, "the query reads more samples than the upstream's limit allows: narrow it or shorten its range", ""},
		{400, "requested max_series of 100 exceeds the server limit of 50", []answer.SentLimit{ours}, "limits.max_series is 100, which is above the upstream's own limit of 50: the operator of promfence has to lower it", ""},
		{400, "requested max_series of 100 exceeds the server limit of 50", []answer.SentLimit{theirs}, "requested max_series of 100 exceeds the server limit of 50", ""},
		{400, "requested max_samples_read of 100 exceeds the server limit of 50", []answer.SentLimit{ours}, "requested max_samples_read of 100 exceeds the server limit of 50", ""},
		{400, "requested max_series of 100 exceeds the server limit of 10.1.2.3:90", []answer.SentLimit{ours}, "requested max_series of 100 exceeds the server limit of 10.1.2.3:90", ""},
	} {
		errorType := map[int]string{422: "cost_limit", 400: "bad_data"}[tt.status]
		if e, _ := answer.Error(response(tt.status, errorType, tt.text), tt.sent...); e.Message != tt.want || e.Limit != tt.limit || e.Status != tt.status || e.Type != errorType {
			t.Errorf("%s with %v: %d %s %q, limit %q, want %q, %q", tt.text, tt.sent, e.Status, e.Type, e.Message, e.Limit, tt.want, tt.limit)
		}
	}
}
