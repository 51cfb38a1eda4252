package proxy_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/proxy"
	"github.com/promfence/promfence/proxy/record"
)

func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// A journal is an audit log that a test reads. Its records are written when somebody
// waits for them, and lost when it is broken.
type journal struct {
	mu     sync.Mutex
	lines  []map[string]any
	waited int
	broken error
}

func (j *journal) Append(line []byte) func() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken == nil {
		var members map[string]any
		if err := json.Unmarshal(line, &members); err != nil {
			members = map[string]any{"not JSON": string(line)}
		}
		j.lines = append(j.lines, members)
	}
	err := j.broken
	return func() error {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.waited++
		return err
	}
}

// records are the lines once there are n of them: the last of a request is written at
// its answer's end.
func (j *journal) records(t *testing.T, n int) []map[string]any {
	t.Helper()
	for range 3000 { // 30 s
		j.mu.Lock()
		lines := slices.Clone(j.lines)
		j.mu.Unlock()
		if len(lines) >= n {
			return lines
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("no %d records: %v", n, j.lines)
	return nil
}

func TestEveryDecisionIsRecorded(t *testing.T) {
	j := &journal{}
	f := newFence(t, func(o *proxy.Options) { o.Audit, o.Limits.MaxPoints = j, 10 })
	f.Answer(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/series") {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = io.WriteString(w, success)
	})
	written := 0
	for i, tt := range []struct {
		name, path, token string
		want              map[string]any
	}{
		{"allowed", "/api/v1/query?query=up", "acme", map[string]any{
			"route": "/api/v1/query", "decision": "allowed", "query_sha256": hashed("up"), "upstream_status": 200., "status": 200.,
		}},
		{"the upstream fails", "/api/v1/series?match[]=up&match[]=down", "acme", map[string]any{
			"route": "/api/v1/series", "decision": "allowed", "query_sha256": hashed("up\ndown"), "upstream_status": 500., "status": 500.,
		}},
		{"answered by promfence", "/api/v1/metrics/explain?query=up", "acme", map[string]any{
			"route": "/api/v1/metrics/explain", "decision": "allowed", "query_sha256": hashed("up"), "status": 200.,
		}},
		{"not PromQL", "/api/v1/query?query=up(", "acme", map[string]any{
			"route": "/api/v1/query", "decision": "refused", "reason": "bad_data", "query_sha256": hashed("up("), "status": 400.,
		}},
		{"over a limit", "/api/v1/query_range?query=up&start=0&end=11&step=1", "acme", map[string]any{
			"route": "/api/v1/query_range", "decision": "refused", "reason": "max_points", "query_sha256": hashed("up"), "status": 400.,
		}},
		{"no such endpoint", "/api/v1/admin/tsdb/delete_series?match[]=up", "acme", map[string]any{
			"route": "none", "path": "/api/v1/admin/tsdb/delete_series", "decision": "refused", "reason": "not_found", "status": 404.,
		}},
		{"no token", "/api/v1/query?query=up", "", map[string]any{
			"route": "none", "decision": "refused", "reason": "missing", "status": 401.,
		}},
		{"no tenant", "/api/v1/query?query=up", " ", map[string]any{
			"route": "none", "subject": "alice", "issuer": "the issuer", "decision": "refused", "reason": "tenant", "status": 403.,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := f.Request(t, http.MethodGet, tt.path, "")
			if r.Header.Del("Authorization"); tt.token != "" {
				r.Header.Set("Authorization", "Bearer "+f.Issuer.Token(t, tt.token, nil))
			}
			if tt.want["issuer"] != nil {
				tt.want["issuer"] = f.Issuer.URL
			}
			if tt.token == "acme" {
				maps.Copy(tt.want, map[string]any{"tenants": []any{"acme"}, "subject": "alice", "issuer": f.Issuer.URL})
			}
			maps.Copy(tt.want, map[string]any{"method": http.MethodGet, "client": "127.0.0.1"})
			f.Do(t, r)
			lines := 1
			if tt.want["decision"] == "allowed" {
				lines = 2
			}
			all := j.records(t, written+lines)[written:]
			access := f.lines(t, i+1)[i]
			if len(all) != lines {
				t.Fatalf("%d records: %v", len(all), all)
			}
			written += lines
			got := map[string]any{}
			for _, record := range all {
				if when, err := time.Parse(time.RFC3339, record["time"].(string)); err != nil || time.Since(when) > time.Minute {
					t.Errorf("recorded at %v", record["time"])
				}
				for name, value := range record {
					switch name {
					case "time", "ms":
						continue
					case "decision":
						if value == "answered" {
							continue
						}
					}
					got[name] = value
					if diff := cmp.Diff(value, access[name]); diff != "" {
						t.Errorf("the access line differs in %s: %s", name, diff)
					}
				}
			}
			if lines == 2 {
				if all[1]["decision"] != "answered" || all[1]["req_id"] != all[0]["req_id"] || all[0]["status"] != nil {
					t.Errorf("the two records are %v", all)
				}
			}
			for _, name := range []string{"req_id", "bytes", "upstream_ms"} {
				delete(got, name)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	for _, path := range []string{"/-/healthy", "/docs"} {
		f.Get(t, path)
	}
	if all := j.records(t, 0); len(all) != written {
		t.Errorf("public pages are no decisions: %v", all[written:])
	}
	if all := fmt.Sprint(j.records(t, 0)) + f.Log.String(); strings.Contains(all, "eyJ") || strings.Contains(all, "up(") {
		t.Errorf("a token or a query is recorded: %s", all)
	}
}

// A firstByte tells what was on record when the answer began.
type firstByte struct {
	recorder
	journal *journal
	waited  int
}

func (w *firstByte) WriteHeader(status int) {
	w.journal.mu.Lock()
	w.waited = w.journal.waited
	w.journal.mu.Unlock()
	w.recorder.WriteHeader(status)
}

func TestOnRecordBeforeTheFirstByte(t *testing.T) {
	j := &journal{}
	f := newFence(t, func(o *proxy.Options) { o.Audit = j })
	for i, path := range []string{"/api/v1/query?query=up", "/api/v1/labels", "/api/v1/alerts", "/api/v1/metrics/explain?query=up", "/api/v1/query?query=up(", "/nowhere"} {
		w := &firstByte{recorder{httptest.NewRecorder()}, j, 0}
		r := f.Request(t, http.MethodGet, path, "")
		r.RemoteAddr = "192.0.2.1:1"
		if f.Proxy.ServeHTTP(w, r); w.waited != i+1 {
			t.Errorf("%s: answered with %d, and %d of %d decisions are on record", path, w.Code, w.waited, i+1)
		}
	}
}

func TestWhatCannotBeRecorded(t *testing.T) {
	for name, tt := range map[string]struct {
		required bool
		want     map[string]int
	}{
		"is answered":                      {false, map[string]int{"/api/v1/query?query=up": 200, "/api/v1/query?query=up(": 400, "/-/healthy": 200}},
		"is not answered where it must be": {true, map[string]int{"/api/v1/query?query=up": 503, "/api/v1/query?query=up(": 503, "/-/healthy": 200}},
	} {
		t.Run(name, func(t *testing.T) {
			j := &journal{broken: errors.New("no space left")}
			f := newFence(t, func(o *proxy.Options) { o.Audit, o.AuditRequired = j, tt.required })
			lines := 0
			for path, status := range tt.want {
				resp, body := f.Get(t, path)
				if resp.StatusCode != status {
					t.Errorf("%s: %d %s", path, resp.StatusCode, body)
				}
				if lines++; status == http.StatusServiceUnavailable {
					wantError(t, resp, body, status, "unavailable", "cannot record")
				}
			}
			if asked := len(f.Asked()); tt.required == (asked > 0) {
				t.Errorf("the upstream was asked %d times", asked)
			}
			if tt.required {
				f.logged(t, "no space left")
				f.logged(t, `"reason":"audit"`)
			}
			j.mu.Lock()
			j.broken = nil
			j.mu.Unlock()
			f.Get(t, "/api/v1/query?query=up")
			if all := j.records(t, 2); len(all) != 2 { // nothing that completes a lost record
				t.Errorf("the records are %v", all)
			}
		})
	}
	if _, err := proxy.New(proxy.Options{Options: record.Options{AuditRequired: true}}); err == nil || !strings.Contains(err.Error(), "audit log") {
		t.Errorf("records are required and kept nowhere: %v", err)
	}
}

// A stuckJournal never finishes a record.
type stuckJournal struct{ end <-chan struct{} }

func (j stuckJournal) Append([]byte) func() error {
	return func() error {
		<-j.end
		return errors.New("the test has ended")
	}
}

// A record that is required and takes too long is none, for refusals as for answers.
func TestNobodyWaitsLongForARecord(t *testing.T) {
	t.Parallel() // it waits
	end := make(chan struct{})
	f := newFence(t, func(o *proxy.Options) { o.Audit, o.AuditRequired = stuckJournal{end}, true })
	t.Cleanup(func() { close(end) })
	var all sync.WaitGroup
	for _, path := range []string{"/api/v1/query?query=up", "/api/v1/query?query=up(", "/api/v1/metrics/explain?query=up"} {
		r := f.Request(t, http.MethodGet, path, "")
		all.Go(func() {
			resp, body := f.Do(t, r)
			wantError(t, resp, body, http.StatusServiceUnavailable, "unavailable", "cannot record")
		})
	}
	all.Wait()
	if asked := f.Asked(); len(asked) > 0 {
		t.Errorf("the upstream was asked: %v", asked)
	}
}
