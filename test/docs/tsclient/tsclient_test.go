// Package tsclient_test shows that a frontend can be written from openapi.yaml
// alone: a TypeScript client made from it compiles under strict rules and asks a
// real promfence in front of a real Prometheus.
package tsclient_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/test/harness/contract"
	"github.com/promfence/promfence/test/harness/fence"
	"github.com/promfence/promfence/test/harness/upstream"
)

// npm runs npm or npx and returns what it printed. CI must have it; elsewhere
// the test says what is missing.
func npm(t *testing.T, env []string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("npm")
	if err != nil {
		fence.LeaveOut(t, "no npm: install Node.js 20 or newer (apt-get install npm)")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, append([]string{"--silent"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("npm %s: %v\n%s\n%s", strings.Join(args, " "), err, out, problems.String())
	}
	return string(out)
}

func TestATypedClientCompilesAndAsksARealPromfence(t *testing.T) {
	npm(t, nil, "ci", "--no-audit", "--no-fund", "--prefer-offline")
	npm(t, nil, "run", "build")

	prometheus := upstream.Start(t, upstream.Options{})
	prometheus.Load(t, time.Now().Add(-30*time.Minute), 15*time.Second, `
		http_requests_total{job="api", tenant_id="acme"} 7+3x120
		http_requests_total{job="secret", tenant_id="beta"} 5+1x120
	`)
	idp := authtest.NewIssuer(t)
	printed := npm(t, []string{
		"PROMFENCE_URL=" + contract.Promfence(t, idp, prometheus.URL),
		"PROMFENCE_TOKEN=" + idp.Token(t, "acme", nil),
		"PROMFENCE_METRIC=http_requests_total",
	}, "start")

	var got map[string]any
	if err := json.Unmarshal([]byte(printed), &got); err != nil {
		t.Fatalf("%v in %q", err, printed)
	}
	labels := map[string]any{"__name__": "http_requests_total", "job": "api", "tenant_id": "acme"}
	want := map[string]any{
		"series":   []any{map[string]any{"metric": labels, "value": 367.0}},
		"infinite": []any{"Infinity"},
		"scalar":   2.0,
		"range":    1.0,
		"names":    []any{"__name__", "job", "tenant_id"},
		"values":   []any{"http_requests_total"},
		"found":    []any{labels},
		"explained": map[string]any{
			"query": "sum(http_requests_total)", "enforced": `sum(http_requests_total{tenant_id="acme"})`,
			"label": "tenant_id", "tenants": []any{"acme"}, "policies": []any{}, "selector": `{tenant_id="acme"}`,
		},
		"narrowed": []any{"acme"},
		"unnamed":  []any{403.0, "forbidden"},
		"rates":    1.0,
		"wrong":    []any{400.0, "bad_data"},
		"stranger": []any{401.0, "unauthorized"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the client saw (-want +got):\n%s", diff)
	}
}
