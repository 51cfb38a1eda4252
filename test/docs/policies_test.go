package docs_test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/fence"
)

// A policyCase is a token, what its bearer asks for, and what they may see.
type policyCase struct {
	Claims         map[string]any
	Issuer         string
	Policy, Tenant string // the headers
	Selector       string
	Refused        string // instead: the end of the 403's reason
}

// Every file of policies is an example in auth/README.md, and does what its cases
// say.
func TestPoliciesByExample(t *testing.T) {
	files, err := filepath.Glob("policies/*.yaml")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	page := readFile(t, "../../auth/README.md")
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, rest, ok := strings.Cut(readFile(t, file), "---\n")
			if !ok || !strings.Contains(page, "```yaml\n"+text+"```\n") {
				t.Error("auth/README.md does not show it")
			}
			var cases []policyCase
			if err := yaml.Unmarshal([]byte(rest), &cases); err != nil || len(cases) == 0 {
				t.Fatalf("%d cases: %v", len(cases), err)
			}
			dir := t.TempDir()
			config := filepath.Join(dir, "promfence.yaml")
			text = strings.ReplaceAll(text, "/etc/promfence", dir) + "upstream: {url: http://prometheus:9090}\n"
			if !strings.Contains(text, "\nauth:") {
				text += "auth: {issuer: https://login.example.com, audience: metrics}\n"
			}
			harness.WriteFile(t, config, text)
			check(t, nil, "--config", config)
			for _, c := range cases {
				c.try(t, config, filepath.Join(dir, "claims.json"))
			}
		})
	}
}

// try asks promfence explain.
func (c policyCase) try(t *testing.T, config, file string) {
	t.Helper()
	claims, err := json.Marshal(c.Claims)
	if err != nil {
		t.Fatal(err)
	}
	harness.WriteFile(t, file, string(claims))
	args := []string{"explain", "--config", config, "--claims", file, "up"}
	for flag, value := range map[string]string{"--issuer": c.Issuer, "--policy": c.Policy, "--tenant": c.Tenant} {
		if value != "" {
			args = append(args, flag, value)
		}
	}
	cmd := exec.CommandContext(t.Context(), fence.Binary(t, false), args...)
	cmd.Env = fence.Environment()
	out, err := cmd.CombinedOutput()
	switch said := string(out); {
	case c.Refused != "" && (err == nil || !strings.Contains(said, "refused: policy: ") || !strings.Contains(said, c.Refused)):
		t.Errorf("%s: want the refusal %s\n%v\n%s", claims, c.Refused, err, said)
	case c.Refused == "" && (err != nil || !strings.Contains(said, "label policy  "+c.Selector+"\n")):
		t.Errorf("%s: want %s\n%v\n%s", claims, c.Selector, err, said)
	}
}
