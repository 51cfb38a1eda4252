package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/cmd/promfence/connect"
	"github.com/promfence/promfence/cmd/promfence/logs"
	"github.com/promfence/promfence/config"
)

const connectFlag = "--connect"

// check says everything that is wrong, also what only the parts themselves can
// tell of their settings, and with --connect what the servers that they name say.
func check(ctx context.Context, in input) error {
	connecting := slices.Contains(in.args, connectFlag)
	in.args = slices.DeleteFunc(slices.Clone(in.args), func(a string) bool { return a == connectFlag })
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
	if p.rules != nil {
		for _, w := range p.rules.Warnings() {
			fmt.Fprintln(in.stderr, "warning:", w)
		}
	}
	for _, w := range cfg.Warnings() {
		fmt.Fprintf(in.stderr, "warning: %s: %s\n", cfg.Name(w.Key), w.Want)
	}
	if err := cfg.WriteEffective(in.stdout); err != nil {
		return err
	}
	if connecting {
		return askServers(ctx, in, cfg, p)
	}
	_, err = fmt.Fprintln(in.stdout, "# Nobody was asked: promfence check --connect asks the identity providers and the upstream.")
	return err
}

// askServers asks every issuer and the upstream at the same time. It writes what
// they say as comments, warns of limits that nobody enforces, and returns all that is
// wrong.
func askServers(ctx context.Context, in input, cfg *config.Config, p *parts) error {
	var probes []auth.Probe
	var answer connect.Answer
	var upstreamErr error
	at, err := url.Parse(cfg.Upstream.URL)
	if err != nil {
		return err // build has parsed it
	}
	u, w := p.asker(cfg, at), in.stdout
	var asking sync.WaitGroup
	asking.Go(func() { warnOfEngine(ctx, in.stderr, cfg, u) })
	asking.Go(func() { probes = p.keys.Probe(ctx) })
	asking.Go(func() { answer, upstreamErr = u.Ask(ctx) })
	asking.Wait()

	var wrong []error
	for _, k := range probes {
		key := cfg.Name(optionKey(k.At + "Issuer"))
		if k.Err != nil {
			wrong = append(wrong, fmt.Errorf("%s: no keys of %s: %w", key, k.Issuer, k.Err))
			continue
		}
		fmt.Fprintf(w, "# %s: %s\n", key, describeKeys(k))
	}
	wrong = append(wrong, describeUpstream(w, cfg, answer, upstreamErr)...)
	if len(wrong) > 0 {
		return fmt.Errorf("the servers that the settings name do not fit them\n  %s",
			strings.ReplaceAll(errors.Join(wrong...).Error(), "\n", "\n  "))
	}
	return nil
}

// asker asks the upstream what it is.
func (p *parts) asker(cfg *config.Config, at *url.URL) connect.Upstream {
	return connect.Upstream{
		URL: at, TLS: p.upstreamTLS, Header: p.upstreamHeader,
		Label: cfg.Tenancy.Label, TenantHeader: cfg.Upstream.TenantHeader,
	}
}

// features asks the upstream what its query engine can do.
func (p *parts) features(cfg *config.Config, at *url.URL) func(context.Context) (queryCost, queryStats bool, err error) {
	return func(ctx context.Context) (queryCost, queryStats bool, err error) {
		f, err := p.asker(cfg, at).Features(ctx)
		return f.QueryCost, f.QueryStats, err
	}
}

// warnOfEngine warns of limits of the upstream's query engine that it was not seen to
// enforce.
func warnOfEngine(ctx context.Context, w io.Writer, cfg *config.Config, u connect.Upstream) {
	settings := limits(cfg.Limits).EngineSettings()
	if len(settings) == 0 {
		return
	}
	features, err := u.Features(ctx)
	for _, key := range settings {
		switch {
		case err != nil:
			fmt.Fprintf(w, "warning: %s: the upstream could not be asked whether it enforces it: %v\n", cfg.Name(key), err)
		case !features.QueryCost:
			fmt.Fprintf(w, "warning: %s: nobody enforces it: the upstream's /api/v1/features does not say that it has query_cost\n", cfg.Name(key))
		}
	}
}

func describeKeys(k auth.Probe) string {
	from := "files"
	if k.URL != "" {
		from = k.URL
	}
	lines := []string{fmt.Sprintf("%s has %s from %s, for %s", k.Issuer, count(k.Keys, "usable key"), from, strings.Join(k.Algorithms, ", "))}
	for _, s := range k.Skipped {
		lines = append(lines, "#   left out: "+s)
	}
	return strings.Join(lines, "\n")
}

func describeUpstream(w io.Writer, cfg *config.Config, a connect.Answer, err error) (wrong []error) {
	name := strings.TrimSpace(a.Name + " " + a.Version)
	if a.Name == "" {
		name = strings.TrimSpace("a server that does not say what it is " + a.Version)
	}
	key, label := cfg.Name("upstream.url"), cfg.Name("tenancy.label")
	switch {
	case err != nil:
		return []error{fmt.Errorf("%s: %w", key, err)}
	case a.Hidden:
		fmt.Fprintf(w, "# %s: %s; whether series have the label %s was not to be seen without a tenant in upstream.tenant_header\n", key, name, cfg.Tenancy.Label)
	case a.Values == 0:
		fmt.Fprintf(w, "# %s: %s\n", key, name)
		return []error{fmt.Errorf("%s: no series of the upstream has the label %s: whatever a tenant asks, the answer is empty", label, cfg.Tenancy.Label)}
	default:
		more := ""
		if a.More {
			more = " or more"
		}
		fmt.Fprintf(w, "# %s: %s; the label %s has %s%s\n", key, name, cfg.Tenancy.Label, count(a.Values, "value"), more)
	}
	return nil
}

// count is a number with its noun.
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
