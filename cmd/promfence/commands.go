package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/cmd/promfence/logs"
	"github.com/promfence/promfence/config"
	"github.com/promfence/promfence/proxy"
)

// A command is one thing that the program does.
type command struct {
	name, usage, summary string
	run                  func(ctx context.Context, in input) error
}

// An input is all that a command gets from outside.
type input struct {
	args           []string // without the command's name
	environ        []string
	stdout, stderr io.Writer
}

// commands is what there is; the first is the default.
var commands = []command{
	{"serve", "serve [--config FILE]", "guard the upstream until a signal ends it (the default)", serve},
	{"check", "check [--config FILE]", "say what is wrong with the settings, or show those in effect", check},
	{"explain", "explain --tenant NAME [--tenant NAME] [--label NAME | --config FILE] 'QUERY'", "show what the upstream would be asked", explain},
	{"version", "version", "show the versions of the program and of its PromQL parser", version},
}

// run does what args say. It returns when that is done or, for serve, some time
// after the end of ctx.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	c, args := choose(args)
	if slices.Contains(args, "--version") {
		c = find("version")
	}
	err := c.run(ctx, input{args: args, environ: environ, stdout: stdout, stderr: stderr})
	if errors.Is(err, pflag.ErrHelp) {
		return help(stdout)
	}
	return err
}

// choose takes the command's name out of args, wherever --config stands.
func choose(args []string) (command, []string) {
	for i, arg := range args {
		if i > 0 && args[i-1] == "--config" {
			continue
		}
		if c := find(arg); c.run != nil {
			return c, slices.Concat(args[:i], args[i+1:])
		}
		if arg == "help" && i == 0 {
			return command{run: func(context.Context, input) error { return pflag.ErrHelp }}, nil
		}
		if !strings.HasPrefix(arg, "-") {
			break
		}
	}
	return commands[0], args
}

func find(name string) command {
	for _, c := range commands {
		if c.name == name {
			return c
		}
	}
	return command{}
}

// check says everything that is wrong, also what only the parts themselves can
// tell of their settings.
func check(_ context.Context, in input) error {
	cfg, p, err := load(in, io.Discard, nil)
	if err != nil {
		return err
	}
	metrics := prometheus.NewRegistry()
	v, err := build(cfg, p, logs.NewWriter(io.Discard, metrics), metrics, nil, nil)
	if err != nil {
		return err
	}
	if v.audit != nil {
		if err := v.audit.Try(); err != nil {
			return mistakes(cannotAudit(cfg, err))
		}
	}
	return cfg.WriteEffective(in.stdout)
}

// explain prints the enforced query. Of the settings it asks for the label alone.
func explain(_ context.Context, in input) error {
	flags := pflag.NewFlagSet("explain", pflag.ContinueOnError)
	flags.Usage = func() {}
	names := flags.StringArray("tenant", nil, "")
	label := flags.String("label", "", "")
	file := flags.String("config", "", "")
	if err := flags.Parse(in.args); err != nil {
		return err
	}
	if len(*names) == 0 || flags.NArg() != 1 {
		return errors.New("explain: want --tenant NAME and one query, in quotes")
	}
	if *label == "" {
		var args []string
		if flags.Changed("config") {
			args = []string{"--config", *file}
		}
		var err error
		if *label, err = config.TenancyLabel(args, in.environ); err != nil {
			return mistakes(err)
		}
	}
	labels, err := policy.ForTenants(*label, *names...)
	if err != nil {
		return fmt.Errorf("--tenant: %w", err)
	}
	enforced, err := proxy.Explain(labels, flags.Arg(0))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(in.stdout, enforced)
	return err
}

func version(_ context.Context, in input) error {
	_, err := fmt.Fprintf(in.stdout, "promfence %s (%s)\nPromQL parser %s %s\n", ownVersion(), runtime.Version(), proxy.ParserModule, proxy.ParserVersion())
	return err
}

// ownVersion is the module's version, as the go command stamps it from a tag.
func ownVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func help(w io.Writer) error {
	fmt.Fprintln(w, "promfence lets every tenant query a shared Prometheus or Thanos and see only its\nown series.\n\nCommands:")
	for _, c := range commands {
		fmt.Fprintf(w, "  promfence %s\n      %s\n", c.usage, c.summary)
	}
	fmt.Fprintln(w, "\nSettings come from the environment and from a YAML file (--config FILE or\nPROMFENCE_CONFIG); the environment wins. Durations need a unit, lists in the\nenvironment have commas, and a name that is not below is refused.\n\nSettings:")
	return config.WriteHelp(w)
}

// load reads the settings and the files that they name, and writes mistakes one
// below the other.
func load(in input, lines io.Writer, before *generation) (cfg *config.Config, p *parts, err error) {
	cfg, err = config.Load(in.args, in.environ, func(cfg *config.Config) (wrong []config.Mistake) {
		p, wrong = newParts(cfg, lines, before)
		return wrong
	})
	return cfg, p, mistakes(err)
}

func mistakes(err error) error {
	if err == nil || errors.Is(err, pflag.ErrHelp) {
		return err
	}
	return errors.New("the settings are wrong\n  " + strings.ReplaceAll(err.Error(), "\n", "\n  "))
}
