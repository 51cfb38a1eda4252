package clients_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/compare"
	"github.com/promfence/promfence/test/harness/contract"
)

// A panel that names somebody else's tenant is empty, and with tenancy.warn_on_conflict
// its answer says why, beside what the engine says. Every other answer is the one that
// an upstream with acme's data alone gives.
func grafanaShowsWhyAPanelIsEmpty(t *testing.T, w *world) {
	const reason = `tenant_id="globex" matches none of your tenants`
	fenced := contract.Promfence(t, w.idp, w.Crowd.URL, "TENANCY_WARN_ON_CONFLICT=true")
	at, start := fmt.Sprint(w.Now.Unix()), fmt.Sprint(w.Now.Add(-harness.Step*10).Unix())
	for _, tt := range []struct {
		name, path, query string
		warns             bool
		engine            int // warnings of the engine's own
	}{
		{"somebody else's", "/api/v1/query", `requests_total{tenant_id="globex"}`, true, 0},
		{"over a range", "/api/v1/query_range", `rate(requests_total{tenant_id="globex"}[1m])`, true, 0},
		{"beside a warning of the engine", "/api/v1/query", `sum(mixed) or requests_total{tenant_id="globex"}`, true, 1},
		{"beside it, over a range", "/api/v1/query_range", `sum(mixed) or requests_total{tenant_id="globex"}`, true, 1},
		{"one's own", "/api/v1/query", `requests_total{tenant_id="acme"}`, false, 0},
		{"a warning of the engine alone", "/api/v1/query_range", `sum(mixed)`, false, 1},
		{"a lookup", "/api/v1/series", `requests_total{tenant_id="globex"}`, false, 0},
		{"what the engine refuses", "/api/v1/query", `same + on () same or requests_total{tenant_id="globex"}`, false, 0},
	} {
		for _, coding := range []string{"identity", "gzip"} {
			q := compare.Question{Name: tt.name + ", " + coding, Method: http.MethodPost, Path: tt.path, Unordered: true, Header: http.Header{"Accept-Encoding": {coding}}}
			q.Params = harness.Form("query", tt.query, "match[]", tt.query, "time", at, "start", start, "end", at, "step", "15")
			want, got := q.Ask(t, w.Alone.URL, "", w.Now), q.Ask(t, fenced, w.token, w.Now)
			if want.Status >= http.StatusBadRequest { // errors go out plain
				delete(want.Header, "Content-Encoding")
			}
			warnings := takeWarnings(t, &got)
			if own := takeWarnings(t, &want); len(own) != tt.engine {
				t.Errorf("%s: the engine has %d warnings, want %d: %v", q.Name, len(own), tt.engine, own)
			} else if tt.warns {
				own = append([]any{}, own...)
				if diff := cmp.Diff(append(own, reason), warnings); diff != "" {
					t.Errorf("%s: warnings (-want +got):\n%s", q.Name, diff)
				}
			} else if diff := cmp.Diff(own, warnings); diff != "" {
				t.Errorf("%s: warnings (-direct +promfence):\n%s", q.Name, diff)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-direct +promfence):\n%s", q.Name, diff)
			}
			if strings.Contains(fmt.Sprint(got.Body), harness.Stranger) {
				t.Errorf("%s tells of a stranger: %v", q.Name, got.Body)
			}
		}
	}
}

// takeWarnings takes the warnings, which compare has sorted, out of an answer.
func takeWarnings(t *testing.T, a *compare.Answer) []any {
	t.Helper()
	body, ok := a.Body.(map[string]any)
	if !ok {
		t.Fatalf("no object: %v", a.Body)
	}
	warnings, _ := body["warnings"].([]any)
	delete(body, "warnings")
	return warnings
}
