package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// A given value is one that somebody wrote.
type given struct {
	name   string // of the setting, as they spelled it
	source string // the variable or the file
	raw    any
}

// A Mistake is a setting and what was expected of it.
type Mistake struct{ Key, Want string }

// Load reads the settings: a variable of environ (NAME=value, as [os.Environ]
// has it) wins over the file that --config in args or the variable
// PROMFENCE_CONFIG names, and the file wins over the default.
//
// The error joins all mistakes, each a line that names the setting as it was
// written and what was expected. It is [pflag.ErrHelp] when args ask for help.
// Those whom settings are for say by checks what only they know of them. A check
// also sees settings of which others are wrong, with their defaults.
func Load(args, environ []string, checks ...func(*Config) []Mistake) (*Config, error) {
	path, err := filePath(args, environ)
	if err != nil {
		return nil, err
	}
	env, envErr := readEnviron(environ)
	file, fileErr := readFile(path)

	v, errs, wrong := viper.New(), []error{envErr, fileErr}, map[string]bool{}
	c := &Config{File: path, Sources: map[string]string{}}
	for _, s := range Settings {
		v.SetDefault(s.Key, s.Default)
		for _, source := range []map[string]given{file, env} { // the later one wins
			g, ok := source[s.Key]
			if !ok {
				continue
			}
			c.Sources[s.Key] = g.source
			value, err := s.value(g)
			if err != nil {
				errs, wrong[s.Key] = append(errs, err), true
				continue
			}
			v.Set(s.Key, value)
		}
	}
	// Values have their types by now: an error here is a row without a field of
	// its type, and not the operator's.
	if err := v.UnmarshalExact(c, func(d *mapstructure.DecoderConfig) { d.WeaklyTypedInput = false }); err != nil {
		return nil, fmt.Errorf("settings and fields differ: %w", err)
	}
	if file != nil { // what is in a file that cannot be read is not missing
		for _, check := range append([]func(*Config) []Mistake{(*Config).together}, checks...) {
			errs = append(errs, c.named(check(c), wrong)...)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return c, nil
}

// named spells mistakes as the settings were written, without those of settings
// that are known to be wrong already.
func (c *Config) named(mistakes []Mistake, wrong map[string]bool) (errs []error) {
	for _, m := range mistakes {
		required := wrong[issuersKey] && (m.Key == issuerKey || m.Key == audienceKey) // or it stands in there
		dependent := wrong[issuersKey] && strings.HasPrefix(m.Key, policyKey+"[")
		if !wrong[m.Key] && !required && !dependent {
			errs = append(errs, fmt.Errorf("%s: %s", c.Name(m.Key), m.Want))
		}
	}
	return errs
}

// TenancyLabel reads the setting tenancy.label alone, from where [Load] does.
// Other settings may be wrong or missing.
func TenancyLabel(args, environ []string) (string, error) {
	path, err := filePath(args, environ)
	if err != nil {
		return "", err
	}
	file, err := readFile(path)
	if file == nil {
		return "", err
	}
	env, _ := readEnviron(environ)
	label := Settings[slices.Index(keys(Settings), labelKey)]
	value := label.Default
	for _, source := range []map[string]given{file, env} { // the later one wins
		if g, ok := source[labelKey]; ok {
			if value, err = label.value(g); err != nil {
				return "", err
			}
		}
	}
	return value.(string), nil //nolint:forcetypeassert // its row's default is one
}

// filePath is the file that args or environ name, or "" without one.
func filePath(args, environ []string) (string, error) {
	path, err := flags(args)
	if path == "" {
		path, _ = lookup(environ, configEnv)
	}
	return path, err
}

func flags(args []string) (path string, err error) {
	set := pflag.NewFlagSet("promfence", pflag.ContinueOnError)
	set.Usage = func() {} // the caller prints help
	set.StringVar(&path, "config", "", "")
	if err := set.Parse(args); err != nil {
		return "", err
	}
	if set.NArg() > 0 {
		return "", fmt.Errorf("%s: want no argument here; settings come from --config FILE and the environment", set.Arg(0))
	}
	if set.Changed("config") && path == "" {
		return "", errors.New("--config: want the name of a file")
	}
	return path, nil
}

// value reads what was given for the setting, or says what was wrong with it.
func (s Setting) value(g given) (any, error) {
	switch s.Key {
	case issuersKey:
		return issuers(g)
	case policyKey:
		return policies(g)
	}
	v, want := s.parse(g.raw, g.source != s.Env())
	if want != "" {
		return nil, fmt.Errorf("%s: %s", g.name, want)
	}
	return v, nil
}
