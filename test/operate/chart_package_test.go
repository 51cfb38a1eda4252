package operate_test

import (
	"bytes"
	"io"
	"log"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// What is packaged goes to a registry and comes back as the same chart.
func TestChartGoesThroughARegistry(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	dir, repository := t.TempDir(), "oci://"+strings.TrimPrefix(server.URL, "http://")+"/promfence/charts"
	want := func(args ...string) string {
		t.Helper()
		out, err := helm(t, args...)
		if err != nil {
			t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return out
	}
	want("package", chart, "--destination", dir, "--version", "0.0.1-test", "--app-version", "v0.0.1-test")
	packaged := filepath.Join(dir, "promfence-0.0.1-test.tgz")
	want("push", packaged, repository, "--plain-http")
	want("pull", repository+"/promfence", "--version", "0.0.1-test", "--plain-http", "--destination", t.TempDir(), "--untar")
	out := want("template", "metrics", repository+"/promfence", "--version", "0.0.1-test", "--plain-http", "--values", chart+"/ci/monitored-values.yaml")
	out = out[strings.Index(out, "---\n"):] // after what helm says of the pull
	if c := declaredIn(t, "pulled", out); c.promfence(t).Image != "ghcr.io/promfence/promfence:v0.0.1-test" || len(c.dashboards) != 1 || len(c.rules) != 1 {
		t.Errorf("it came back as\n%s", out)
	}
	files, err := exec.CommandContext(t.Context(), "tar", "-tzf", packaged).Output()
	if err != nil || bytes.Contains(files, []byte("/ci/")) || !bytes.Contains(files, []byte("files/alerts.yaml")) {
		t.Errorf("%v: it holds\n%s", err, files)
	}
}

// What is wrong in values stops helm, in words that name the value.
func TestChartRefusesMistakes(t *testing.T) {
	for set, want := range map[string]string{
		"imge.tag=v1":                                           "additional properties 'imge' not allowed",
		"config.server.max_conections=1":                        "additional properties 'max_conections' not allowed",
		"config.policies[0].lables=x":                           "additional properties 'lables' not allowed",
		"config.admin.address=off":                              "additional properties 'address' not allowed",
		"config.limits.max_range=30":                            "got number, want string",
		"extraEnv[0].name=PROMFENCE_LIMITS_MAX_BODY_BYTES":      "/extraEnv/0/name",
		"thanosQuery.extraArgs[0]=--http-address=0.0.0.0:10902": "/thanosQuery/extraArgs/0",
		"image.digest=latest":                                   "/image/digest",
		"resources.limits.memory=256Mi":                         "resources.limits.memory is 256Mi",
		"networkPolicy.upstreams[0].name=x":                     "missing properties 'podLabels', 'ports'",
		"networkPolicy.adminFrom[0].namespaceSelecter.a=b":      "additional properties 'namespaceSelecter' not allowed",
		"config.upstream.url=":                                  "config.upstream.url is missing",
		"thanosQuery.enabled=true":                              "exclude each other",
		"config.auth.issuer=":                                   "config.auth.issuer is missing",
		"httpRoute.enabled=true":                                "httpRoute.parentRefs is missing",
		"ingress.enabled=true":                                  "ingress.hosts is missing",
	} {
		if out, err := helm(t, "template", "x", chart, "--values", chart+"/ci/minimal-values.yaml", "--set", set); err == nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v, want %s: %.300s", set, err, want, out)
		}
	}
}
