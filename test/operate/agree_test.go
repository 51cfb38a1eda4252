package operate_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/promslog"
	prometheus "github.com/prometheus/prometheus/config"
	networking "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	"github.com/promfence/promfence/config"
)

func page(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Whoever begins with one example and goes on with another finds the same image, the
// same Thanos, the same stores and the same grace period.
func TestExamplesAgree(t *testing.T) {
	beside, alone := declared(t, "sidecar.yaml"), declared(t, "standalone.yaml")
	image, grace := beside.promfence(t).Image, *beside.deployment.Spec.Template.Spec.TerminationGracePeriodSeconds
	thanos := beside.deployment.Spec.Template.Spec.InitContainers[0]
	for name, c := range map[string]*cluster{
		"standalone.yaml": alone,
		"chart":           rendered(t, chart+"/ci/minimal-values.yaml"),
		"chart, Thanos":   rendered(t, chart+"/ci/thanos-values.yaml"),
	} {
		pod := c.deployment.Spec.Template.Spec
		if is := c.promfence(t); is.Image != image || *pod.TerminationGracePeriodSeconds != grace {
			t.Errorf("%s has %s with %d seconds, sidecar.yaml %s with %d", name, is.Image, *pod.TerminationGracePeriodSeconds, image, grace)
		}
		if diff := cmp.Diff(beside.promfence(t).Resources.Limits, c.promfence(t).Resources.Limits); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		for _, is := range pod.InitContainers {
			if diff := cmp.Diff(thanos.Args, is.Args[:len(thanos.Args)]); diff != "" || is.Image != thanos.Image {
				t.Errorf("%s: %s, sidecar.yaml has %s\n%s", name, is.Image, thanos.Image, diff)
			}
		}
	}
	if strings.Contains(string(file(t, "sidecar.yaml")), "tenant_header") {
		t.Error("a header other than X-Scope-OrgID refuses users of two tenants")
	}
	all := page(t, deploy+"README.md") + page(t, deploy+"compose.yaml") + page(t, "../../README.md") + page(t, "../../auth/README.md")
	for _, named := range regexp.MustCompile(`[\w./-]+/(?:promfence|thanos):v[\w.-]+`).FindAllString(all, -1) {
		if named != image && named != thanos.Image && !strings.HasPrefix(named, "registry.example.com/") {
			t.Errorf("a page has %s, sidecar.yaml has %s and %s", named, image, thanos.Image)
		}
	}
	_, endpoint, _ := strings.Cut(thanos.Args[3], "--endpoint=")
	for _, named := range regexp.MustCompile(`dns\w*\+[\w.:-]+`).FindAllString(all, -1) {
		if named != endpoint {
			t.Errorf("a page has the endpoint %s, sidecar.yaml %s", named, endpoint)
		}
	}
}

// The newest release in CHANGELOG.md is what the chart and the examples install, and
// there is a place above it for what comes next.
func TestExamplesInstallTheNewestRelease(t *testing.T) {
	sections := regexp.MustCompile(`(?m)^## \[([^]]+)\]`).FindAllStringSubmatch(page(t, "../../CHANGELOG.md"), 2)
	if len(sections) != 2 || sections[0][1] != "Unreleased" {
		t.Fatalf("CHANGELOG.md begins with %v", sections)
	}
	var is struct{ Version, AppVersion string }
	if err := yaml.Unmarshal(file(t, "chart/Chart.yaml"), &is); err != nil {
		t.Fatal(err)
	}
	newest := sections[1][1]
	if is.Version != newest || is.AppVersion != "v"+newest || !strings.HasSuffix(declared(t, "sidecar.yaml").promfence(t).Image, ":v"+newest) {
		t.Errorf("the newest release is %s, the chart is %+v", newest, is)
	}
}

// The values that the deploying docs show are installed as they stand there.
func TestREADMEValuesInstall(t *testing.T) {
	found := regexp.MustCompile("(?ms)^```yaml\n# values.yaml[^\n]*\n(.*?)^```$").FindAllStringSubmatch(page(t, deploy+"README.md"), -1)
	if len(found) < 2 {
		t.Fatalf("%d files of values", len(found))
	}
	for _, values := range found {
		path := filepath.Join(t.TempDir(), "values.yaml")
		if err := os.WriteFile(path, []byte(values[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		c := rendered(t, path)
		c.checkPod(t, nil)
		if c.checkPolicies(t, []string{"8080"}, []string{"8081"}) == 0 {
			t.Error("nothing keeps anybody from going around promfence")
		}
		if !strings.Contains(page(t, deploy+"README.md"), "http://"+c.service.Name+"."+c.service.Namespace+".svc") {
			t.Errorf("no datasource leads to the Service %s", c.service.Name)
		}
	}
}

// What the deploying docs say of Thanos's own metrics behind loopback is a container
// that the chart takes, which listens for nobody, and settings that an agent reads.
func TestREADMEAgentReadsThanosOnLoopback(t *testing.T) {
	blocks := func(kind string) [][]string {
		return regexp.MustCompile("(?ms)^```yaml\n# "+kind+".yaml[^\n]*\n(.*?)^```$").FindAllStringSubmatch(page(t, deploy+"README.md"), -1)
	}
	agents, values := blocks("agent"), blocks("values")
	if len(agents) != 1 {
		t.Fatalf("%d agents", len(agents))
	}
	args := []string{"template", "metrics", chart, "--namespace", "monitoring"}
	for _, text := range []string{values[len(values)-1][1], agents[0][1]} {
		path := filepath.Join(t.TempDir(), "values.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--values", path)
	}
	out, err := helm(t, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c := declaredIn(t, "agent.yaml", out)
	c.checkPod(t, nil)
	beside := c.deployment.Spec.Template.Spec.InitContainers
	if len(beside) != 2 || beside[0].Name != "thanos-query" || beside[1].Name != "agent" {
		t.Fatalf("beside promfence: %+v", beside)
	}
	for _, m := range c.dashboards {
		agent, err := prometheus.Load(m.Data["agent.yml"], promslog.NewNopLogger())
		if err != nil {
			t.Fatal(err)
		}
		scrapes, err := agent.GetScrapeConfigs()
		if err != nil || len(scrapes) != 1 || len(agent.RemoteWriteConfigs) != 1 || !strings.Contains(m.Data["agent.yml"], strings.TrimPrefix(beside[0].Args[1], "--http-address=")) {
			t.Errorf("%v, %d jobs\n%s", err, len(scrapes), m.Data["agent.yml"])
		}
	}
	if len(c.dashboards) != 1 {
		t.Errorf("%d ConfigMaps of an agent", len(c.dashboards))
	}
}

// A policy for an upstream in another namespace lets in the chart's pods of promfence's
// namespace: one peer with both selectors, since two would let in either.
func TestREADMEClosesAnUpstreamOfAnotherNamespace(t *testing.T) {
	found := regexp.MustCompile("(?ms)^```yaml\n# networkpolicy.yaml[^\n]*\n(.*?)^```$").FindStringSubmatch(page(t, deploy+"README.md"))
	if found == nil {
		t.Fatal("no policy")
	}
	is := strictly[networking.NetworkPolicy](t, "networkpolicy.yaml", found[1])
	c := rendered(t, chart+"/ci/minimal-values.yaml")
	if is.Namespace == c.service.Namespace || len(is.Spec.Ingress) != 1 || len(is.Spec.Ingress[0].From) != 1 || is.Spec.PolicyTypes[0] != networking.PolicyTypeIngress {
		t.Fatalf("%+v", is)
	}
	from := is.Spec.Ingress[0].From[0]
	if from.NamespaceSelector == nil || from.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] != c.service.Namespace {
		t.Errorf("it lets in %+v", from)
	}
	c.wantSelected(t, from.PodSelector)
}

// The compose file is not run here: it is read, and what it gives to promfence and to
// Prometheus is tried.
func TestComposeFile(t *testing.T) {
	var compose struct {
		Services map[string]struct {
			Environment map[string]string
			Networks    []string
		}
		Configs map[string]struct{ Content string }
	}
	if err := yaml.Unmarshal(file(t, "compose.yaml"), &compose); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "issuer")
	if err := os.WriteFile(secret, []byte(strings.Repeat("0", 44)), 0o600); err != nil {
		t.Fatal(err)
	}
	var environ []string
	for name, value := range compose.Services["promfence"].Environment {
		environ = append(environ, name+"="+strings.Replace(value, "/run/secrets/issuer", secret, 1))
	}
	if _, err := config.Load(nil, environ); err != nil || len(environ) == 0 {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"callers"}, compose.Services["grafana"].Networks); diff != "" {
		t.Errorf("Grafana goes around promfence: %s", diff)
	}
	c, err := prometheus.Load(compose.Configs["prometheus"].Content, promslog.NewNopLogger())
	if err != nil || len(c.ScrapeConfigs) != 2 {
		t.Errorf("%v: %v", err, c)
	}
	if err := yaml.UnmarshalStrict([]byte(compose.Configs["datasources"].Content), &map[string]any{}); err != nil {
		t.Error(err)
	}
}
