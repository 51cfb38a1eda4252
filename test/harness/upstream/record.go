package upstream

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"testing"
)

// A Request is what an upstream was asked, as it came over the wire.
type Request struct {
	Method   string
	Path     string // as written on the request line, escapes included
	RawQuery string
	Header   http.Header
	Body     []byte
}

// Params are the parameters of URL and body together, in the way in which
// Prometheus reads them: a form body only with POST.
func (r Request) Params() url.Values {
	all, _ := url.ParseQuery(r.RawQuery)
	if r.Method == http.MethodPost {
		body, _ := url.ParseQuery(string(r.Body))
		for name, values := range body {
			all[name] = append(values, all[name]...)
		}
	}
	return all
}

// A Recorder notes every request on its way to the next handler.
type Recorder struct {
	URL string // where it listens, when Stub or Record made it

	next     http.Handler
	mu       sync.Mutex
	requests []Request
}

// NewRecorder notes requests and hands them to next.
func NewRecorder(next http.Handler) *Recorder { return &Recorder{next: next} }

// Stub listens in the place of an upstream and answers with handler.
func Stub(t testing.TB, handler http.Handler) *Recorder {
	t.Helper()
	r := NewRecorder(handler)
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	r.URL = s.URL
	return r
}

// Record listens in front of a real upstream and passes everything on.
func Record(t testing.TB, target string) *Recorder {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	return Stub(t, PassOn(u))
}

// PassOn is a plain reverse proxy that changes nothing and delays nothing.
func PassOn(target *url.URL) http.Handler {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true
	return &httputil.ReverseProxy{
		FlushInterval: -1,
		Transport:     transport,
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.Header = pr.In.Header.Clone() // those too that a proxy should drop
			pr.Out.URL.RawQuery = pr.In.URL.RawQuery
			pr.SetURL(target)
			pr.Out.Host = pr.In.Host
		},
	}
}

func (r *Recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	r.note(Request{req.Method, req.URL.EscapedPath(), req.URL.RawQuery, req.Header.Clone(), body})
	r.next.ServeHTTP(w, req)
}

func (r *Recorder) note(req Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, req)
}

// Requests are all requests noted so far, oldest first.
func (r *Recorder) Requests() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

// Take returns what Requests does and forgets it.
func (r *Recorder) Take() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.requests
	r.requests = nil
	return taken
}
