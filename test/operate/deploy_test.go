package operate_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"gopkg.in/yaml.v3"

	"github.com/promfence/promfence/config"
	"github.com/promfence/promfence/test/gobuild"
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

// Prometheus's own tool, of the version in go.mod.
func TestAlertsAreWhatPromtoolTakes(t *testing.T) {
	promtool, err := gobuild.Promtool(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	f := start(t, stub(t, nil), "AUDIT_FILE="+os.DevNull)
	f.wants(t, "acme", "up", http.StatusOK)
	_, metrics, err := ask(t.Context(), http.DefaultClient, f.Admin+"/metrics", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}, {"check", "metrics"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir, cmd.Stdin = deploy, strings.NewReader(metrics)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// A metric that is renamed must not leave a panel or an alert empty.
func TestDashboardAndAlertsAskForMetricsThatExist(t *testing.T) {
	f := start(t, stub(t, nil), "AUDIT_FILE="+os.DevNull)
	f.wants(t, "acme", "up", http.StatusOK)
	_, metrics, err := ask(t.Context(), http.DefaultClient, f.Admin+"/metrics", "")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"promfence_auth_failures_total": true, "promfence_tenant_rejected_total": true} // exist from the first on
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
				t.Errorf("%s asks for %s, which promfence does not have", expr, name)
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

// A manifest is as much of a Kubernetes object as these examples have to get right.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     struct {
				TerminationGracePeriodSeconds int `yaml:"terminationGracePeriodSeconds"`
				Containers                    []struct {
					Name           string
					Args           []string
					Ports          []struct{ Name string }
					ReadinessProbe struct {
						HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
					} `yaml:"readinessProbe"`
				}
			}
		}
	}
}

func TestKubernetesExamples(t *testing.T) {
	for name, kinds := range map[string][]string{
		"sidecar.yaml":    {"ConfigMap", "Deployment", "NetworkPolicy", "Service"},
		"standalone.yaml": {"ConfigMap", "Deployment", "NetworkPolicy", "NetworkPolicy", "PodDisruptionBudget", "Secret", "Service"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, m := range manifests(t, name) {
				got = append(got, m.Kind)
				switch m.Kind {
				case "ConfigMap":
					checkSettings(t, m.Data["promfence.yaml"])
				case "Deployment":
					checkPod(t, m)
				}
			}
			if slices.Sort(got); !slices.Equal(got, kinds) {
				t.Errorf("it has %v", got)
			}
		})
	}
}

func manifests(t *testing.T, name string) (all []manifest) {
	t.Helper()
	for d := yaml.NewDecoder(bytes.NewReader(file(t, name))); ; {
		var m manifest
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
}

// checkSettings loads what the ConfigMap holds, with files in the place of those
// that a pod would mount.
func checkSettings(t *testing.T, text string) {
	t.Helper()
	dir := t.TempDir()
	text = regexp.MustCompile(`/etc/promfence-[a-z]+/`).ReplaceAllString(text, dir+"/")
	for _, name := range []string{"tls.crt", "tls.key", "basic-auth"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "promfence.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load([]string{"--config", path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Server.ShutdownDelay == 0 || c.Server.ShutdownDelay+c.Server.ShutdownTimeout >= 40e9 {
		t.Errorf("a pod of 40 s ends before promfence: %s + %s", c.Server.ShutdownDelay, c.Server.ShutdownTimeout)
	}
}

func checkPod(t *testing.T, m manifest) {
	t.Helper()
	pod := m.Spec.Template.Spec
	if pod.TerminationGracePeriodSeconds != 40 {
		t.Errorf("terminationGracePeriodSeconds is %d", pod.TerminationGracePeriodSeconds)
	}
	for _, c := range pod.Containers {
		if c.Name != "promfence" {
			continue
		}
		if probe := c.ReadinessProbe.HTTPGet; probe.Path != "/-/ready" || probe.Port != "admin" || fmt.Sprint(c.Args) != "[serve --config=/etc/promfence/promfence.yaml]" {
			t.Errorf("%+v", c)
		}
		return
	}
	t.Error("no container promfence")
}
