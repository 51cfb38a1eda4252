package operate_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/promql/parser"
	"gopkg.in/yaml.v3"

	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/gobuild"
)

const deploy = "../../cmd/promfence/deploy/"

func file(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(deploy + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// exposed are the metrics of a promfence to which everything has happened that
// makes one, and its log.
func exposed(t *testing.T) (metrics, log string) {
	t.Helper()
	issuer, dir := authtest.NewIssuer(t), t.TempDir()
	policies := filepath.Join(dir, "policies.yaml")
	harness.WriteFile(t, policies, `policies:
  - {name: teams, labels: [{label: tenant_id, claim: tenant_id, allowed: [acme]}]}
  - {name: operators, issuers: ["`+issuer.URL+`"], when: [{claim: ops, any_of: ["true"]}], labels: [{label: tenant_id, any: true}]}
`)
	// What exists with policies alone is there beside the rest.
	f := startOf(t, issuer, stub(t, nil), "CONFIG="+policies, "AUTH_ALLOW_ALL_TENANTS=true",
		"AUDIT_FILE="+filepath.Join(dir, "audit.json"), "TRACING_ENDPOINT=http://127.0.0.1:1", "LIMITS_MAX_POINTS=1")
	operator := issuer.Token(t, []string{"acme", "left out"}, map[string]any{"ops": true})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.URL+"/api/v1/query?query=up", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+operator)
	req.Header.Set("X-Promfence-Policy", "operators")
	if got := harness.Do(t, req); got.Status != http.StatusOK {
		t.Fatalf("the operator: %d %s", got.Status, got.Body)
	}
	f.wants(t, "acme", "up", http.StatusOK)
	f.wants(t, "acme", `up{tenant_id="globex"}`, http.StatusOK)
	f.wants(t, "acme", "max_over_time(up[1h:1m])", http.StatusBadRequest)
	f.wantsWith(t, "", "up", http.StatusUnauthorized)
	_, metrics, err = ask(t.Context(), http.DefaultClient, f.Admin+"/metrics", "")
	if err != nil {
		t.Fatal(err)
	}
	f.Await(t, func() error {
		if log = f.Log(); strings.Count(log, `"message":"request"`) < 5 {
			return errors.New("lines are missing")
		}
		return nil
	})
	return metrics, log
}

// Prometheus's own tool, of the version in go.mod.
func TestAlertsAreWhatPromtoolTakes(t *testing.T) {
	promtool, err := gobuild.Promtool(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	metrics, _ := exposed(t)
	for _, args := range [][]string{{"check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}, {"check", "metrics"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir, cmd.Stdin = deploy, strings.NewReader(metrics)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// The operating docs tell of every metric and every field of a request's line, and of
// no metric that there is not.
func TestOperatorsAreToldOfMetricsAndFields(t *testing.T) {
	readme, err := os.ReadFile("../../cmd/promfence/README.md")
	if err != nil {
		t.Fatal(err)
	}
	metrics, log := exposed(t)
	is, told := map[string]bool{}, map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (promfence_\w+)`).FindAllStringSubmatch(metrics, -1) {
		is[m[1]] = true
	}
	for _, m := range regexp.MustCompile("`(promfence_[a-z_]+)`").FindAllSubmatch(readme, -1) {
		told[string(m[1])] = true
	}
	if diff := cmp.Diff(is, told); diff != "" {
		t.Errorf("metrics (-are there +in cmd/promfence/README.md):\n%s", diff)
	}
	for line := range strings.Lines(log) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil || fields["message"] != "request" {
			continue
		}
		for name := range fields {
			if !strings.Contains(string(readme), "`"+name+"`") {
				t.Errorf("the operating docs have no field %s", name)
			}
		}
	}
}

// A metric that is renamed must not leave a panel or an alert empty.
func TestDashboardAndAlertsAskForMetricsThatExist(t *testing.T) {
	metrics, _ := exposed(t)
	known := map[string]bool{"up": true} // Prometheus's own
	for line := range strings.Lines(metrics) {
		name, _, _ := strings.Cut(line, "{")
		name, _, _ = strings.Cut(name, " ")
		known[name] = true
	}
	all := expressions(t)
	if len(all) < 15 {
		t.Fatalf("%d expressions", len(all))
	}
	for _, expr := range all {
		parsed, err := parser.NewParser(parser.Options{}).ParseExpr(strings.NewReplacer("$__rate_interval", "5m", "$__range", "5m").Replace(expr))
		if err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		for _, name := range names(parsed) {
			if !known[name] {
				t.Errorf("%s asks for %s, which there is not", expr, name)
			}
		}
	}
}

func names(expr parser.Expr) (all []string) {
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if v, ok := node.(*parser.VectorSelector); ok {
			all = append(all, v.Name)
		}
		return nil
	})
	return all
}

// expressions are those of the dashboard and of the alerts.
func expressions(t *testing.T) (all []string) {
	t.Helper()
	var dashboard struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(file(t, "dashboard.json"), &dashboard); err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct{ Rules []struct{ Expr string } }
	}
	if err := yaml.Unmarshal(file(t, "alerts.yaml"), &rules); err != nil {
		t.Fatal(err)
	}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			all = append(all, target.Expr)
		}
	}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			all = append(all, r.Expr)
		}
	}
	return all
}

// Whoever is woken by an alert finds what to do about it.
func TestAlertsLeadToWhatToDo(t *testing.T) {
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert       string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(file(t, "alerts.yaml"), &rules); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../cmd/promfence/README.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^### (\w+)$`).FindAllSubmatch(page, -1) {
		known[strings.ToLower(string(m[1]))] = true
	}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			_, anchor, ok := strings.Cut(r.Annotations["runbook_url"], "/blob/main/cmd/promfence/README.md#")
			if !ok || !known[anchor] {
				t.Errorf("%s leads to %q", r.Alert, r.Annotations["runbook_url"])
			}
			delete(known, anchor)
		}
	}
	if len(known) > 0 {
		t.Errorf("no alert leads to %v", known)
	}
}
