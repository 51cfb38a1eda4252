package proxy_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/proxy"
)

func TestLimitsOnTime(t *testing.T) {
	f := newFence(t, func(o *proxy.Options) { o.Limits.MaxRange, o.Limits.MaxPoints = 24*time.Hour, 100 })
	const ranged, instant, series = "/api/v1/query_range?query=", "/api/v1/query?query=", "/api/v1/series?match[]=up"
	for _, tt := range []struct {
		name, path, refusal string
	}{
		{"a range within both", ranged + "up&start=0&end=86400&step=864", ""},
		{"more time than allowed", ranged + "up&start=0&end=86401&step=1h", "limits.max_range"},
		{"times as RFC 3339, a step with a unit", ranged + "up&start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00.5Z&step=1h", "limits.max_range"},
		{"one point more than allowed", ranged + "up&start=0&end=101&step=1", "limits.max_points"},
		{"steps of less than a second", ranged + "up&start=0&end=11&step=0.1", "limits.max_points"},
		{"a range selector counts", ranged + "rate(up[1h])&start=0&end=86400&step=1h", "limits.max_range"},
		{"so it does in an instant query", instant + "rate(up[25h])", "limits.max_range"},
		{"and when the query is known already", instant + "rate(up[25h])", "limits.max_range"},
		{"a subquery reaches beyond its inner range", instant + "max_over_time(rate(up[2h])[23h:1h])", "limits.max_range"},
		{"subqueries in subqueries add up", instant + "max_over_time(max_over_time(up[13h:1h])[12h:1h])", "limits.max_range"},
		{"a subquery with many steps", instant + "max_over_time(up[1h:1s])", "limits.max_points"},
		{"a subquery with few", instant + "max_over_time(up[1h:1m])", ""},
		{"an offset is not a longer range", instant + "rate(up[1h] offset 90d)", ""},
		{"a duration that we cannot compute", instant + "rate(up[1d*30])", "limits.max_range"},
		{"no start", ranged + "up&end=1&step=1", `invalid parameter "start"`},
		{"a time that only some upstreams read", ranged + "up&start=-10y&end=now&step=1h", `invalid parameter "start"`},
		{"a lookback that reaches further", instant + "up&lookback_delta=25h", "limits.max_range"},
		{"one in seconds", instant + "up&lookback_delta=90000.5", "limits.max_range"},
		{"one before a range", ranged + "up&start=0&end=86400&step=1h&lookback_delta=5m", "limits.max_range"},
		{"one before a subquery", instant + "max_over_time(up[23h:1h])&lookback_delta=2h", "limits.max_range"},
		{"one within", instant + "up&lookback_delta=1d", ""},
		{"one that is the upstream's own", instant + "up&lookback_delta=", ""},
		{"a lookback that we cannot read", instant + "up&lookback_delta=1day", `invalid parameter "lookback_delta"`},
		{"a lookback without end", instant + "up&lookback_delta=%2BInf", `invalid parameter "lookback_delta"`},
		{"a step that none reads", ranged + "up&start=0&end=1&step=0", `invalid parameter "step"`},
		{"an endless number", ranged + "up&start=-Inf&end=1&step=1", `invalid parameter "start"`},
		{"series of a day", series + "&start=0&end=86400", ""},
		{"series of all times", series + "&start=0&end=9e9", ""},
		{"series of a time that only some upstreams read", series + "&start=-10y", `invalid parameter "start"`},
		{"exemplars, of which nothing is evaluated", "/api/v1/query_exemplars?query=max_over_time(rate(up[1d*9])[1h:1s])&start=0&end=60", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := f.Get(t, strings.NewReplacer(" ", "%20", "+", "%2B").Replace(tt.path))
			if tt.refusal != "" {
				wantError(t, resp, body, http.StatusBadRequest, "bad_data", tt.refusal)
			} else if resp.StatusCode != http.StatusOK {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
			if asked := f.Asked(); len(asked) > 0 != (tt.refusal == "") {
				t.Errorf("the upstream was asked %v", asked)
			}
		})
	}
	for _, limit := range []string{"max_range", "max_points"} {
		if n := rejected(t, f, limit); n < 2 {
			t.Errorf("promfence_rejected_total{limit=%q} is %v", limit, n)
		}
	}
}

// What one limit cannot bound is no matter of the other.
func TestDurationsThatAreExpressions(t *testing.T) {
	const instant = "/api/v1/query?query="
	points := newFence(t, func(o *proxy.Options) { o.Limits.MaxPoints = 100 })
	span := newFence(t, func(o *proxy.Options) { o.Limits.MaxRange = time.Hour })
	for _, tt := range []struct {
		f              *fence
		query, refusal string
	}{
		{points, "rate(up[5m%2B1m])", ""},
		{points, "max_over_time(up[5m%2B1m:1m])", "limits.max_points"},
		{points, "max_over_time(up[5m:1m%2B1m])", "limits.max_points"},
		{span, "rate(up[5m%2B1m])", "limits.max_range"},
		{span, "max_over_time(up[5m%2B1m:1m])", "limits.max_range"},
	} {
		resp, body := tt.f.Get(t, instant+tt.query)
		if tt.refusal != "" {
			wantError(t, resp, body, http.StatusBadRequest, "bad_data", tt.refusal)
		} else if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", tt.query, resp.StatusCode, body)
		}
	}
	if a, b := rejected(t, points, "max_points"), rejected(t, span, "max_range"); a != 2 || b != 2 {
		t.Errorf("%v and %v are counted, want 2 each", a, b)
	}
}

// rejected reads the counter of a limit.
func rejected(t *testing.T, f *fence, limit string) float64 {
	t.Helper()
	all, err := f.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range all {
		for _, m := range family.GetMetric() {
			if family.GetName() == "promfence_rejected_total" && m.GetLabel()[0].GetValue() == limit {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Errorf("no promfence_rejected_total{limit=%q}", limit)
	return 0
}

// Lookups evaluate nothing: they get what they may have, and are not refused for more.
func TestLookupsGetTheLongestRange(t *testing.T) {
	f := newFence(t, func(o *proxy.Options) { o.Limits.MaxRange = time.Hour })
	now := time.Now().Unix()
	probe := fmt.Sprintf("start=%d000&end=%d000", now-1800, now)
	for _, path := range []string{
		"/api/v1/labels?", "/api/v1/label/job/values?", "/api/v1/series?match[]=up&", "/api/v1/query_exemplars?query=up&",
		"/api/v1/search/metric_names?", "/api/v1/search/label_names?", "/api/v1/search/label_values?label=job&",
	} {
		for _, tt := range []struct {
			name, params, end string
			start             float64
		}{
			{"until now", "", "", float64(now - 3600)},
			{"until an end", "end=7200.5", "7200.5", 3600.5},
			{"with an empty start", "start=&end=7200.5", "7200.5", 3600.5},
			{"a week", "start=0&end=604800", "604800", 601200},
			{"until long after now", "start=0&end=9e9", "9e9", float64(now - 3600)},
			{"Grafana's milliseconds", probe, fmt.Sprint(now) + "000", float64(now-1800) * 1000},
		} {
			f.Answer(func(http.ResponseWriter, *http.Request) {})
			f.Get(t, path+tt.params)
			form := f.Asked()[0].form(t)
			if start, _ := strconv.ParseFloat(form.Get("start"), 64); start < tt.start || start > tt.start+60 || len(form["start"]) != 1 {
				t.Errorf("%s, %s: start is %q, want %v", path, tt.name, form["start"], tt.start)
			}
			if form.Get("end") != tt.end {
				t.Errorf("%s, %s: end is %q, want %q", path, tt.name, form.Get("end"), tt.end)
			}
		}
	}
}

// Without a limit nobody reads times but the upstream.
func TestWithoutLimitsTimesAreTheUpstreamsBusiness(t *testing.T) {
	f := newFence(t, nil)
	for _, query := range []string{"query=up", "query=up&start=-10y&end=now&step=x", "query=rate(up[1d*999])&start=0&end=9e99&step=1"} {
		if resp, body := f.Get(t, "/api/v1/query_range?"+query); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", query, resp.StatusCode, body)
		}
		want, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		got := f.Asked()[0].form(t)
		delete(want, "query")
		delete(got, "query")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestRequestRateIsATenantsOwn(t *testing.T) {
	f := newFence(t, func(o *proxy.Options) { o.Limits.RequestsPerSecond, o.Limits.Burst = 1, 3 })
	as := func(tenant any) (answered, string) {
		r := f.Request(t, http.MethodGet, "/api/v1/query?query=up", "")
		r.Header.Set("Authorization", "Bearer "+f.Issuer.Token(t, tenant, nil))
		return f.Do(t, r)
	}
	for range 3 {
		if resp, body := as("acme"); resp.StatusCode != http.StatusOK {
			t.Fatalf("within the burst: %d %s", resp.StatusCode, body)
		}
	}
	resp, body := as("acme")
	wantError(t, resp, body, http.StatusTooManyRequests, "too_many_requests", "at most 1 a second")
	if resp.Header.Get("Retry-After") != "1" || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("headers: %v", resp.Header)
	}
	for _, other := range []any{"beta", []string{"acme", "beta"}} {
		if resp, body := as(other); resp.StatusCode != http.StatusOK {
			t.Errorf("%v: %d %s", other, resp.StatusCode, body)
		}
	}
	if n := rejected(t, f, "requests_per_second"); n != 1 {
		t.Errorf("counted %v", n)
	}
	// An unknown path is refused for what it is, and takes nothing.
	if resp, _ := f.Get(t, "/nothing"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("/nothing: %d", resp.StatusCode)
	}
}

func TestConcurrentRequestsAreATenantsOwn(t *testing.T) {
	f := newFence(t, func(o *proxy.Options) { o.Limits.ConcurrentRequests = 2 })
	asked, may := make(chan bool), make(chan bool)
	f.Answer(func(http.ResponseWriter, *http.Request) {
		asked <- true
		<-may
	})
	done := make(chan int)
	for range 2 {
		r := f.Request(t, http.MethodGet, "/api/v1/query?query=up", "")
		go func() {
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				done <- 0
				return
			}
			_ = resp.Body.Close()
			done <- resp.StatusCode
		}()
		<-asked
	}
	resp, body := f.Get(t, "/api/v1/query?query=up")
	wantError(t, resp, body, http.StatusTooManyRequests, "too_many_requests", "at most 2")
	if resp.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	f.Answer(nil)
	r := f.Request(t, http.MethodGet, "/api/v1/query?query=up", "")
	r.Header.Set("Authorization", "Bearer "+f.Issuer.Token(t, "beta", nil))
	if resp, body := f.Do(t, r); resp.StatusCode != http.StatusOK {
		t.Errorf("another tenant: %d %s", resp.StatusCode, body)
	}
	close(may)
	for range 2 {
		if status := <-done; status != http.StatusOK {
			t.Errorf("a running request ended with %d", status)
		}
	}
	for range 3 { // what has ended has made room
		if resp, body := f.Get(t, "/api/v1/query?query=up"); resp.StatusCode != http.StatusOK {
			t.Errorf("afterwards: %d %s", resp.StatusCode, body)
		}
	}
}
