package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/promfence/promfence/proxy"
)

// features are what an upstream says of its query engine.
type features struct{ QueryCost, QueryStats bool }

// bounded sets the limits of the engine in front of an upstream that says this of itself.
func bounded(ask func(context.Context) (features, error)) func(*proxy.Options) {
	return func(o *proxy.Options) {
		if ask != nil {
			o.Features = func(ctx context.Context) (queryCost, queryStats bool, err error) {
				f, err := ask(ctx)
				return f.QueryCost, f.QueryStats, err
			}
		}
		o.Limits.MaxSeries, o.Limits.MaxSamplesRead, o.Limits.MaxQueryDuration = 100, 1000, 30*time.Second
	}
}

func says(f features, err error) func(context.Context) (features, error) {
	return func(context.Context) (features, error) { return f, err }
}

// engineParams are the parameters of a form that the engine reads.
func engineParams(form url.Values) url.Values {
	got := url.Values{}
	for _, name := range []string{"max_series", "max_samples_read", "max_query_duration", "stats"} {
		if v, ok := form[name]; ok {
			got[name] = v
		}
	}
	return got
}

// The limits of the engine are sent where the upstream enforces them, and where nobody
// could ask: they do no harm to who ignores them.
func TestLimitsOfTheEngineAreSentWhereTheyAreEnforced(t *testing.T) {
	enforced := url.Values{"max_series": {"100"}, "max_samples_read": {"1000"}, "max_query_duration": {"30s"}}
	rows := map[string]bool{
		"/api/v1/query?query=up": true, "/api/v1/query_range?query=up&start=1&end=2&step=1": true,
		"/api/v1/query_cost?query=up": true, "/api/v1/query_range_cost?query=up&start=1&end=2&step=1": true,
		"/api/v1/labels": false, "/api/v1/series?match[]=up": false, "/api/v1/query_exemplars?query=up": false, "/api/v1/query_explain?query=up": false,
	}
	for _, tt := range []struct {
		name   string
		change func(*proxy.Options)
		want   url.Values
	}{
		{"it enforces them", bounded(says(features{QueryCost: true}, nil)), enforced},
		{"it does not", bounded(says(features{}, nil)), url.Values{}},
		{"it cannot be asked", bounded(says(features{}, errors.New("down"))), enforced},
		{"an error counts, whatever is said beside it", bounded(says(features{}, context.DeadlineExceeded)), enforced},
		{"nobody can ask", bounded(nil), enforced},
		{"there are no limits", func(o *proxy.Options) {
			o.Features = func(context.Context) (queryCost, queryStats bool, err error) {
				t.Error("the upstream was asked")
				return true, false, nil
			}
		}, url.Values{}},
	} {
		f := newFence(t, tt.change)
		f.Proxy.AskFeatures(t.Context())
		for row, priced := range rows {
			want := url.Values{}
			if priced {
				want = tt.want
			}
			if resp, body := f.Get(t, row); resp.StatusCode != http.StatusOK {
				t.Errorf("%s, %s: %d %s", tt.name, row, resp.StatusCode, body)
			}
			if diff := cmp.Diff(want, engineParams(f.Asked()[0].form(t))); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", tt.name, row, diff)
			}
		}
	}
}

// What a caller sends is held against the setting; what cannot be is refused.
func TestACallersLimitOfTheEngineIsHeldAgainstTheSetting(t *testing.T) {
	f := newFence(t, bounded(says(features{QueryCost: true}, nil)))
	f.Get(t, "/api/v1/query?query=up&max_series=99&max_samples_read=5000&max_query_duration=1")
	want := url.Values{"max_series": {"99"}, "max_samples_read": {"1000"}, "max_query_duration": {"1"}}
	if diff := cmp.Diff(want, engineParams(f.Asked()[0].form(t))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	resp, body := f.Get(t, "/api/v1/query?query=up&max_series=many")
	wantError(t, resp, body, http.StatusBadRequest, "bad_data", `invalid parameter "max_series": cannot compare "many" with another limit`)
	if asked := f.Asked(); len(asked) != 0 {
		t.Errorf("the upstream was asked %v", asked)
	}
}

// An upstream may be replaced by another, and one that was down comes back.
func TestTheUpstreamIsAskedAgainForItsFeatures(t *testing.T) {
	var asked atomic.Int32
	var said atomic.Pointer[features] // nil = it is down
	f := newFence(t, bounded(func(context.Context) (features, error) {
		asked.Add(1)
		if s := said.Load(); s != nil {
			return *s, nil
		}
		return features{}, errors.New("down")
	}))
	steps := []struct {
		after time.Duration
		said  *features
		asked int32
		log   string
	}{
		{0, nil, 1, "could not be asked"},
		{9 * time.Second, nil, 1, ""},
		{2 * time.Second, nil, 2, ""}, // it was said before
		{11 * time.Second, &features{}, 3, "nobody enforces these limits"},
		{59 * time.Second, &features{QueryCost: true}, 3, ""},
		{2 * time.Second, &features{QueryCost: true}, 4, "the upstream enforces these limits"},
		{59 * time.Second, nil, 4, ""},
		{2 * time.Second, &features{}, 5, "nobody enforces these limits"},
	}
	synctest.Test(t, func(t *testing.T) {
		for i, step := range steps {
			time.Sleep(step.after)
			said.Store(step.said)
			before := len(f.Log.String())
			f.Proxy.AskFeatures(t.Context())
			news := f.Log.String()[before:]
			if asked.Load() != step.asked || (news == "") != (step.log == "") || !strings.Contains(news, step.log) {
				t.Errorf("step %d: asked %d times, want %d; the log says %q, want %q", i, asked.Load(), step.asked, news, step.log)
			}
			if news != "" && !strings.Contains(news, `"settings":["limits.max_series","limits.max_samples_read","limits.max_query_duration"]`) {
				t.Errorf("step %d: the log names no settings: %s", i, news)
			}
		}
		time.Sleep(2 * time.Minute) // what is kept goes
	})
}

// A query that hits a limit of promfence's is told which, and it counts.
func TestAnErrorNamesTheSettingThatTheEngineEnforced(t *testing.T) {
	for _, tt := range []struct {
		name, sent string
		status     int
		errorType  string
		text, want string
		counted    float64
	}{
		{"the setting", "", 422, "cost_limit", "query would load too many series into memory in query execution", "the query selects more series than the upstream's limit allows (limits.max_series is 100): narrow it", 1},
		{"the caller's own", "&max_series=7", 422, "cost_limit", "query would load too many series into memory in query execution", "limit allows (max_series is 7): narrow it", 0},
		{"another limit", "&max_series=7", 422, "cost_limit", "query would read too many samples in query execution", "limit allows (limits.max_samples_read is 1000): narrow it", 0},
		{"a setting above the upstream's", "", 400, "bad_data", "requested max_series of 100 exceeds the server limit of 50", "limits.max_series is 100, which is above the upstream's own limit of 50: the operator of promfence has to lower it", 0},
		{"a caller's above the upstream's", "&max_series=60", 400, "bad_data", "requested max_series of 60 exceeds the server limit of 50", "requested max_series of 60 exceeds the server limit of 50", 0},
	} {
		f := newFence(t, bounded(says(features{QueryCost: true}, nil)))
		f.Answer(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, `{"status":"error","errorType":"`+tt.errorType+`","error":"`+tt.text+`"}`)
		})
		resp, body := f.Get(t, "/api/v1/query?query=up"+tt.sent)
		wantError(t, resp, body, tt.status, tt.errorType, tt.want)
		if n := rejected(t, f, "max_series"); n != tt.counted {
			t.Errorf("%s: %v are counted, want %v", tt.name, n, tt.counted)
		}
	}
}

// What a query read is counted, also where the caller does not want to know it, and shown
// only if they do.
func TestSamplesReadAreCounted(t *testing.T) {
	const (
		head, tail = `{"status":"success","data":{"resultType":"vector","result":[]`, `}}`
		stats      = `,"stats":{"timings":{},"samples":{"samplesRead":40,"peakSamples":9}}`
		cost       = `,"cost":{"estimated":{"samplesRead":7},"actual":{"samplesRead":2}}`
	)
	both := features{QueryCost: true, QueryStats: true}
	for _, tt := range []struct {
		name, path string
		change     func(*proxy.Options)
		asked      string // stats, as the upstream gets it
		shown      string
		counted    float64
	}{
		{"where the upstream tells", "/api/v1/query?query=up", bounded(says(both, nil)), "true", strings.Repeat(" ", len(stats)), 40},
		{"of a range", "/api/v1/query_range?query=up&start=1&end=2&step=1", bounded(says(both, nil)), "true", strings.Repeat(" ", len(stats)), 40},
		{"where it enforces nothing and tells", "/api/v1/query?query=up", bounded(says(features{QueryStats: true}, nil)), "true", strings.Repeat(" ", len(stats)), 40},
		{"the caller wants statistics", "/api/v1/query?query=up&stats=all", bounded(says(both, nil)), "all", stats, 40},
		{"the caller wants the cost", "/api/v1/query?query=up&cost=true", bounded(says(both, nil)), "true", strings.Repeat(" ", len(stats)) + cost, 40},
		{"without a limit, the caller wants statistics", "/api/v1/query?query=up&stats=true", nil, "true", stats, 40},
		{"without a limit, the caller wants the cost", "/api/v1/query?query=up&cost=1", nil, "", cost, 2},
		{"without a limit nobody asks", "/api/v1/query?query=up", nil, "", "", 0},
		{"an upstream that does not tell", "/api/v1/query?query=up", bounded(says(features{QueryCost: true}, nil)), "", "", 0},
		{"one that could not be asked", "/api/v1/query?query=up", bounded(says(both, errors.New("down"))), "", "", 0},
		{"an estimate reads nothing", "/api/v1/query_cost?query=up&stats=true", bounded(says(both, nil)), "true", stats, 0},
	} {
		f := newFence(t, tt.change)
		f.Answer(func(w http.ResponseWriter, r *http.Request) {
			body := head
			if r.FormValue("stats") != "" {
				body += stats
			}
			if r.FormValue("cost") != "" {
				body += cost
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, body+tail)
		})
		resp, body := f.Get(t, tt.path)
		if want := head + tt.shown + tail; resp.StatusCode != http.StatusOK || body != want {
			t.Errorf("%s: %d %s, want %s", tt.name, resp.StatusCode, body, want)
		}
		if got := f.Asked()[0].form(t).Get("stats"); got != tt.asked {
			t.Errorf("%s: the upstream is asked for stats=%s, want %s", tt.name, got, tt.asked)
		}
		want := fmt.Sprintf("# HELP promfence_tenant_samples_read_total Samples that queries read, by tenant, as far as the upstream's answers tell.\n"+
			"# TYPE promfence_tenant_samples_read_total counter\npromfence_tenant_samples_read_total{tenant=\"acme\"} %v\n"+
			"promfence_tenant_samples_read_total{tenant=\"other\"} 0\npromfence_tenant_samples_read_total{tenant=\"several\"} 0\n", tt.counted)
		if err := testutil.GatherAndCompare(f.Metrics, strings.NewReader(want), "promfence_tenant_samples_read_total"); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
