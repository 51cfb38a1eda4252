package config

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/prometheus/common/model"
)

// WriteTable writes the reference of all settings as Markdown: what the README
// shows.
func WriteTable(w io.Writer) error {
	var b strings.Builder
	b.WriteString("| setting | variable | default | meaning |\n|---|---|---|---|\n")
	for _, s := range Settings {
		variable := "`" + s.Env() + "`"
		if s.Key == issuersKey || s.Key == policyKey {
			variable = "–"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.Key, variable, s.shown("–", "`"), s.Doc)
	}
	b.WriteString("\nEach entry of `auth.issuers`:\n\n| setting | meaning |\n|---|---|\n")
	for _, s := range IssuerSettings {
		fmt.Fprintf(&b, "| `%s` | %s |\n", s.Key, s.Doc)
	}
	for _, t := range policyTables {
		fmt.Fprintf(&b, "\n%s:\n\n| setting | meaning |\n|---|---|\n", t.heading)
		for _, s := range t.rows {
			fmt.Fprintf(&b, "| `%s` | %s |\n", s.Key, s.Doc)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteHelp writes the same reference for a terminal.
func WriteHelp(w io.Writer) error {
	var b strings.Builder
	for _, s := range Settings {
		fmt.Fprintf(&b, "  %s", s.Key)
		if s.Key != issuersKey && s.Key != policyKey {
			fmt.Fprintf(&b, "  %s", s.Env())
		}
		if d := s.shown("", ""); d != "" {
			fmt.Fprintf(&b, "  (default %s)", d)
		}
		b.WriteString("\n")
		wrap(&b, strings.ReplaceAll(s.Doc, "`", ""))
	}
	b.WriteString("\nEach entry of auth.issuers:\n")
	for _, s := range IssuerSettings {
		fmt.Fprintf(&b, "  %s\n", s.Key)
		wrap(&b, strings.ReplaceAll(s.Doc, "`", ""))
	}
	for _, t := range policyTables {
		fmt.Fprintf(&b, "\n%s:\n", strings.ReplaceAll(t.heading, "`", ""))
		for _, s := range t.rows {
			fmt.Fprintf(&b, "  %s\n", s.Key)
			wrap(&b, strings.ReplaceAll(s.Doc, "`", ""))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// shown is the default as one would write it in a variable.
func (s Setting) shown(none, quote string) string {
	var text string
	switch d := s.Default.(type) {
	case []string:
		text = strings.Join(d, ",")
	case []Issuer, []Policy:
	case time.Duration:
		text = short(d)
	default:
		text = fmt.Sprint(d)
	}
	if text == "" {
		return none
	}
	return quote + text + quote
}

// short writes a duration as people do: 130s and 5m, not 2m10s and 5m0s.
func short(d time.Duration) string {
	switch {
	case d != 0 && d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d != 0 && d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d%time.Second == 0:
		return fmt.Sprintf("%ds", d/time.Second)
	}
	return model.Duration(d).String()
}

func wrap(b *strings.Builder, text string) {
	const indent, width = "      ", 80
	line := indent[:len(indent)-1]
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > width {
			b.WriteString(line + "\n")
			line = indent[:len(indent)-1]
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}

// WriteEffective writes every setting with its value and who gave it, as YAML
// that Load takes. There is no secret among them: secrets are in files, and
// only the files' names are settings. What follows the ? of a URL, where some
// providers want a key, is not shown.
func (c *Config) WriteEffective(w io.Writer) error {
	values, err := c.masked().values()
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, s := range Settings {
		value := values[s.Key]
		if d, ok := value.(time.Duration); ok {
			value = short(d)
		}
		if list, ok := value.([]Issuer); ok {
			value = issuerTables(list)
		}
		if list, ok := value.([]Policy); ok {
			value = written(reflect.ValueOf(list))
		}
		text, err := json.Marshal(value)
		if err != nil {
			return err
		}
		source := c.Sources[s.Key]
		if source == "" {
			source = "default"
		}
		fmt.Fprintf(&b, "%s: %s # %s\n", s.Key, text, source)
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// values lists what is in effect, by setting.
func (c *Config) values() (map[string]any, error) {
	var tree map[string]any
	if err := mapstructure.Decode(c, &tree); err != nil {
		return nil, err
	}
	values := map[string]any{}
	for _, s := range Settings {
		value := any(tree)
		for name := range strings.SplitSeq(s.Key, ".") {
			section, _ := value.(map[string]any)
			value = section[name]
		}
		values[s.Key] = value
	}
	return values, nil
}

// Files lists the files that settings name, by setting: those that are read again
// when they change.
func (c *Config) Files() map[string]string {
	files := map[string]string{}
	values, _ := c.values() // cannot fail: Load has filled c by the same names
	for key, value := range values {
		if path, _ := value.(string); path != "" && strings.HasSuffix(key, fileSuffix) {
			files[key] = path
		}
	}
	for i, table := range issuerTables(c.Auth.Issuers) {
		for key, value := range table {
			if path, _ := value.(string); strings.HasSuffix(key, fileSuffix) {
				files[fmt.Sprintf("%s[%d].%s", issuersKey, i, key)] = path
			}
		}
	}
	return files
}

// fileSuffix is what every setting ends in that names a file with contents for us.
const fileSuffix = "_file"

func (c *Config) masked() *Config {
	m := *c
	m.Auth.JWKSURL = withoutQuery(m.Auth.JWKSURL)
	m.Auth.Issuers = slices.Clone(m.Auth.Issuers)
	for i := range m.Auth.Issuers {
		m.Auth.Issuers[i].JWKSURL = withoutQuery(m.Auth.Issuers[i].JWKSURL)
	}
	return &m
}

func withoutQuery(url string) string {
	if before, _, found := strings.Cut(url, "?"); found {
		return before + "?xxxxx" // as net/url writes what it redacts
	}
	return url
}
