package docs_test

import (
	"encoding/json"
	"maps"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/fence"
)

// An entry is what an example says of one issuer, spelled as in auth.issuers.
type entry map[string]any

// settingsOfExamples are the texts of settings on all pages, in the manifests and in
// the chart's values, those that are tested too.
func settingsOfExamples(t *testing.T) (texts []string) {
	t.Helper()
	for _, m := range regexp.MustCompile("(?ms)^```yaml\n(# (?:promfence|values).yaml.*?)^```$").FindAllStringSubmatch(readme(t), -1) {
		texts = append(texts, m[1])
	}
	const deploy = "../../cmd/promfence/deploy/"
	values, err := filepath.Glob(deploy + "chart/ci/*-values.yaml")
	if err != nil || len(values) < 8 {
		t.Fatalf("%d files of values, %v", len(values), err)
	}
	for _, path := range values {
		texts = append(texts, readFile(t, path))
	}
	for _, name := range []string{"sidecar.yaml", "standalone.yaml"} {
		settings := regexp.MustCompile(`(?m)^  promfence.yaml: \|\n((?:    .*\n)+)`).FindStringSubmatch(readFile(t, deploy+name))
		if settings == nil {
			t.Fatalf("no settings in %s", name)
		}
		texts = append(texts, settings[1])
	}
	return texts
}

// entries are those of all examples, each once, by issuer.
func entries(t *testing.T) map[string][]entry {
	t.Helper()
	all := map[string][]entry{}
	for _, text := range settingsOfExamples(t) {
		var file struct {
			Auth   map[string]any
			Config struct{ Auth map[string]any }
		}
		if err := yaml.Unmarshal([]byte(text), &file); err != nil {
			t.Fatal(err)
		}
		if file.Auth == nil && file.Config.Auth == nil {
			t.Errorf("no issuer in\n%s", text)
		}
		for _, auth := range []map[string]any{file.Auth, file.Config.Auth} {
			of, _ := auth["issuers"].([]any)
			if auth["issuer"] != nil {
				of = append(of, auth)
			}
			for _, e := range of {
				one := entry{}
				for _, key := range []string{"issuer", "audience", "audience_claim", "tenant_claim", "tenant"} {
					if value := e.(map[string]any)[key]; value != nil {
						one[key] = value
					}
				}
				issuer := one["issuer"].(string)
				if !slices.ContainsFunc(all[issuer], func(e entry) bool { return reflect.DeepEqual(e, one) }) {
					all[issuer] = append(all[issuer], one)
				}
			}
		}
	}
	return all
}

// Whoever copies two examples for one issuer into one file gets tokens for either
// past promfence, in whatever order they stand.
func TestExamplesForOneIssuerGoTogether(t *testing.T) {
	pairs := 0
	for issuer, of := range entries(t) {
		for i, a := range of {
			for _, b := range of[i+1:] {
				pairs++
				for _, order := range [][]entry{{a, b}, {b, a}} {
					for _, token := range order {
						wantTenant(t, issuer, order, token)
					}
				}
			}
		}
	}
	if pairs < 2 {
		t.Errorf("only %d pairs", pairs)
	}
}

// wantTenant asks promfence explain who the bearer of a token is that is made for one
// of the entries.
func wantTenant(t *testing.T, issuer string, order []entry, made entry) {
	t.Helper()
	claims := map[string]any{"iss": issuer, "aud": made["audience"], "tenant_id": "acme"}
	if made["audience_claim"] != nil {
		t.Fatalf("this test makes no token for %v", made)
	}
	if name, ok := made["tenant_claim"].(string); ok {
		claims[name] = "acme"
	}
	want := "acme"
	if fixed, ok := made["tenant"].(string); ok {
		want = fixed
	}
	dir := t.TempDir()
	var issuers []entry
	for _, e := range order {
		one := maps.Clone(e)
		one["jwks_url"] = "https://idp.example.com/keys" // explain asks nobody
		issuers = append(issuers, one)
	}
	harness.WriteFile(t, filepath.Join(dir, "promfence.yaml"), string(marshal(t, map[string]any{
		"upstream": map[string]any{"url": "http://prometheus:9090"}, "auth": map[string]any{"issuers": issuers},
	})))
	harness.WriteFile(t, filepath.Join(dir, "claims.json"), string(marshal(t, claims)))
	out, err := exec.CommandContext(t.Context(), fence.Binary(t, false), "explain",
		"--config", filepath.Join(dir, "promfence.yaml"), "--claims", filepath.Join(dir, "claims.json"), "up").CombinedOutput()
	if err != nil || !slices.Contains(strings.Fields(string(out)), want) {
		t.Errorf("%v, a token for %v: %v\n%s", order, made, err, out)
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
