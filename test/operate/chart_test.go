package operate_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/promfence/promfence/config"
	"github.com/promfence/promfence/test/harness/fence"
	"github.com/promfence/promfence/test/harness/gobuild"
)

const chart = deploy + "chart"

// helmPath asks the go command once, and not for each of some fifty runs.
var helmPath = sync.OnceValues(func() (string, error) { return gobuild.Helm(context.Background(), os.Stderr) })

// helm runs Helm, which keeps what it keeps in a folder of the test, and returns what
// it writes and what it complains of.
func helm(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	path, err := helmPath()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	b, err := cmd.CombinedOutput()
	return string(b), err
}

// rendered is what the chart declares with a file of values.
func rendered(t *testing.T, values string) *cluster {
	t.Helper()
	out, err := helm(t, "template", "metrics", chart, "--namespace", "monitoring", "--values", values)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return declaredIn(t, values, out)
}

// wanted is what a file of values is there to show.
type wanted struct {
	budgets, autoscalers, ingresses, routes, monitors, rules, dashboards, accounts int

	open, restricted []string // ports, with a NetworkPolicy
	behind           int      // ports that nobody but promfence reaches
	others           []string // volumes that somebody else provides
}

// Every file of values gives manifests that hold what the ready-made ones hold.
func TestChart(t *testing.T) {
	for name, want := range map[string]wanted{
		"minimal":         {budgets: 1, accounts: 1, open: []string{"8080"}, restricted: []string{"8081"}},
		"thanos":          {budgets: 1, accounts: 1, open: []string{"8080"}, restricted: []string{"8081"}, behind: 1},
		"monitored":       {budgets: 1, accounts: 1, ingresses: 1, monitors: 1, rules: 1, dashboards: 1, restricted: []string{"8080", "8081"}, behind: 1},
		"gateway":         {budgets: 1, accounts: 1, routes: 1, autoscalers: 1, open: []string{"8080"}, restricted: []string{"8081"}},
		"secrets":         {budgets: 1, accounts: 1, open: []string{"8080"}, restricted: []string{"8081"}, behind: 1, others: []string{"secret promfence-tls", "secret prometheus-login", "secret company-ca"}},
		"policies":        {budgets: 1, accounts: 1, open: []string{"8080"}, restricted: []string{"8081"}},
		"decision":        {budgets: 1, accounts: 1, open: []string{"8080"}, restricted: []string{"8081", "8082"}},
		"large":           {budgets: 1, accounts: 1, open: []string{"8080"}, restricted: []string{"8081"}},
		"everything-else": {},
	} {
		t.Run(name, func(t *testing.T) {
			values := chart + "/ci/" + name + "-values.yaml"
			if out, err := helm(t, "lint", "--strict", chart, "--values", values); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			c := rendered(t, values)
			got := wanted{
				len(c.budgets), len(c.autoscalers), len(c.ingresses), len(c.routes), len(c.monitors), len(c.rules), len(c.dashboards), len(c.accounts),
				want.open, want.restricted, 0, want.others,
			}
			if len(c.policies) > 0 || want.restricted != nil {
				got.behind = c.checkPolicies(t, want.open, want.restricted)
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(wanted{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			c.checkPod(t, want.others)
			c.checkSelectors(t)
			c.checkLeadsToService(t)
		})
	}
	files, err := filepath.Glob(chart + "/ci/*-values.yaml")
	if err != nil || len(files) != 9 {
		t.Errorf("%v of which not all are tested: %v", files, err)
	}
}

// checkPod checks what the pod may do, its probes, its end, its memory and settings.
func (c *cluster) checkPod(t *testing.T, others []string) {
	t.Helper()
	pod := c.deployment.Spec.Template.Spec
	container := c.promfence(t)
	checkContainer(t, container, pod)
	for _, beside := range pod.InitContainers {
		checkBeside(t, beside, pod)
	}
	exists := map[string]bool{}
	for _, o := range others {
		exists[o] = true
	}
	c.checkMounted(t, exists)
	s := checkRendered(t, c.settings.Data["promfence.yaml"])
	checkDrain(t, pod, s.Server)
	goal, limit := checkMemory(t, container, s)
	if worst := s.WorstCaseMemory(); goal > worst*3/2 && limit != 4096*mib {
		t.Errorf("%d MiB for settings that allow %d", goal/mib, worst/mib)
	}
	for name, address := range map[string]string{"8080": s.Server.Address, "8081": s.Admin.Address} {
		if !slices.ContainsFunc(container.Ports, func(p core.ContainerPort) bool {
			return address == ":"+name && port(container, intstr.FromString(p.Name)) == name
		}) {
			t.Errorf("%v do not lead to %s", container.Ports, address)
		}
	}
}

func (c *cluster) checkSelectors(t *testing.T) {
	t.Helper()
	c.wantSelected(t, c.deployment.Spec.Selector)
	c.wantSelected(t, &meta.LabelSelector{MatchLabels: c.service.Spec.Selector})
	for _, b := range c.budgets {
		c.wantSelected(t, b.Spec.Selector)
	}
	for _, s := range c.deployment.Spec.Template.Spec.TopologySpreadConstraints {
		c.wantSelected(t, s.LabelSelector)
	}
	for _, a := range c.accounts {
		if a.Name != c.deployment.Spec.Template.Spec.ServiceAccountName || *a.AutomountServiceAccountToken {
			t.Errorf("%+v", a)
		}
	}
	for _, a := range c.autoscalers {
		if a.Spec.ScaleTargetRef.Name != c.deployment.Name || c.deployment.Spec.Replicas != nil {
			t.Errorf("it scales %+v, which has %v replicas", a.Spec.ScaleTargetRef, c.deployment.Spec.Replicas)
		}
	}
	for _, m := range c.monitors {
		// The alerts look for a job of this name.
		if c.metrics.Labels[m.Spec.JobLabel] != "promfence" || port(c.promfence(t), c.metrics.Spec.Ports[0].TargetPort) != "8081" || m.Spec.Endpoints[0].Port != c.metrics.Spec.Ports[0].Name {
			t.Errorf("%+v does not find %+v", m.Spec, c.metrics)
		}
		for key, value := range m.Spec.Selector.MatchLabels {
			if c.metrics.Labels[key] != value {
				t.Errorf("the monitor's %s=%s is not the service's", key, value)
			}
		}
	}
}

// checkLeadsToService checks that what routes requests leads to a port of the Service.
func (c *cluster) checkLeadsToService(t *testing.T) {
	t.Helper()
	for _, i := range c.ingresses {
		to := i.Spec.Rules[0].HTTP.Paths[0].Backend.Service
		if to.Name != c.service.Name || to.Port.Name != c.service.Spec.Ports[0].Name {
			t.Errorf("the Ingress leads to %+v", to)
		}
	}
	for _, r := range c.routes {
		to := r.Spec.Rules[0].BackendRefs[0]
		if string(to.Name) != c.service.Name || *to.Port != c.service.Spec.Ports[0].Port {
			t.Errorf("the HTTPRoute leads to %+v", to)
		}
	}
	for _, d := range c.dashboards {
		if diff := cmp.Diff(asJSON(t, file(t, "dashboard.json")), asJSON(t, []byte(d.Data["promfence.json"]))); diff != "" {
			t.Error(diff)
		}
	}
	for _, r := range c.rules {
		is, err := yaml.Marshal(map[string]any{"groups": r.Spec.Groups})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(asJSON(t, file(t, "alerts.yaml")), asJSON(t, is)); diff != "" {
			t.Error(diff)
		}
	}
}

func asJSON(t *testing.T, text []byte) (v any) {
	t.Helper()
	b, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// checkRendered lets promfence check say what it thinks of the settings, with files in
// the place of those that a pod would mount, and returns them.
func checkRendered(t *testing.T, text string) *config.Config {
	t.Helper()
	dir := t.TempDir()
	certificate, key := pair(t)
	text = regexp.MustCompile(`/(?:etc/promfence-[a-z]+|var/log/promfence)(?:/[a-z]+)*/`).ReplaceAllString(text, dir+"/")
	for name, content := range map[string]string{"tls.crt": certificate, "tls.key": key, "ca.crt": certificate, "basic-auth": "promfence:change-me", "promfence.yaml": text} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "promfence.yaml")
	cmd := exec.CommandContext(t.Context(), fence.Binary(t, false), "check", "--config", path)
	cmd.Env = []string{}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promfence check: %v\n%s", err, out)
	}
	c, err := config.Load([]string{"--config", path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pair is a certificate and its key, in PEM.
func pair(t *testing.T) (certificate, key string) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	of := s.TLS.Certificates[0]
	private, err := x509.MarshalPKCS8PrivateKey(of.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: of.Certificate[0]})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}
