package proxy_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/promfence/promfence/proxy"
)

// data wraps a data value in the envelope of a success.
func data(value string) string { return `{"status":"success","data":` + value + `}` }

// Elements of acme's and of somebody else's, with a place that may be large.
const (
	ownAlert      = `{"labels":{"alertname":"A","tenant_id":"acme"},"state":"firing"}`
	betaAlert     = `{"annotations":{"a":"HUGE"},"labels":{"alertname":"MARKER","tenant_id":"beta"},"state":"firing"}`
	ownRule       = `{"name":"r","labels":{"tenant_id":"acme"},"type":"recording"}`
	betaRule      = `{"name":"MARKER","query":"HUGE","labels":{"tenant_id":"beta"},"type":"recording"}`
	ownTarget     = `{"labels":{"tenant_id":"acme"},"scrapePool":"p","health":"up"}`
	betaTarget    = `{"discoveredLabels":{"a":"HUGE"},"labels":{"tenant_id":"beta"},"scrapePool":"MARKER"}`
	ownEntry      = `{"target":{"tenant_id":"acme"},"metric":"up","type":"gauge","help":"own","unit":""}`
	betaEntry     = `{"target":{"tenant_id":"beta"},"metric":"up","type":"gauge","help":"HUGE","unit":"MARKER"}`
	ownExemplars  = `{"seriesLabels":{"__name__":"m","tenant_id":"acme"},"exemplars":[]}`
	betaExemplars = `{"seriesLabels":{"__name__":"MARKER","tenant_id":"beta"},"exemplars":["HUGE"]}`
)

// answers are an upstream's by the last part of the path, and what acme sees of them.
var answers = map[string]struct{ answer, want string }{
	"rules": {
		data(`{"groups":[{"name":"g","file":"f","rules":[` + betaRule + `,` + ownRule + `]}]}`), data(`{"groups":[{"name":"g","file":"f","rules":[` + ownRule + `]}]}`),
	},
	"alerts": {data(`{"alerts":[` + betaAlert + `,` + ownAlert + `]}`), data(`{"alerts":[` + ownAlert + `]}`)},
	"targets": {
		data(`{"activeTargets":[` + betaTarget + `,` + ownTarget + `],"droppedTargets":[` + betaTarget + `]}`), data(`{"activeTargets":[` + ownTarget + `],"droppedTargets":[]}`),
	},
	"targets/metadata": {data(`[` + betaEntry + `,` + ownEntry + `]`), data(`[` + ownEntry + `]`)},
	"metadata":         {data(`{"up":[{"type":"gauge","help":"HUGE","unit":""}],"MARKER":[{"type":"gauge","help":"HUGE","unit":""}]}`), data(`{"up":[{"type":"gauge","help":"","unit":""}]}`)},
	"search/metric_names": {
		`{"results":[{"name":"up","type":"counter","help":"HUGE"}],"warnings":["MARKER"]}` + "\n" + `{"status":"error","errorType":"timeout","error":"MARKER"}` + "\n",
		`{"results":[{"name":"up"}],"warnings":["the up"]}` + "\n" + `{"status":"error","errorType":"timeout","error":"the up"}` + "\n",
	},
	"query_exemplars": {data(`[` + betaExemplars + `,` + ownExemplars + `]`), data(`[` + ownExemplars + `]`)},
}

// filled is a text in which 9 MiB of x stand in the place of the first HUGE.
func filled(text string) io.Reader {
	before, after, _ := strings.Cut(text, "HUGE")
	return io.MultiReader(strings.NewReader(before), io.LimitReader(xs{}, 9<<20), strings.NewReader(after))
}

type xs struct{}

func (xs) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// Each row whose answer holds everybody's elements has its filter, at each base.
// What is somebody else's may be as large as it likes, plain and compressed.
func TestRowsThatHoldOthersAreFiltered(t *testing.T) {
	collectSeldom(t)
	f := newFence(t, nil)
	for row, tt := range answers {
		for _, encoding := range []string{"identity", "gzip"} {
			f.Answer(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if strings.HasPrefix(row, "search") {
					w.Header().Set("Content-Type", "application/x-ndjson; charset=utf-8")
				}
				switch {
				case strings.HasSuffix(r.URL.Path, "/values"):
					_, _ = io.WriteString(w, `{"status":"success","data":["up"]}`)
				case !strings.HasSuffix(r.URL.Path, "/api/v1/"+row):
					http.NotFound(w, r)
				case encoding == "gzip":
					w.Header().Set("Content-Encoding", encoding)
					zw, _ := gzip.NewWriterLevel(w, gzip.BestSpeed)
					_, _ = io.Copy(zw, filled(tt.answer))
					_ = zw.Close()
				default:
					_, _ = io.Copy(w, filled(tt.answer))
				}
			})
			for _, base := range []string{"/api/v1/", "/api/v1/metrics/"} {
				if resp, body := f.Get(t, base+row+"?query=up"); resp.StatusCode != http.StatusOK || body != tt.want {
					t.Errorf("%s%s, %s: %d %.300s", base, row, encoding, resp.StatusCode, body)
				}
			}
		}
	}
}

// TestFilterAtEachRow is the list that a row whose answer is filtered stands on.
func TestFilterAtEachRow(t *testing.T) {
	for _, row := range proxy.Routes {
		if row.Alerting() {
			continue // TestAlertingRowsShowOnlyTheCallersOwn
		}
		if _, ok := answers[strings.TrimPrefix(row.Path, "/")]; ok != row.Filtered() {
			t.Errorf("%s: in the list %v, filtered %v", row.Path, ok, row.Filtered())
		}
	}
}

// An upstream that filters by match_target is never asked for everybody's.
func TestTargetsMetadataIsAskedForOwnTargets(t *testing.T) {
	f := newFence(t, nil)
	for sent, want := range map[string]string{
		"":                             `{tenant_id="acme"}`,
		"?match_target=":               `{tenant_id="acme"}`,
		"?match_target={}":             `{tenant_id="acme"}`,
		`?match_target={job="a"}`:      `{job="a",tenant_id="acme"}`,
		`?match_target={tenant_id=""}`: `{tenant_id="",tenant_id="acme"}`,
	} {
		f.Get(t, "/api/v1/targets/metadata"+sent)
		if asked := f.Asked(); len(asked) != 1 || asked[0].form(t).Get("match_target") != want {
			t.Errorf("%s: the upstream was asked %v, want %s", sent, asked, want)
		}
	}
}

// With tenancy.shared_rules a rule is everybody's, and an alert still one tenant's.
func TestSharedRulesShareNoAlerts(t *testing.T) {
	f := newFence(t, func(o *proxy.Options) { o.SharedRules = true })
	const others = `{"labels":{},"state":"firing"},` + betaAlert
	for path, answer := range map[string]func(alerts string) string{
		"/api/v1/rules": func(alerts string) string {
			return data(`{"groups":[{"name":"g","file":"f","rules":[{"labels":{},"alerts":[` + alerts + `]}]}]}`)
		},
		"/api/v1/alerts": func(alerts string) string { return data(`{"alerts":[` + alerts + `]}`) },
	} {
		f.Answer(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(answer(others + "," + ownAlert)))
		})
		if _, body := f.Get(t, path); body != answer(ownAlert) {
			t.Errorf("%s: %s", path, body)
		}
	}
}

// An own element that is too large is said to be so, over HTTP too.
func TestAnOwnHugeElementIsNamed(t *testing.T) {
	f := newFence(t, nil)
	f.Answer(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.Copy(w, filled(data(`{"alerts":[{"labels":{"alertname":"Mine","tenant_id":"acme"},"annotations":{"a":"HUGE"}}]}`)))
	})
	resp, body := f.Get(t, "/api/v1/alerts")
	wantError(t, resp, body, http.StatusBadGateway, "bad_gateway", `the alert "Mine" is larger than the 8 MiB`)
}

// peakHeap runs f and returns how far the heap rose above its start.
func peakHeap(f func()) uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before := m.HeapAlloc
	var peak atomic.Uint64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak.Store(max(peak.Load(), m.HeapAlloc))
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Microsecond):
			}
		}
	}()
	f()
	close(stop)
	<-done
	return peak.Load() - min(before, peak.Load())
}

// A search asks for what describes its metrics once, and not where nobody asked.
func TestSearchIsDescribedByOwnTargets(t *testing.T) {
	f := newFence(t, nil)
	f.Answer(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/search/metric_names" {
			metadataUpstream(data(`[`+strings.NewReplacer(`"up"`, `"lat"`, "gauge", "histogram").Replace(ownEntry)+`]`))(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/x-ndjson; charset=utf-8")
		_, _ = io.WriteString(w, `{"results":[{"name":"up","help":"MARKER"},{"name":"lat"}]}`+"\n"+`{"status":"success","has_more":false}`+"\n")
	})
	const end = `]}` + "\n" + `{"status":"success","has_more":false}` + "\n"
	for params, tt := range map[string]struct {
		want  string
		asked int
	}{
		"include_metadata=true":  {`{"results":[{"name":"up","type":"gauge"},{"name":"lat","type":"histogram","help":"own"}` + end, 4},
		"include_metadata=false": {`{"results":[{"name":"up"},{"name":"lat"}` + end, 1},
	} {
		resp, body := f.Get(t, "/api/v1/search/metric_names?"+params)
		if body != tt.want || resp.Header.Get("Content-Type") != "application/x-ndjson; charset=utf-8" {
			t.Errorf("%s: %v %s", params, resp.Header, body)
		}
		asked := f.Asked()
		if len(asked) != tt.asked || strings.Contains(asked[0].Query, "include_metadata") {
			t.Errorf("%s: the upstream was asked %v", params, asked)
		}
	}
	resp, body := f.Get(t, "/api/v1/search/metric_names?include_metadata=x")
	wantError(t, resp, body, http.StatusBadRequest, "bad_data", `invalid include_metadata "x": must be boolean`)
	f.Answer(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/api/v1/metadata") {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		_, _ = io.WriteString(w, `{"results":[{"name":"up"}]}`)
	})
	r := f.Request(t, http.MethodGet, "/api/v1/search/metric_names?include_metadata=true", "")
	r.Header.Set("Authorization", "Bearer "+f.Issuer.Token(t, "beta", nil))
	resp, body = f.Do(t, r)
	wantError(t, resp, body, http.StatusBadGateway, "bad_gateway", "not passed on")
}
