package proxy_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/proxy"
)

func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func TestEveryDecisionIsRecorded(t *testing.T) {
	record := &lockedBuffer{}
	f := newFence(t, func(o *proxy.Options) { o.Audit, o.Limits.MaxPoints = record, 10 })
	f.Answer(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/series") {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = io.WriteString(w, success)
	})
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
			"route": "none", "decision": "refused", "reason": "not_found", "status": 404.,
		}},
		{"no token", "/api/v1/query?query=up", "", map[string]any{
			"route": "none", "decision": "refused", "reason": "missing", "status": 401.,
		}},
		{"no tenant", "/api/v1/query?query=up", " ", map[string]any{
			"route": "none", "decision": "refused", "reason": "tenant", "status": 403.,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := f.Request(t, http.MethodGet, tt.path, "")
			if r.Header.Del("Authorization"); tt.token != "" {
				r.Header.Set("Authorization", "Bearer "+f.Issuer.Token(t, tt.token, nil))
			}
			if tt.token == "acme" {
				maps.Copy(tt.want, map[string]any{"tenant": "acme", "subject": "alice", "issuer": f.Issuer.URL})
			}
			tt.want["method"] = http.MethodGet
			f.Do(t, r)
			got := lastLine(t, record)
			if when, err := time.Parse(time.RFC3339, got["time"].(string)); err != nil || time.Since(when) > time.Minute {
				t.Errorf("recorded at %v", got["time"])
			}
			access := f.lines(t, i+1)[i]
			for name := range got {
				if diff := cmp.Diff(got[name], access[name]); diff != "" && name != "time" {
					t.Errorf("the access line differs in %s: %s", name, diff)
				}
				switch name {
				case "req_id", "ms", "bytes", "time":
					delete(got, name)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	before := record.String()
	for _, path := range []string{"/-/healthy", "/docs"} {
		f.Get(t, path)
	}
	if record.String() != before {
		t.Errorf("public pages are no decisions: %s", strings.TrimPrefix(record.String(), before))
	}
	if all := record.String() + f.Log.String(); strings.Contains(all, "eyJ") || strings.Contains(all, "up(") {
		t.Errorf("a token or a query is recorded: %s", all)
	}
}

// lastLine is what was written last: a record precedes its answer.
func lastLine(t *testing.T, b *lockedBuffer) map[string]any {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	var line map[string]any
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &line); err != nil {
		t.Fatal(err)
	}
	return line
}
