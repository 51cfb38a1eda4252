package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
)

// issuers reads auth.issuers. It is a list of tables and not a table of tables:
// viper folds the case of map keys and splits them at dots, and the names of
// issuers are full of both.
func issuers(g given) (any, error) {
	entries, ok := g.raw.([]any)
	if !ok {
		return nil, fmt.Errorf("%s: want a list of tables, in the file of --config", g.name)
	}
	var errs []error
	tables := make([]map[string]any, len(entries))
	for i, entry := range entries {
		var err error
		tables[i], err = issuer(fmt.Sprintf("%s[%d]", g.name, i), entry)
		errs = append(errs, err)
	}
	return tables, errors.Join(errs...)
}

// issuer reads one entry, with the defaults for what it leaves out.
func issuer(name string, entry any) (map[string]any, error) {
	given, ok := entry.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s: want a table of %s", name, strings.Join(keys(IssuerSettings), ", "))
	}
	var errs []error
	table := map[string]any{}
	for _, s := range IssuerSettings {
		table[s.Key] = s.Default
		if raw, ok := given[s.Key]; ok {
			v, want := s.parse(raw, true)
			if want != "" {
				errs = append(errs, fmt.Errorf("%s.%s: %s", name, s.Key, want))
			}
			table[s.Key] = v
		}
	}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(keys(IssuerSettings), key) {
			errs = append(errs, fmt.Errorf("%s.%s: no such setting%s", name, key, Suggest(key, keys(IssuerSettings))))
		}
	}
	return table, errors.Join(errs...)
}

func keys(settings []Setting) []string {
	out := make([]string, len(settings))
	for i, s := range settings {
		out[i] = s.Key
	}
	return out
}

// issuerTables is the reverse of issuers, without what is not set.
func issuerTables(list []Issuer) []map[string]any {
	tables := make([]map[string]any, len(list))
	for i, entry := range list {
		_ = mapstructure.Decode(entry, &tables[i]) // cannot fail: a struct of texts into a map
		maps.DeleteFunc(tables[i], func(_ string, v any) bool { return isUnset(v) })
	}
	return tables
}
