package proxy_test

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/promfence/promfence/proxy"
)

const none = `tenant_id="globex" matches none of your tenants`

// A matcher that can match nothing leaves a trace wherever an operator looks, and in
// the answer where that is set.
func TestConflicts(t *testing.T) {
	for _, tt := range []struct {
		name, path, upstream string
		off                  bool // tenancy.warn_on_conflict
		conflict             bool
		warnings             []string
	}{
		{name: "another tenant", path: `/api/v1/query?query=up{tenant_id="globex"}`, conflict: true, warnings: []string{none}},
		{name: "the same once more, out of the cache", path: `/api/v1/query?query=up{tenant_id="globex"}`, conflict: true, warnings: []string{none}},
		{name: "over a range", path: `/api/v1/query_range?start=1&end=2&step=1&query=up{tenant_id="globex"}`, conflict: true, warnings: []string{none}},
		{name: "in one of two selectors", path: `/api/v1/query?query=up or down{tenant_id="globex"}`, conflict: true, warnings: []string{none}},
		{name: "anything but oneself", path: `/api/v1/query?query=up{tenant_id!="acme"}`, conflict: true, warnings: []string{`tenant_id!="acme" matches none of your tenants`}},
		{name: "nobody", path: `/api/v1/query?query=up{tenant_id=""}`, conflict: true, warnings: []string{`tenant_id="" matches none of your tenants`}},
		{name: "oneself", path: `/api/v1/query?query=up{tenant_id="acme"}`},
		{name: "oneself among others", path: `/api/v1/query?query=up{tenant_id=~"acme|globex"}`},
		{name: "nothing said", path: `/api/v1/query?query=up`},
		{
			name: "beside other warnings", path: `/api/v1/query?query=up{tenant_id="globex"}`, conflict: true,
			upstream: `{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["PromQL warning: w"],"infos":["PromQL info: i"]}`,
			warnings: []string{none, "PromQL warning: w"},
		},
		{name: "where it is off", off: true, path: `/api/v1/query?query=up{tenant_id="globex"}`, conflict: true},
		{name: "a lookup", path: `/api/v1/series?match[]=up{tenant_id="globex"}`, conflict: true},
		{name: "one of several selectors", path: `/api/v1/labels?match[]=up&match[]=up{tenant_id="globex"}`, conflict: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			audit := &journal{}
			f := newFence(t, func(o *proxy.Options) { o.WarnOnConflict, o.Audit = !tt.off, audit })
			if tt.upstream != "" {
				f.Answer(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					_, _ = io.WriteString(w, tt.upstream)
				})
			}
			path, query, _ := strings.Cut(tt.path, "?")
			form, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // anew, and from the cache
				resp, body := f.Get(t, path+"?"+form.Encode())
				var got struct{ Warnings, Infos []string }
				if err := json.Unmarshal([]byte(body), &got); err != nil || resp.StatusCode != http.StatusOK {
					t.Fatalf("%d %s", resp.StatusCode, body)
				}
				if diff := cmp.Diff(tt.warnings, got.Warnings); diff != "" {
					t.Errorf("warnings (-want +got):\n%s", diff)
				}
				if strings.Count(body, "warnings") > 1 {
					t.Errorf("two members: %s", body)
				}
			}
			for i, line := range f.lines(t, 2) {
				if _, marked := line["conflict"]; marked != tt.conflict {
					t.Errorf("line %d: %v", i, line)
				}
			}
			for i, record := range audit.records(t, 4) {
				if _, marked := record["conflict"]; marked != (tt.conflict && record["decision"] == "allowed") {
					t.Errorf("record %d: %v", i, record)
				}
			}
			want := 0
			if tt.conflict {
				want = 1
			}
			if n, err := testutil.GatherAndCount(f.Metrics, "promfence_conflicts_total"); err != nil || n != want {
				t.Errorf("%d series of promfence_conflicts_total, want %d, %v", n, want, err)
			}
		})
	}
}

// What is refused for its conflict is one, too.
func TestConflictsThatAreRefused(t *testing.T) {
	f := newFence(t, func(o *proxy.Options) { o.RejectConflicts, o.WarnOnConflict = true, true })
	resp, body := f.Get(t, `/api/v1/query?query=up%7Btenant_id%3D%22globex%22%7D`)
	wantError(t, resp, body, http.StatusForbidden, "forbidden", "none of your tenants")
	f.Get(t, `/api/v1/query?query=up`)
	lines := f.lines(t, 2)
	if lines[0]["conflict"] != true || lines[1]["conflict"] != nil {
		t.Errorf("the lines: %v", lines)
	}
	const want = `
# HELP promfence_conflicts_total Requests with a matcher of the caller's own that can match nothing of what they may see, by route.
# TYPE promfence_conflicts_total counter
promfence_conflicts_total{route="/api/v1/query"} 1
`
	if err := testutil.GatherAndCompare(f.Metrics, strings.NewReader(want), "promfence_conflicts_total"); err != nil {
		t.Error(err)
	}
}

// The warning stands in answers as the upstream encodes them, and in those with status
// 200 only.
func TestConflictsInAnswersOfOtherKinds(t *testing.T) {
	f := newFence(t, func(o *proxy.Options) { o.WarnOnConflict = true })
	const path = `/api/v1/query?query=up%7Btenant_id%3D%22globex%22%7D`
	f.Answer(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, success)
		_ = z.Close()
	})
	r := f.Request(t, "GET", path, "")
	r.Header.Set("Accept-Encoding", "gzip")
	resp, zipped := f.Do(t, r)
	z, err := gzip.NewReader(strings.NewReader(zipped))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	const want = `{"status":"success","data":[],"warnings":["tenant_id=\"globex\" matches none of your tenants"]}`
	if string(text) != want || err != nil || resp.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("compressed: %s, %v, %v", text, err, resp.Header)
	}
	f.Answer(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = io.WriteString(w, `{"status":"error","errorType":"execution","error":"query timed out in expression evaluation"}`)
	})
	if _, body := f.Get(t, path); strings.Contains(body, "warnings") {
		t.Errorf("an error: %s", body)
	}
	f.Answer(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "30")
		_, _ = io.WriteString(w, success+" {")
	})
	if resp, err := http.DefaultClient.Do(f.Request(t, "GET", path, "")); err == nil {
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err == nil && resp.StatusCode == http.StatusOK {
			t.Errorf("an answer that was cut looks whole: %d %s", resp.StatusCode, body)
		}
	}
}
