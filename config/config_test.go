package config_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/promfence/promfence/config"
)

// enough is the least that starts a process.
var enough = []string{
	"PROMFENCE_UPSTREAM_URL=http://thanos-query:9090",
	"PROMFENCE_AUTH_ISSUER=https://idp.example.com",
	"PROMFENCE_AUTH_AUDIENCE=metrics",
}

// loadFile loads a file of testdata: YAML as --config, or lines of variables.
func loadFile(t *testing.T, path string) (c *config.Config, wants []string, err error) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var environ []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if want, ok := strings.CutPrefix(line, "# want: "); ok {
			wants = append(wants, want)
		} else if line != "" && !strings.HasPrefix(line, "#") {
			environ = append(environ, line)
		}
	}
	if len(wants) == 0 {
		t.Fatalf("%s: no # want: line", path)
	}
	if strings.HasSuffix(path, ".yaml") {
		c, err = config.Load([]string{"--config", path}, nil)
	} else {
		c, err = config.Load(nil, environ)
	}
	return c, wants, err
}

func files(t *testing.T, kind string) []string {
	t.Helper()
	env, _ := filepath.Glob("testdata/*." + kind + ".env")
	yaml, _ := filepath.Glob("testdata/*." + kind + ".yaml")
	all := slices.Concat(env, yaml)
	if len(all) < 10 {
		t.Fatalf("only %d files in testdata for %q", len(all), kind)
	}
	return all
}

func TestMistakesAreRefusedByName(t *testing.T) {
	for _, path := range files(t, "bad") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			_, wants, err := loadFile(t, path)
			if diff := cmp.Diff(strings.Join(wants, "\n"), fmt.Sprint(err)); diff != "" {
				t.Error(diff)
			}
			if strings.Contains(fmt.Sprint(err), "s3cret") {
				t.Error("a value is repeated in the message")
			}
		})
	}
}

// What a file wants is among the effective settings.
func TestGoodSettingsTakeEffect(t *testing.T) {
	for _, path := range files(t, "good") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			c, wants, err := loadFile(t, path)
			if err != nil {
				t.Fatal(err)
			}
			got := effective(t, c)
			for _, want := range wants {
				if !slices.Contains(strings.Split(got, "\n"), want) {
					t.Errorf("no line\n%s\nin\n%s", want, got)
				}
			}
		})
	}
}

// Whoever writes down what is in effect gets the same again.
func TestEffectiveSettingsLoadAsFile(t *testing.T) {
	for _, path := range files(t, "good") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			want, _, err := loadFile(t, path)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "effective.yaml")
			if err := os.WriteFile(file, []byte(effective(t, want)), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := config.Load([]string{"--config=" + file}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(config.Config{}, "Sources", "File"), cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func effective(t *testing.T, c *config.Config) string {
	t.Helper()
	var b bytes.Buffer
	if err := c.WriteEffective(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Some providers want a key in the URL.
func TestEffectiveSettingsShowNoQueryOfAURL(t *testing.T) {
	for name, more := range map[string]string{
		"one issuer": "auth: {issuer: a, audience: b, jwks_url: 'https://idp/keys?api_key=s3cret'}",
		"several":    "auth: {issuers: [{issuer: a, audience: b, jwks_url: 'https://idp/keys?api_key=s3cret'}]}",
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "promfence.yaml")
			if err := os.WriteFile(file, []byte("upstream: {url: 'http://thanos'}\n"+more), 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := config.Load([]string{"--config", file}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if text := effective(t, c); strings.Contains(text, "s3cret") || !strings.Contains(text, "https://idp/keys?xxxxx") {
				t.Error(text)
			}
			if !strings.Contains(fmt.Sprint(c.Auth), "s3cret") {
				t.Error("the settings themselves have lost it")
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	got, err := config.Load(nil, enough)
	if err != nil {
		t.Fatal(err)
	}
	want := &config.Config{
		Server:       config.Server{Address: ":8080", IdleTimeout: 620 * time.Second, MaxConnections: 10000, MaxHeaderBytes: 96 << 10, ShutdownTimeout: 20 * time.Second},
		Admin:        config.Admin{Address: "127.0.0.1:8081"},
		Decision:     config.Decision{Address: "off"},
		Upstream:     config.Upstream{URL: "http://thanos-query:9090", Timeout: 130 * time.Second, MaxIdleConnections: 256},
		Alertmanager: config.Alertmanager{Timeout: 30 * time.Second, Silences: "read", MaxSilence: 30 * 24 * time.Hour},
		Auth: config.Auth{
			Issuer: "https://idp.example.com", Audience: []string{"metrics"}, AudienceClaim: "aud",
			TenantClaim: "tenant_id", TokenHeaders: []string{"Authorization"},
			Leeway: 30 * time.Second, RefreshInterval: 5 * time.Minute,
		},
		Tenancy: config.Tenancy{Label: "tenant_id", OnConflict: "intersect", MaxTenants: 20},
		Limits:  config.Limits{MaxQueryBytes: 65536, MaxQueryDepth: 100, MaxQueryTerms: 2000, MaxSelectors: 1000, MaxBodyBytes: 1 << 20},
		CORS:    config.CORS{AllowedOrigins: []string{"*"}},
		Console: config.Console{Scopes: "openid"},
		Log:     config.Log{Level: "info", Format: "json"},
		Sources: map[string]string{
			"upstream.url": "PROMFENCE_UPSTREAM_URL", "auth.issuer": "PROMFENCE_AUTH_ISSUER", "auth.audience": "PROMFENCE_AUTH_AUDIENCE",
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

func TestVariableWinsOverFile(t *testing.T) {
	c, err := config.Load([]string{"--config", "testdata/full.good.yaml"}, []string{"PROMFENCE_TENANCY_LABEL=team"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Tenancy.Label != "team" || c.Sources["tenancy.label"] != "PROMFENCE_TENANCY_LABEL" {
		t.Errorf("label %q from %q", c.Tenancy.Label, c.Sources["tenancy.label"])
	}
	if c.Log.Level != "debug" {
		t.Errorf("the file's log.level became %q", c.Log.Level)
	}
}

func TestFileByVariable(t *testing.T) {
	c, err := config.Load(nil, []string{"PROMFENCE_CONFIG=testdata/full.good.yaml"})
	if err != nil || c.Tenancy.Label != "customer" {
		t.Errorf("%v, %v", c, err)
	}
	_, err = config.Load(nil, append(enough, "PROMFENCE_CONFIG=testdata/none.yaml"))
	want := "testdata/none.yaml: want a YAML file that can be read: no such file or directory"
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Error(diff)
	}
}

// Every setting can be set in both ways, under a name of its own.
func TestSettingsHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range config.Settings {
		if seen[s.Env()] {
			t.Errorf("%s is the variable of two settings", s.Env())
		}
		seen[s.Env()] = true
		if strings.HasPrefix(s.Env(), "PROMFENCE_PORT") || strings.HasPrefix(s.Env(), "PROMFENCE_SERVICE") || s.Env() == "PROMFENCE_CONFIG" {
			t.Errorf("%s means something else already", s.Env())
		}
		if n := strings.Count(s.Key, "."); n < 1 && s.Key != "policies" || n > 2 || s.Key != strings.ToLower(s.Key) {
			t.Errorf("%s: want section.name", s.Key)
		}
	}
}

// A field without a row would be a setting that nobody can set.
func TestEveryFieldIsASetting(t *testing.T) {
	if got, want := fields(reflect.TypeFor[config.Config]()), len(config.Settings); got != want {
		t.Errorf("%d fields for %d settings", got, want)
	}
	for rows, table := range map[*[]config.Setting]reflect.Type{
		&config.IssuerSettings:          reflect.TypeFor[config.Issuer](),
		&config.PolicySettings:          reflect.TypeFor[config.Policy](),
		&config.PolicyConditionSettings: reflect.TypeFor[config.PolicyCondition](),
		&config.PolicyLabelSettings:     reflect.TypeFor[config.PolicyLabel](),
		&config.PolicyMapSettings:       reflect.TypeFor[config.PolicyMapping](),
		&config.PolicyLimitSettings:     reflect.TypeFor[config.PolicyLimits](),
	} {
		if table.NumField() != len(*rows) {
			t.Errorf("%v: %d fields for %d settings", table, table.NumField(), len(*rows))
		}
	}
}

// fields counts those of a struct and the structs in it that settings fill.
func fields(s reflect.Type) (n int) {
	for f := range s.Fields() {
		switch {
		case f.Type.Kind() == reflect.Struct:
			n += fields(f.Type)
		case f.Tag.Get("mapstructure") != "-":
			n++
		}
	}
	return n
}

func TestHelpAndTableNameEverySetting(t *testing.T) {
	var table, help bytes.Buffer
	if err := config.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	if err := config.WriteHelp(&help); err != nil {
		t.Fatal(err)
	}
	for _, s := range config.Settings {
		if !strings.Contains(table.String(), "| `"+s.Key+"` | ") || !strings.Contains(table.String(), s.Doc) {
			t.Errorf("%s is not in the table", s.Key)
		}
		if !strings.Contains(help.String(), "\n  "+s.Key) && s.Key != config.Settings[0].Key {
			t.Errorf("%s is not in the help", s.Key)
		}
	}
	for line := range strings.Lines(table.String()) {
		if strings.HasPrefix(line, "|") && strings.Count(line, "|") < 3 {
			t.Errorf("not a row: %s", line)
		}
	}
}

func TestAnArgumentThatNobodyReadsIsAMistake(t *testing.T) {
	environ := []string{"PROMFENCE_UPSTREAM_URL=http://h", "PROMFENCE_AUTH_ISSUER=https://i", "PROMFENCE_AUTH_AUDIENCE=a"}
	if _, err := config.Load(nil, environ); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load([]string{"promfence.yaml"}, environ); err == nil || !strings.HasPrefix(err.Error(), "promfence.yaml: want no argument here") {
		t.Errorf("a file without --config: %v", err)
	}
}
