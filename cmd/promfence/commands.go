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

	"github.com/spf13/pflag"

	"github.com/promfence/promfence/config"
	"github.com/promfence/promfence/proxy/promql"
)

// A command is one thing that the program does.
type command struct {
	name, usage, summary string
	flags                []string // each with what it means
	run                  func(ctx context.Context, in input) error
}

// An input is all that a command gets from outside.
type input struct {
	args           []string // without the command's name
	environ        []string
	stdout, stderr io.Writer
	pace           pace
}

// commands is what there is; the first is the default.
var commands = []command{
	{"serve", "serve [--config FILE]", "guard the upstream until a signal ends it (the default)", []string{configFlag}, serve},
	{"check", "check [--connect] [--config FILE]", "say what is wrong with the settings, or show those in effect", []string{
		connectFlag + "      ask the identity providers for keys and the upstream for its version and the tenant label",
		configFlag,
	}, check},
	{"explain", explainUsage, "show what the upstream would be asked, and why a caller sees what they see", explainFlags, explain},
	{"version", "version", "show the versions of the program and of its PromQL parser", nil, version},
}

const (
	configMeaning = "the YAML file with settings; without it, the one that PROMFENCE_CONFIG names"
	configFlag    = "--config FILE  " + configMeaning
)

// run does what args say. It returns when that is done or, for serve, some time
// after the end of ctx.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	return runAt(ctx, usualPace, args, environ, stdout, stderr)
}

func runAt(ctx context.Context, pace pace, args, environ []string, stdout, stderr io.Writer) error {
	c, args, named := choose(args)
	if slices.Contains(args, "--version") {
		c = find("version")
	}
	err := c.run(ctx, input{args: args, environ: environ, stdout: stdout, stderr: stderr, pace: pace})
	switch {
	case errors.Is(err, pflag.ErrHelp) && named:
		return c.help(stdout)
	case errors.Is(err, pflag.ErrHelp):
		return help(stdout)
	}
	return err
}

// choose takes the command's name out of args, wherever --config stands. Without
// one, the first command is meant.
func choose(args []string) (c command, rest []string, named bool) {
	for i, arg := range args {
		if i > 0 && args[i-1] == "--config" {
			continue
		}
		if c := find(arg); c.run != nil {
			return c, slices.Concat(args[:i], args[i+1:]), true
		}
		if arg == "help" && i == 0 {
			return command{run: func(context.Context, input) error { return pflag.ErrHelp }}, nil, false
		}
		if !strings.HasPrefix(arg, "-") {
			return command{run: func(context.Context, input) error { return unknown(arg) }}, nil, false
		}
	}
	return commands[0], args, false
}

// unknown says that there is no such command, and which one may be meant.
func unknown(name string) error {
	var names []string
	for _, c := range commands {
		names = append(names, c.name)
	}
	return fmt.Errorf("%s: no such command%s; there are %s, and settings come from --config FILE and the environment",
		name, config.Suggest(name, names), strings.Join(names, ", "))
}

func find(name string) command {
	for _, c := range commands {
		if c.name == name {
			return c
		}
	}
	return command{}
}

func version(_ context.Context, in input) error {
	module, parser := promql.Parser()
	_, err := fmt.Fprintf(in.stdout, "promfence %s (%s)\nPromQL parser %s %s\n", ownVersion(), runtime.Version(), module, parser)
	return err
}

// ownVersion is the module's version, as the go command stamps it from a tag.
func ownVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// help shows what is special to the command; the settings are those of all.
func (c command) help(w io.Writer) error {
	fmt.Fprintf(w, "promfence %s\n  %s\n", c.usage, c.summary)
	for _, f := range c.flags {
		fmt.Fprintf(w, "\n  %s", f)
	}
	_, err := fmt.Fprintln(w, "\n\npromfence help shows all commands and all settings.")
	return err
}

func help(w io.Writer) error {
	fmt.Fprintln(w, "promfence lets every tenant query a shared Prometheus or Thanos and see only its\nown series.\n\nCommands:")
	for _, c := range commands {
		fmt.Fprintf(w, "  promfence %s\n      %s\n", c.usage, c.summary)
	}
	fmt.Fprintln(w, "\nSettings come from the environment and from a YAML file (--config FILE or\nPROMFENCE_CONFIG); the environment wins. Durations need units (30s, 7d), lists in\nthe environment have commas, and a name that is not below is refused.\n\nSettings:")
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
