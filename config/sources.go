package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readEnviron picks our variables out of an environment, by setting.
func readEnviron(environ []string) (map[string]given, error) {
	var errs []error
	values := map[string]given{}
	for _, entry := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, prefix) || name == configEnv {
			continue
		}
		i := slices.IndexFunc(Settings, func(s Setting) bool { return s.Env() == name })
		switch {
		case i < 0 && fromKubernetes(name, environ):
		case i < 0:
			errs = append(errs, fmt.Errorf("%s: no such setting%s", name, Suggest(name, envNames())))
		case value == "" && Settings[i].Key != originsKey: // not set
		case values[Settings[i].Key].name != "":
			errs = append(errs, fmt.Errorf("%s: want it once", name))
		default:
			values[Settings[i].Key] = given{name: name, source: name, raw: value}
		}
	}
	return values, errors.Join(errs...)
}

// fromKubernetes tells the variables that a pod gets for each Service of its
// namespace: those of a Service called promfence, and those of another one with
// that prefix, known by the host that comes with them.
func fromKubernetes(name string, environ []string) bool {
	for i := len(prefix) - 1; i < len(name); i++ {
		service, rest := name[:i], name[i:]
		if rest != "_PORT" && !strings.HasPrefix(rest, "_PORT_") && !strings.HasPrefix(rest, "_SERVICE_") {
			continue
		}
		if service+"_" == prefix {
			return true
		}
		if _, ok := lookup(environ, service+"_SERVICE_HOST"); ok {
			return true
		}
	}
	return false
}

func lookup(environ []string, name string) (string, bool) {
	for _, entry := range environ {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

func envNames() []string {
	var out []string
	for _, s := range Settings {
		out = append(out, s.Env())
	}
	return append(out, configEnv)
}

// readFile reads one YAML document, by setting; without a path, nothing. The
// map is nil when the file could not be read.
//
// It is read here and not by viper, which takes SERVER.Address for
// server.address, drops a second document, and settles a key that is there
// twice by chance.
func readFile(path string) (map[string]given, error) {
	if path == "" {
		return map[string]given{}, nil
	}
	f, err := os.Open(path) //nolint:gosec // the operator's own file
	if err != nil {
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			err = pe.Err
		}
		return nil, fmt.Errorf("%s: want a YAML file that can be read: %w", path, err)
	}
	defer f.Close()
	var doc yaml.Node
	d := yaml.NewDecoder(f)
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return map[string]given{}, nil
	} else if err != nil {
		return nil, noYAML(path, err)
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: want one YAML document", path)
	}
	if doc.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s: want sections such as upstream and auth", path)
	}
	var tree map[string]any
	if err := doc.Decode(&tree); err != nil {
		return nil, noYAML(path, err)
	}
	values := map[string]given{}
	return values, flatten(values, "", path, tree)
}

// noYAML leaves out what the decoder quotes of values, which may be secrets, and
// may hold quotes themselves.
func noYAML(path string, err error) error {
	return fmt.Errorf("%s: want YAML: %s", path, quoted.ReplaceAllString(err.Error(), "${1}…"))
}

var quoted = regexp.MustCompile("(?s)[`'].*[`']|(invalid map key: ).*")

// flatten collects the settings of a section; "upstream.url" is the same as
// url below upstream.
func flatten(into map[string]given, above, path string, section map[string]any) error {
	var errs []error
	for name, raw := range section {
		key := above + name
		_, twice := into[key]
		below, isSection := raw.(map[string]any)
		switch {
		case twice:
			errs = append(errs, fmt.Errorf("%s: want it once", key))
		case slices.Contains(keys(Settings), key):
			into[key] = given{name: key, source: path, raw: raw}
		case isSection && len(below) > 0:
			errs = append(errs, flatten(into, key+".", path, below))
		case slices.ContainsFunc(keys(Settings), func(k string) bool { return strings.HasPrefix(k, key+".") }):
			if raw == nil || isSection {
				continue // everything below it is a comment
			}
			errs = append(errs, fmt.Errorf("%s: want a section of settings", key))
		default:
			errs = append(errs, fmt.Errorf("%s: no such setting%s", key, Suggest(key, keys(Settings))))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return errors.Join(errs...)
}
