package docs_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/promfence/promfence/config"
	"github.com/promfence/promfence/test/harness"
)

const chartSchema = "../../cmd/promfence/deploy/chart/values.schema.json"

// decidedByChart are settings that values cannot hold, because ports, probes and
// mounts of the chart belong to them.
var decidedByChart = []string{
	"server.address", "server.tls.cert_file", "server.tls.key_file",
	"admin.address", "decision.address",
}

// A setting that is misspelled in values stops helm, and not the pod.
func TestChartSchemaKnowsEverySetting(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal([]byte(readFile(t, chartSchema)), &schema); err != nil {
		t.Fatal(err)
	}
	var want any // as JSON has it
	made, err := json.Marshal(settingsSchema(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(made, &want); err != nil {
		t.Fatal(err)
	}
	properties, _ := schema["properties"].(map[string]any)
	if !*update {
		if diff := cmp.Diff(want, properties["config"]); diff != "" {
			t.Errorf("rewrite it with go test ./docs -run ChartSchema -update (-settings +schema):\n%s", diff)
		}
		return
	}
	properties["config"] = want
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(schema); err != nil {
		t.Fatal(err)
	}
	harness.WriteFile(t, chartSchema, text.String())
}

// Helm takes the second of two keys and says nothing; other readers refuse the file.
func TestChartValuesNameNothingTwice(t *testing.T) {
	paths, err := filepath.Glob("../../cmd/promfence/deploy/chart/ci/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(paths, "../../cmd/promfence/deploy/chart/values.yaml") {
		if err := yaml.Unmarshal([]byte(readFile(t, path)), &map[string]any{}); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// settingsSchema is the JSON Schema of a file of settings.
func settingsSchema(t *testing.T) map[string]any {
	t.Helper()
	root := schemaOf(nil)
	for _, s := range config.Settings {
		if slices.Contains(decidedByChart, s.Key) {
			continue
		}
		path, at := strings.Split(s.Key, "."), root
		for _, section := range path[:len(path)-1] {
			below, _ := at["properties"].(map[string]any)
			if below[section] == nil {
				below[section] = schemaOf(nil)
			}
			at, _ = below[section].(map[string]any)
		}
		below, _ := at["properties"].(map[string]any)
		below[path[len(path)-1]] = valueSchema(t, s)
	}
	return root
}

// schemaOf is the schema of an object with these settings and no others.
func schemaOf(properties map[string]any) map[string]any {
	if properties == nil {
		properties = map[string]any{}
	}
	return map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
}

func rowsSchema(t *testing.T, settings []config.Setting) map[string]any {
	t.Helper()
	properties := map[string]any{}
	for _, s := range settings {
		properties[s.Key] = valueSchema(t, s)
	}
	return schemaOf(properties)
}

func list(items any) map[string]any { return map[string]any{"type": "array", "items": items} }

// valueSchema is the schema of one setting, by the type of its default.
func valueSchema(t *testing.T, s config.Setting) map[string]any {
	t.Helper()
	var is map[string]any
	switch s.Default.(type) {
	case string:
		is = map[string]any{"type": "string"}
	case bool:
		is = map[string]any{"type": "boolean"}
	case int:
		is = map[string]any{"type": "integer"}
	case time.Duration:
		is = map[string]any{"type": "string", "pattern": "^([0-9]+(ms|[smhdwy]))+$"}
	case []string:
		is = map[string]any{"type": []string{"string", "array"}, "items": map[string]any{"type": "string"}}
	case []config.Issuer:
		is = list(rowsSchema(t, config.IssuerSettings))
	case []config.Policy:
		is = list(rowsSchema(t, config.PolicySettings))
	case []config.PolicyCondition:
		is = list(rowsSchema(t, config.PolicyConditionSettings))
	case []config.PolicyLabel:
		is = list(rowsSchema(t, config.PolicyLabelSettings))
	case []config.PolicyMapping:
		is = list(rowsSchema(t, config.PolicyMapSettings))
	case config.PolicyLimits:
		is = rowsSchema(t, config.PolicyLimitSettings)
	default:
		t.Fatalf("%s: a setting of type %T", s.Key, s.Default)
	}
	is["description"] = s.Doc
	return is
}
