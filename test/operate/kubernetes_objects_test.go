package operate_test

import (
	"regexp"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// A cluster is what manifests declare, by kind, read into Kubernetes's own types: a
// field that these do not have is a mistake.
type cluster struct {
	deployment  apps.Deployment // each has one
	settings    core.ConfigMap
	service     core.Service
	metrics     core.Service // without an address, for those who scrape
	policies    []networking.NetworkPolicy
	budgets     []policy.PodDisruptionBudget
	autoscalers []autoscaling.HorizontalPodAutoscaler
	ingresses   []networking.Ingress
	routes      []gateway.HTTPRoute
	monitors    []monitoring.ServiceMonitor
	rules       []monitoring.PrometheusRule
	dashboards  []core.ConfigMap
	accounts    []core.ServiceAccount
	volumes     map[string]bool // ConfigMaps and Secrets
}

func declared(t *testing.T, name string) *cluster {
	t.Helper()
	return declaredIn(t, name, string(file(t, name)))
}

func declaredIn(t *testing.T, name, text string) *cluster {
	t.Helper()
	c := &cluster{volumes: map[string]bool{}}
	for _, doc := range regexp.MustCompile(`(?m)^---$`).Split(text, -1) {
		var is meta.TypeMeta
		if err := yaml.Unmarshal([]byte(doc), &is); err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		if is != (meta.TypeMeta{}) { // else a comment
			c.add(t, name, is, doc)
		}
	}
	return c
}

func (c *cluster) add(t *testing.T, name string, is meta.TypeMeta, doc string) {
	t.Helper()
	switch is.APIVersion + " " + is.Kind {
	case "apps/v1 Deployment":
		c.deployment = strictly[apps.Deployment](t, name, doc)
	case "v1 ConfigMap":
		m := strictly[core.ConfigMap](t, name, doc)
		c.volumes["configMap "+m.Name] = true
		if _, ok := m.Data["promfence.yaml"]; ok {
			c.settings = m
		} else {
			c.dashboards = append(c.dashboards, m)
		}
	case "v1 Secret":
		c.volumes["secret "+strictly[core.Secret](t, name, doc).Name] = true
	case "v1 Service":
		if s := strictly[core.Service](t, name, doc); s.Spec.ClusterIP == core.ClusterIPNone {
			c.metrics = s
		} else {
			c.service = s
		}
	case "v1 ServiceAccount":
		c.accounts = append(c.accounts, strictly[core.ServiceAccount](t, name, doc))
	case "networking.k8s.io/v1 NetworkPolicy":
		c.policies = append(c.policies, strictly[networking.NetworkPolicy](t, name, doc))
	case "networking.k8s.io/v1 Ingress":
		c.ingresses = append(c.ingresses, strictly[networking.Ingress](t, name, doc))
	case "gateway.networking.k8s.io/v1 HTTPRoute":
		c.routes = append(c.routes, strictly[gateway.HTTPRoute](t, name, doc))
	case "policy/v1 PodDisruptionBudget":
		c.budgets = append(c.budgets, strictly[policy.PodDisruptionBudget](t, name, doc))
	case "autoscaling/v2 HorizontalPodAutoscaler":
		c.autoscalers = append(c.autoscalers, strictly[autoscaling.HorizontalPodAutoscaler](t, name, doc))
	case "monitoring.coreos.com/v1 ServiceMonitor":
		c.monitors = append(c.monitors, strictly[monitoring.ServiceMonitor](t, name, doc))
	case "monitoring.coreos.com/v1 PrometheusRule":
		c.rules = append(c.rules, strictly[monitoring.PrometheusRule](t, name, doc))
	default:
		t.Fatalf("%s: an unknown %+v", name, is)
	}
}

// strictly reads a document as its type: no member twice, and none that the type does
// not have.
func strictly[T any](t *testing.T, name, doc string) (object T) {
	t.Helper()
	asJSON, err := yaml.YAMLToJSONStrict([]byte(doc))
	if err != nil {
		t.Fatalf("%s: %v in\n%s", name, err, doc)
	}
	if unknown, err := json.UnmarshalStrict(asJSON, &object); err != nil || len(unknown) > 0 {
		t.Errorf("%s: %T: %v %v", name, object, unknown, err)
	}
	return object
}
