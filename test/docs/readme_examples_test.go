package docs_test

import (
	"encoding/pem"
	"errors"
	"io"
	"maps"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/config"
	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/fence"
)

// An example is a block of code in the README. Its first line, a comment, says
// what it is.
type example struct{ title, text string }

func examples(t *testing.T, kind string) []example {
	t.Helper()
	var all []example
	for _, m := range regexp.MustCompile("(?ms)^```[a-z]+\n# ("+kind+"[^\n]*)\n(.*?)^```$").FindAllStringSubmatch(readme(t), -1) {
		all = append(all, example{m[1], m[2]})
	}
	if len(all) == 0 {
		t.Fatalf("no example # %s", kind)
	}
	return all
}

// check runs promfence check, which says what is wrong with settings.
func check(t *testing.T, environ []string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), fence.Binary(t, false), append([]string{"check"}, args...)...)
	cmd.Env = environ
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// authority is a certificate in PEM.
func authority(t *testing.T) string {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

func TestREADMESettingsAreGood(t *testing.T) {
	for _, e := range examples(t, "promfence.yaml") {
		t.Run(e.title, func(t *testing.T) {
			dir := t.TempDir()
			for _, name := range regexp.MustCompile(`/etc/promfence/([a-z-]+)`).FindAllStringSubmatch(e.text, -1) {
				harness.WriteFile(t, filepath.Join(dir, name[1]), strings.Repeat("0", 32))
			}
			const pod = "/var/run/secrets/kubernetes.io/serviceaccount"
			harness.WriteFile(t, filepath.Join(dir, "token"), "a-token")
			harness.WriteFile(t, filepath.Join(dir, "ca.crt"), authority(t))
			text := strings.NewReplacer("/etc/promfence", dir, pod, dir).Replace(e.text)
			if !strings.Contains(text, "upstream:") {
				text += "upstream: {url: http://prometheus:9090}\n"
			}
			file := filepath.Join(dir, "promfence.yaml")
			harness.WriteFile(t, file, text)
			if _, err := config.Load([]string{"--config", file}, nil); err != nil {
				t.Error(err)
			}
			check(t, nil, "--config", file)
		})
	}
}

func TestREADMEDatasourcesAreWhatGrafanaReads(t *testing.T) {
	for _, e := range examples(t, "grafana/") {
		t.Run(e.title, func(t *testing.T) {
			var d struct {
				APIVersion  int `yaml:"apiVersion"`
				Datasources []struct {
					Name, Type, Access, URL string
					JSONData                map[string]any    `yaml:"jsonData"`
					SecureJSONData          map[string]string `yaml:"secureJsonData"`
				}
			}
			if err := documents(t, e.text)[0].Decode(&d); err != nil {
				t.Fatal(err)
			}
			if d.APIVersion != 1 || len(d.Datasources) != 1 || d.Datasources[0].Type != "prometheus" || d.Datasources[0].URL == "" {
				t.Fatalf("got %+v", d)
			}
			for _, name := range slices.Sorted(maps.Keys(d.Datasources[0].JSONData)) {
				if n, ok := strings.CutPrefix(name, "httpHeaderName"); ok && d.Datasources[0].SecureJSONData["httpHeaderValue"+n] == "" {
					t.Errorf("%s has no value", name)
				}
			}
		})
	}
}

func documents(t *testing.T, text string) []yaml.Node {
	t.Helper()
	var all []yaml.Node
	for d := yaml.NewDecoder(strings.NewReader(text)); ; {
		var n yaml.Node
		err := d.Decode(&n)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
}

func TestREADMEMintsATokenThatItsSettingsAccept(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		fence.LeaveOut(t, "no openssl: apt-get install openssl")
	}
	mint, use := examples(t, "mint a token")[0].text, examples(t, "use it")[0].text
	t.Chdir(t.TempDir())
	out, err := exec.CommandContext(t.Context(), "sh", "-ec", mint+`printf %s "$token"`).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	environ := regexp.MustCompile(`PROMFENCE_\w+=\S+`).FindAllString(use, -1)
	check(t, environ)
	cfg, err := config.Load(nil, environ)
	if err != nil {
		t.Fatal(err)
	}
	a, err := auth.New(auth.Options{Issuer: cfg.Auth.Issuer, Audience: cfg.Auth.Audience, HMACSecretFile: cfg.Auth.HMACSecretFile})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+string(out))
	id, err := a.Authenticate(r)
	if err != nil || !id.Tenants.Has("acme") {
		t.Errorf("%v, %v", id, err)
	}
}
