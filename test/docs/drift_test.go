package docs_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/openapi"
	"github.com/promfence/promfence/proxy"
	"github.com/promfence/promfence/test/harness/contract"
)

// public are the paths without a token, which are no rows of the route table.
var public = []string{"/openapi.yaml", "/docs", "/console", "/-/healthy", "/-/ready"}

func TestDocumentAndRouteTableHoldTheSameEndpoints(t *testing.T) {
	documented, served := map[string]bool{}, map[string]bool{}
	for method, path := range openapi.Operations() {
		if !slices.Contains(public, path) {
			documented[method+" "+path] = true
		}
	}
	for method, path := range proxy.Endpoints() {
		served[method+" "+path] = true
	}
	for _, row := range proxy.Routes {
		for _, method := range row.Methods {
			if row.Alerting() {
				served[method+" "+row.Base+row.Path] = true
			}
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(served)), slices.Sorted(maps.Keys(documented))); diff != "" {
		t.Errorf("endpoints (-served +documented):\n%s", diff)
	}
}

// Both bases offer the same: what one has, the other has with the same methods.
func TestBothBasesHoldTheSameEndpoints(t *testing.T) {
	bases := map[string][]string{}
	for method, path := range openapi.Operations() {
		switch {
		case slices.Contains(public, path), path == "/api/v1/metrics/explain", strings.HasPrefix(path, "/alertmanager/"):
		case strings.HasPrefix(path, "/api/v1/metrics/"):
			bases["metrics"] = append(bases["metrics"], method+" "+strings.TrimPrefix(path, "/api/v1/metrics"))
		default:
			bases["prometheus"] = append(bases["prometheus"], method+" "+strings.TrimPrefix(path, "/api/v1"))
		}
	}
	slices.Sort(bases["metrics"])
	slices.Sort(bases["prometheus"])
	if diff := cmp.Diff(bases["prometheus"], bases["metrics"]); diff != "" {
		t.Errorf("endpoints (-Prometheus's paths +metrics):\n%s", diff)
	}
}

// A documented parameter that no row knows would be dropped on the way, and one
// that only a row knows is nobody's to use.
func TestDocumentedParametersAreThoseRead(t *testing.T) {
	doc, err := contract.Document()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range proxy.Routes {
		base := "/api/v1/metrics"
		if row.Alerting() {
			base = row.Base
		}
		item := doc.Paths.Find(base + row.Path)
		if item == nil {
			t.Errorf("%s is not documented", row.Path)
			continue
		}
		for method, op := range item.Operations() {
			if !slices.Contains(row.Methods, method) {
				continue // another row's, or one too many: see above
			}
			documented := exampleParameters(op)
			for name := range documented {
				if !slices.Contains(row.Params, name) {
					t.Errorf("%s %s: %s is documented, and dropped", method, row.Path, name)
				}
			}
			for _, name := range row.Params {
				if _, ok := documented[name]; !ok {
					t.Errorf("%s %s: %s is forwarded, and not documented", method, row.Path, name)
				}
			}
		}
	}
}
