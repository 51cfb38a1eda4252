package operate_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/promfence/promfence/config"
)

func TestKubernetesExamples(t *testing.T) {
	for name, tt := range map[string]struct {
		budgets int
		open    []string // what the rest of the cluster reaches of these pods
		others  map[string]bool
	}{
		"sidecar.yaml":    {0, []string{"8080"}, nil},
		"standalone.yaml": {1, []string{"8080"}, map[string]bool{"secret promfence-tls": true}}, // a certificate manager makes it
	} {
		t.Run(name, func(t *testing.T) {
			c := declared(t, name)
			pod := c.deployment.Spec.Template
			if c.deployment.Name == "" || c.settings.Name == "" || c.service.Name == "" || len(c.budgets) != tt.budgets {
				t.Errorf("something is missing: %+v", c)
			}
			c.wantSelected(t, c.deployment.Spec.Selector)
			c.wantSelected(t, &meta.LabelSelector{MatchLabels: c.service.Spec.Selector})
			for _, b := range c.budgets {
				c.wantSelected(t, b.Spec.Selector)
			}
			checkContainer(t, c.promfence(t), pod.Spec)
			for _, beside := range pod.Spec.InitContainers {
				checkBeside(t, beside, pod.Spec)
			}
			c.checkVolumes(t, tt.others)
			if c.checkPolicies(t, tt.open, []string{"8081"}) == 0 {
				t.Error("nothing keeps anybody from going around promfence")
			}
			s := checkSettings(t, c.settings.Data["promfence.yaml"])
			checkDrain(t, pod.Spec, s.Server)
			checkMemory(t, c.promfence(t), s)
		})
	}
}

// checkDrain checks that the pod lives as long as promfence drains.
func checkDrain(t *testing.T, pod core.PodSpec, s config.Server) {
	t.Helper()
	if grace := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second; s.ShutdownDelay < time.Second || s.ShutdownDelay+s.ShutdownTimeout >= grace {
		t.Errorf("a pod of %s ends before promfence: %s + %s", grace, s.ShutdownDelay, s.ShutdownTimeout)
	}
}

// checkMemory checks that what the settings allow fits into what Go's collector
// aims at, and that into what the kernel grants, with an eighth to spare. It returns
// the two.
func checkMemory(t *testing.T, c core.Container, s *config.Config) (goal, limit int64) {
	t.Helper()
	goal, limit = memoryGoal(t, c), c.Resources.Limits.Memory().Value()
	if worst := s.WorstCaseMemory(); worst > goal || goal > limit/8*7 {
		t.Errorf("the settings allow %d MiB, GOMEMLIMIT is %d MiB and the limit %d MiB", worst/mib, goal/mib, limit/mib)
	}
	return goal, limit
}

// memoryGoal reads GOMEMLIMIT as Go does, in MiB.
func memoryGoal(t *testing.T, c core.Container) int64 {
	t.Helper()
	for _, e := range c.Env {
		if text, ok := strings.CutSuffix(e.Value, "MiB"); ok && e.Name == "GOMEMLIMIT" {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n * mib
		}
	}
	t.Fatal("no GOMEMLIMIT in MiB")
	return 0
}

// wantSelected checks that a selector means the deployment's pods.
func (c *cluster) wantSelected(t *testing.T, s *meta.LabelSelector) {
	t.Helper()
	if selector, err := meta.LabelSelectorAsSelector(s); err != nil || selector.Empty() || !selector.Matches(labels.Set(c.deployment.Spec.Template.Labels)) {
		t.Errorf("%v does not select the pods: %v", s, err)
	}
}

func (c *cluster) promfence(t *testing.T) core.Container {
	t.Helper()
	all := c.deployment.Spec.Template.Spec.Containers
	if len(all) != 1 || all[0].Name != "promfence" {
		t.Fatalf("the containers that end first are not promfence alone: %+v", all)
	}
	return all[0]
}

// checkBeside checks that what is beside promfence does not listen where others
// reach it, is there before promfence and as long, and is looked after.
func checkBeside(t *testing.T, c core.Container, pod core.PodSpec) {
	t.Helper()
	for _, arg := range c.Args {
		if strings.Contains(arg, "-address=") && !strings.Contains(arg, "-address=127.0.0.1:") {
			t.Errorf("%s listens for all: %s", c.Name, arg)
		}
	}
	if c.RestartPolicy == nil || *c.RestartPolicy != core.ContainerRestartPolicyAlways {
		t.Errorf("%s does not stay", c.Name)
	}
	for _, probe := range []*core.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
		if probe == nil || probe.Exec == nil {
			t.Errorf("%s: a probe that does not reach loopback: %+v", c.Name, probe)
		}
	}
	checkPrivileges(t, c, pod)
}

func checkContainer(t *testing.T, c core.Container, pod core.PodSpec) {
	t.Helper()
	if want := []string{"serve", "--config=/etc/promfence/promfence.yaml"}; !slices.Equal(c.Args, want) {
		t.Errorf("args are %q", c.Args)
	}
	for path, probe := range map[string]*core.Probe{"/-/ready": c.ReadinessProbe, "/-/healthy": c.LivenessProbe} {
		if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != path || port(c, probe.HTTPGet.Port) != "8081" {
			t.Errorf("%s: %+v", path, probe)
		}
	}
	checkPrivileges(t, c, pod)
}

func checkPrivileges(t *testing.T, c core.Container, pod core.PodSpec) {
	t.Helper()
	p, s := pod.SecurityContext, c.SecurityContext
	if !*p.RunAsNonRoot || *p.RunAsUser == 0 || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem ||
		!slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) || p.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
		t.Errorf("it may do more than it needs: %+v %+v", p, s)
	}
	if *pod.AutomountServiceAccountToken || c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
		t.Errorf("%+v", c.Resources)
	}
}

// port is the number of a port that is named, or "" for a name that no port has.
func port(c core.Container, of intstr.IntOrString) string {
	for _, p := range c.Ports {
		if p.Name == of.String() {
			return strconv.Itoa(int(p.ContainerPort))
		}
	}
	return ""
}

// checkVolumes checks that what is mounted exists, and is seen when it changes.
func (c *cluster) checkVolumes(t *testing.T, others map[string]bool) {
	t.Helper()
	c.checkMounted(t, others)
	for _, m := range c.promfence(t).VolumeMounts {
		if !m.ReadOnly {
			t.Errorf("%+v", m)
		}
	}
}

// checkMounted checks that what is mounted is there, and not by a subPath.
func (c *cluster) checkMounted(t *testing.T, others map[string]bool) {
	t.Helper()
	exists := map[string]bool{}
	for _, v := range c.deployment.Spec.Template.Spec.Volumes {
		from := ""
		switch {
		case v.ConfigMap != nil:
			from = "configMap " + v.ConfigMap.Name
		case v.Secret != nil:
			from = "secret " + v.Secret.SecretName
		case v.EmptyDir != nil:
			exists[v.Name] = true
			continue
		}
		exists[v.Name] = c.volumes[from] || others[from]
	}
	for _, m := range c.promfence(t).VolumeMounts {
		if !exists[m.Name] || m.SubPath != "" {
			t.Errorf("%+v", m)
		}
	}
}

// checkPolicies checks that everybody may come to the ports in open, some to those in
// restricted, and nobody but promfence to what is behind it. It returns how many ports
// are behind it.
func (c *cluster) checkPolicies(t *testing.T, open, restricted []string) (behind int) {
	t.Helper()
	pod := labels.Set(c.deployment.Spec.Template.Labels)
	for _, np := range c.policies {
		selector, err := meta.LabelSelectorAsSelector(&np.Spec.PodSelector)
		if err != nil || !slices.Equal(np.Spec.PolicyTypes, []networking.PolicyType{networking.PolicyTypeIngress}) {
			t.Errorf("%s: %v %v", np.Name, err, np.Spec.PolicyTypes)
		}
		var forAll, forSome []string
		for _, rule := range np.Spec.Ingress {
			for _, p := range rule.Ports {
				switch {
				case !selector.Matches(pod): // what is behind promfence
					behind++
					if len(rule.From) != 1 || rule.From[0].NamespaceSelector != nil {
						t.Errorf("%s lets others in: %+v", np.Name, rule.From)
						continue
					}
					c.wantSelected(t, rule.From[0].PodSelector)
				case port(c.promfence(t), *p.Port) == "":
					t.Errorf("%s: no port %s", np.Name, p.Port)
				case len(rule.From) == 0:
					forAll = append(forAll, port(c.promfence(t), *p.Port))
				default:
					forSome = append(forSome, port(c.promfence(t), *p.Port))
				}
			}
		}
		if selector.Matches(pod) && (!slices.Equal(forAll, open) || !slices.Equal(forSome, restricted)) {
			t.Errorf("%s opens %v for all and %v for some", np.Name, forAll, forSome)
		}
	}
	if len(c.policies) == 0 || port(c.promfence(t), c.service.Spec.Ports[0].TargetPort) != "8080" {
		t.Errorf("the service leads to %v", c.service.Spec.Ports)
	}
	return behind
}

// checkSettings loads what the ConfigMap holds, with files in the place of those
// that a pod would mount.
func checkSettings(t *testing.T, text string) *config.Config {
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
	return c
}
