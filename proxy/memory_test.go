package proxy_test

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/promfence/promfence/proxy"
	"github.com/promfence/promfence/proxy/record"
)

// maxLeft is what requests may leave behind, caches and metrics included.
const maxLeft = 2 << 20

// padding is what a caller sends beside what is known. With it a body is a large one.
var padding = "junk=" + strings.Repeat("x", 1<<18)

func liveHeap() int64 {
	runtime.GC()
	runtime.GC() // what finalizers held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// collectSeldom is for tests that make much garbage beside a small heap: half of their time
// would be spent on collecting it.
func collectSeldom(t *testing.T) {
	t.Helper()
	before := debug.SetGCPercent(400)
	t.Cleanup(func() { debug.SetGCPercent(before) })
}

// emptyAnswers are what an upstream that has nothing says, by the end of the path.
var emptyAnswers = map[string]string{
	"/rules":    `{"status":"success","data":{"groups":[]}}`,
	"/alerts":   `{"status":"success","data":{"alerts":[]}}`,
	"/metadata": `{"status":"success","data":{}}`,
	"/targets":  `{"status":"success","data":{"activeTargets":[],"droppedTargets":[]}}`,
}

func answerNothing(w http.ResponseWriter, r *http.Request) {
	row := strings.TrimPrefix(r.URL.Path, "/api/v1")
	answer := cmp.Or(emptyAnswers[row], success)
	switch row {
	case "/federate":
		w.Header().Set("Content-Type", "text/plain")
	case "/read":
		w.Header().Set("Content-Type", "application/x-protobuf")
	default:
		w.Header().Set("Content-Type", "application/json")
	}
	_, _ = io.WriteString(w, answer)
}

// asSent is a request as a server reads it: its method, path and query are parts
// of one text.
func asSent(t *testing.T, method, target, header, body string) *http.Request {
	t.Helper()
	if body != "" {
		header += fmt.Sprintf("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n", len(body))
	}
	text := io.MultiReader(strings.NewReader(method+" "+target+" HTTP/1.1\r\nHost: x\r\n"+header+"\r\n"), strings.NewReader(body))
	r, err := http.ReadRequest(bufio.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return r.WithContext(t.Context())
}

// A keeper keeps what a request hands to those who look at it later, as a batch
// of spans does, or lines that wait.
type keeper struct {
	mu    sync.Mutex
	spans []record.Span
}

func (k *keeper) span(s record.Span) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.spans = append(k.spans, s)
}

// requests is how many padded requests an endpoint gets. Each would leave its padding,
// so that twelve show a fault; more take minutes with the race detector.
const requests = 12

// What outlives a request holds no part of it: a short text that is cut out of a
// long one keeps the long one.
func TestPaddedRequestsLeaveNothingBehind(t *testing.T) {
	collectSeldom(t)
	for method, path := range proxy.Endpoints() {
		if strings.HasPrefix(path, "/api/v1/metrics/") && path != "/api/v1/metrics/explain" {
			continue // the same row at its other base
		}
		t.Run(method+" "+path, func(t *testing.T) {
			k := &keeper{}
			f := newFence(t, func(o *proxy.Options) { o.Spans, o.Logger = k.span, zerolog.New(io.Discard) })
			f.Answer(answerNothing)
			token := "Authorization: Bearer " + f.Issuer.Token(t, "acme", nil) + "\r\n"
			send := func(i int, padding string) {
				form := fmt.Sprintf("query=x%d&match[]=x%d&metric=x%d&label=x%d&%s", i, i, i, i, padding)
				target, body := strings.Replace(path, "{name}", fmt.Sprintf("x%d", i), 1), ""
				r := readRequest(t, f, path)
				if !strings.HasSuffix(path, "/read") {
					if method == http.MethodPost {
						body = form
					} else {
						target += "?" + form
					}
					r = asSent(t, method, target, token, body)
				}
				w := recorder{httptest.NewRecorder()}
				if f.Proxy.ServeHTTP(w, r); w.Code != http.StatusOK {
					t.Fatalf("%d %s", w.Code, w.Body)
				}
				f.Asked()
			}
			send(0, "")
			before := liveHeap()
			for i := range requests {
				send(i+1, padding)
			}
			left := liveHeap() - before
			if t.Logf("%d KiB are left", left>>10); left > maxLeft {
				t.Errorf("%d KiB are left of %d requests of %d KiB", left>>10, requests, len(padding)>>10)
			}
			runtime.KeepAlive(f)
			runtime.KeepAlive(k)
		})
	}
}

// Nor do requests without a token: what they leave behind is a metric, a span, a
// record and a line.
func TestStrangersLeaveNothingBehind(t *testing.T) {
	k := &keeper{}
	f := newFence(t, func(o *proxy.Options) {
		o.Spans, o.Registerer, o.Logger = k.span, prometheus.NewRegistry(), zerolog.New(io.Discard)
	})
	methods := []string{"GET", "POST", "DELETE"}
	paths := []string{"/api/v1/query", "/-/healthy", "/-/ready", "/docs", "/docs/x", "/nowhere"}
	before := liveHeap()
	for i := range 5 * requests {
		r := asSent(t, methods[i%len(methods)], fmt.Sprintf("%s?%s", paths[i%len(paths)], padding), "X-Request-Id: "+strings.Repeat("x", 64)+"\r\n", "")
		f.Proxy.ServeHTTP(recorder{httptest.NewRecorder()}, r)
	}
	if left := liveHeap() - before; left > maxLeft {
		t.Errorf("%d KiB are left of %d requests of %d KiB", left>>10, 5*requests, len(padding)>>10)
	}
	runtime.KeepAlive(f)
	runtime.KeepAlive(k)
}

// While the upstream thinks, its question is held, and nothing of what was sent
// beside it.
func TestRequestsUnderWayHoldWhatIsKnown(t *testing.T) {
	const callers = 40
	arrived, may := make(chan bool, 2*callers), make(chan bool)
	f := newFence(t, func(o *proxy.Options) { o.UpstreamTimeout = 0 })
	f.Answer(func(w http.ResponseWriter, r *http.Request) {
		arrived <- true
		<-may
		answerNothing(w, r)
	})
	token := "Authorization: Bearer " + f.Issuer.Token(t, "acme", nil) + "\r\n"
	before := liveHeap()
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			w := recorder{httptest.NewRecorder()}
			f.Proxy.ServeHTTP(w, asSent(t, http.MethodPost, "/api/v1/query", token, fmt.Sprintf("query=x%d&time=1&%s", i, padding)))
			if w.Code != http.StatusOK {
				t.Errorf("%d %s", w.Code, w.Body)
				arrived <- false
			}
		})
		<-arrived // one body after the other is read: large ones share their memory
	}
	held := liveHeap() - before
	close(may)
	all.Wait()
	if t.Logf("%d KiB are held", held>>10); held > maxLeft {
		t.Errorf("%d KiB are held for %d requests of %d KiB", held>>10, callers, len(padding)>>10)
	}
}
