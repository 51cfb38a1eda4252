package clients_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"

	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/contract"
	"github.com/promfence/promfence/test/harness/upstream"
)

// A result is what a method of the client returns.
type result struct {
	Value    any
	Warnings v1.Warnings
	Err      error
}

func of(v any, w v1.Warnings, err error) result { return result{v, w, err} }

// calls are the methods of client_golang's API that promfence serves, each in
// the ways in which one calls it. Their names are the methods'.
func calls(now time.Time) map[string]func(context.Context, v1.API) result {
	start := now.Add(-10 * time.Minute)
	ranged := v1.Range{Start: start, End: now, Step: 30 * time.Second}
	all := map[string]func(context.Context, v1.API) result{
		"LabelNames": func(ctx context.Context, a v1.API) result { return of(a.LabelNames(ctx, nil, start, now)) },
		"LabelNames of a selector": func(ctx context.Context, a v1.API) result {
			return of(a.LabelNames(ctx, []string{"requests_total", `only_stranger`}, start, now))
		},
		"LabelNames, wrong": func(ctx context.Context, a v1.API) result { return of(a.LabelNames(ctx, []string{"{}"}, start, now)) },
		"LabelValues":       func(ctx context.Context, a v1.API) result { return of(a.LabelValues(ctx, "job", nil, start, now)) },
		"LabelValues, UTF-8": func(ctx context.Context, a v1.API) result {
			return of(a.LabelValues(ctx, "host.name", nil, start, now))
		},
		"LabelValues, limited": func(ctx context.Context, a v1.API) result {
			return of(a.LabelValues(ctx, "code", nil, start, now, v1.WithLimit(1)))
		},
		"LabelValues of a name": func(ctx context.Context, a v1.API) result {
			return of(a.LabelValues(ctx, "code", []string{"requests_total"}, start, now))
		},
		"Series": func(ctx context.Context, a v1.API) result {
			return of(a.Series(ctx, []string{"requests_total"}, start, now))
		},
		"Series, limited": func(ctx context.Context, a v1.API) result {
			return of(a.Series(ctx, []string{"memory_bytes", "same"}, start, now, v1.WithLimit(1)))
		},
		"Series, none": func(ctx context.Context, a v1.API) result { return of(a.Series(ctx, nil, start, now)) },
		"QueryExemplars": func(ctx context.Context, a v1.API) result {
			v, err := a.QueryExemplars(ctx, "traced_total", start, now)
			return of(v, nil, err)
		},
		"QueryExemplars, wrong": func(ctx context.Context, a v1.API) result {
			v, err := a.QueryExemplars(ctx, "traced_total{", start, now)
			return of(v, nil, err)
		},
		"Buildinfo": func(ctx context.Context, a v1.API) result { v, err := a.Buildinfo(ctx); return of(v, nil, err) },
		"Alerts":    func(ctx context.Context, a v1.API) result { v, err := a.Alerts(ctx); return of(v, nil, err) },
		"Rules":     func(ctx context.Context, a v1.API) result { v, err := a.Rules(ctx, nil); return of(v, nil, err) },
		"Rules, selected": func(ctx context.Context, a v1.API) result {
			v, err := a.Rules(ctx, []string{`{severity="page"}`})
			return of(v, nil, err)
		},
		"Targets": func(ctx context.Context, a v1.API) result {
			v, err := a.Targets(ctx)
			return of(v, nil, err)
		},
		"TargetsMetadata": func(ctx context.Context, a v1.API) result {
			v, err := a.TargetsMetadata(ctx, "", "", "")
			return of(v, nil, err)
		},
		"Metadata": func(ctx context.Context, a v1.API) result { v, err := a.Metadata(ctx, "", ""); return of(v, nil, err) },
		"Metadata of one": func(ctx context.Context, a v1.API) result {
			v, err := a.Metadata(ctx, "scraped_total", "1")
			return of(v, nil, err)
		},
		"FormatQuery": func(ctx context.Context, a v1.API) result {
			v, err := a.FormatQuery(ctx, "sum by(job)(up)")
			return of(v, nil, err)
		},
	}
	for _, query := range []string{
		"sort_by_label(requests_total, \"job\", \"code\")", "sum(requests_total)", "1", `"text"`, "sort_by_label(requests_total[1m:30s], \"job\")", "native_seconds", "rate(memory_bytes[5m])", // with an info
		"histogram_quantile(2, latency_seconds_bucket)", "sum(", "same + on () same", "label_replace(memory_bytes, \"x\", \"y\", \"job\", \"(\")", "only_stranger", `requests_total{tenant_id="stranger"}`,
	} {
		all["Query "+query] = func(ctx context.Context, a v1.API) result { return of(a.Query(ctx, query, now)) }
		all["QueryRange "+query] = func(ctx context.Context, a v1.API) result { return of(a.QueryRange(ctx, query, ranged)) }
	}
	all["Query with options"] = func(ctx context.Context, a v1.API) result {
		return of(a.Query(ctx, "sort(requests_total)", now, v1.WithTimeout(5*time.Second), v1.WithLookbackDelta(time.Minute), v1.WithLimit(1), v1.WithStats(v1.AllStatsValue)))
	}
	all["QueryRange, backwards"] = func(ctx context.Context, a v1.API) result {
		return of(a.QueryRange(ctx, "up", v1.Range{Start: now, End: start, Step: time.Second}))
	}
	return all
}

// unserved are the methods that ask for what is nobody's own, and so are refused.
var unserved = map[string]func(context.Context, v1.API) error{
	"AlertManagers":   func(ctx context.Context, a v1.API) error { _, err := a.AlertManagers(ctx); return err },
	"CleanTombstones": func(ctx context.Context, a v1.API) error { return a.CleanTombstones(ctx) },
	"Config":          func(ctx context.Context, a v1.API) error { _, err := a.Config(ctx); return err },
	"DeleteSeries": func(ctx context.Context, a v1.API) error {
		return a.DeleteSeries(ctx, []string{"up"}, time.Time{}, time.Now())
	},
	"Flags":       func(ctx context.Context, a v1.API) error { _, err := a.Flags(ctx); return err },
	"Runtimeinfo": func(ctx context.Context, a v1.API) error { _, err := a.Runtimeinfo(ctx); return err },
	"Snapshot":    func(ctx context.Context, a v1.API) error { _, err := a.Snapshot(ctx, true); return err },
	"TSDB":        func(ctx context.Context, a v1.API) error { _, err := a.TSDB(ctx); return err },
	"TSDBBlocks":  func(ctx context.Context, a v1.API) error { _, err := a.TSDBBlocks(ctx); return err },
	"WalReplay":   func(ctx context.Context, a v1.API) error { _, err := a.WalReplay(ctx); return err },
}

// moments differ from one server to the next.
var moments = cmp.FilterPath(func(p cmp.Path) bool {
	f, ok := p.Last().(cmp.StructField)
	return ok && strings.Contains(" EvaluationTime LastEvaluation ActiveAt LastScrape LastScrapeDuration File GlobalURL ", " "+f.Name()+" ")
}, cmp.Ignore())

// inOrder sorts what Prometheus lists job by job, or group by group, in any order.
var inOrder = cmp.Options{
	cmpopts.SortSlices(func(a, b v1.MetricMetadata) bool { return a.Metric < b.Metric }),
	cmpopts.SortSlices(func(a, b v1.Alert) bool { return a.Labels.String() < b.Labels.String() }),
}

// sameError compares errors as the client's callers do, by type, and by the text
// but for the name of promfence's parser and of the parameter.
var sameError = cmp.Comparer(func(a, b error) bool {
	var x, y *v1.Error
	if !errors.As(a, &x) || !errors.As(b, &y) {
		return fmt.Sprint(a) == fmt.Sprint(b)
	}
	text := func(e *v1.Error) string {
		text, _, _ := strings.Cut(e.Msg, " (promfence's PromQL parser")
		_, rest, ok := strings.Cut(text, `": `)
		if ok && strings.HasPrefix(text, "invalid parameter ") {
			return rest
		}
		return text
	}
	return x.Type == y.Type && text(x) == text(y)
})

func client(t *testing.T, base string, c *http.Client) v1.API {
	t.Helper()
	a, err := api.NewClient(api.Config{Address: base, Client: c})
	if err != nil {
		t.Fatal(err)
	}
	return v1.NewAPI(a)
}

func clientGolangCannotTell(t *testing.T, w *world) {
	alone, fenced := client(t, w.Alone.URL, http.DefaultClient), client(t, w.fence, w.fenced)
	covered := map[string]bool{}
	for name, call := range calls(w.Now) {
		method, _, _ := strings.Cut(name, " ")
		covered[strings.TrimSuffix(method, ",")] = true
		want, got := call(t.Context(), alone), call(t.Context(), fenced)
		for _, r := range []*result{&want, &got} {
			for i, text := range r.Warnings {
				r.Warnings[i], _, _ = strings.Cut(text, " (") // where in the enforced query
			}
		}
		if diff := cmp.Diff(want, got, moments, sameError, inOrder); diff != "" {
			t.Errorf("%s (-alone +promfence):\n%s", name, diff)
		}
		if strings.Contains(fmt.Sprintf("%+v", got), harness.Stranger) && !strings.Contains(name, harness.Stranger) {
			t.Errorf("%s tells of a stranger: %+v", name, got)
		}
	}
	for name, call := range unserved {
		covered[name] = true
		var e *v1.Error
		if err := call(t.Context(), fenced); !errors.As(err, &e) || e.Type != v1.ErrClient || !strings.Contains(e.Detail, "no such endpoint") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for m := range reflect.TypeFor[v1.API]().Methods() {
		if !covered[m.Name] {
			t.Errorf("the client's %s is not called", m.Name)
		}
	}
}

// A refusal is an error that the client's callers can act on.
func clientGolangReadsRefusals(t *testing.T, w *world) {
	for name, tt := range map[string]struct {
		client *http.Client
		query  string
		kind   v1.ErrorType
		text   string
	}{
		"no token":          {http.DefaultClient, "up", v1.ErrClient, "client error: 401"},
		"no tenant":         {&http.Client{Transport: bearer{w.idp.Token(t, nil, nil)}}, "up", v1.ErrClient, "client error: 403"},
		"a broken query":    {w.fenced, "sum(", v1.ErrBadData, "unclosed left parenthesis"},
		"a refused query":   {w.fenced, "info(up)", v1.ErrBadData, "group_left"},
		"a failing query":   {w.fenced, "same + on () same", v1.ErrExec, "found duplicate series for the match group"},
		"too long a query":  {w.fenced, "up + " + strings.Repeat("u", 1<<16), v1.ErrBadData, "65536"},
		"too deep, though":  {w.fenced, strings.Repeat("(", 200) + "up" + strings.Repeat(")", 200), v1.ErrBadData, "100"},
		"an expired token,": {&http.Client{Transport: bearer{w.idp.Token(t, "acme", map[string]any{"exp": w.Now.Unix() - 3600})}}, "up", v1.ErrClient, "client error: 401"},
	} {
		_, _, err := client(t, w.fence, tt.client).Query(t.Context(), tt.query, w.Now)
		var e *v1.Error
		if !errors.As(err, &e) || e.Type != tt.kind || !strings.Contains(e.Msg, tt.text) {
			t.Errorf("%s: %v, want %s with %q", name, err, tt.kind, tt.text)
		}
	}
}

// The client asks again with GET when a server refuses its POST.
func clientGolangFallsBackToGET(t *testing.T, w *world) {
	target, err := url.Parse(w.Crowd.URL)
	if err != nil {
		t.Fatal(err)
	}
	pass := upstream.PassOn(target)
	for _, status := range []int{http.StatusMethodNotAllowed, http.StatusNotImplemented} {
		reader := upstream.Stub(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				rw.Header().Set("Allow", "GET")
				http.Error(rw, "no", status)
				return
			}
			pass.ServeHTTP(rw, r)
		}))
		fenced := client(t, contract.Promfence(t, w.idp, reader.URL), w.fenced)
		want, _, err := client(t, w.Alone.URL, http.DefaultClient).Query(t.Context(), "sum(requests_total)", w.Now)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := fenced.Query(t.Context(), "sum(requests_total)", w.Now)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%d: %v\n%s", status, err, diff)
		}
		names, _, err := fenced.LabelNames(t.Context(), nil, time.Time{}, time.Time{})
		if err != nil || len(names) == 0 {
			t.Errorf("%d: names %v: %v", status, names, err)
		}
	}
}
