package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/cmd/promfence/logs"
	"github.com/promfence/promfence/config"
	"github.com/promfence/promfence/openapi"
	"github.com/promfence/promfence/proxy"
	"github.com/promfence/promfence/proxy/alerting"
	"github.com/promfence/promfence/proxy/record"
)

// A generation is what one reading of the settings makes: all that decides about
// requests. It does not change; another reading makes another generation.
type generation struct {
	cfg         *config.Config
	log         zerolog.Logger
	keys        *keyring
	proxy       *proxy.Proxy
	admin       http.Handler
	tls         *tls.Config     // nil = callers connect without it
	decisionTLS *tls.Config     // likewise, gateways
	audit       *logs.AuditFile // nil = the log has it all; opened by whoever starts to serve
	files       fingerprint     // from before they were read, for whoever watches them
}

// A keyring is an authenticator with what decides whether it can stay.
type keyring struct {
	*auth.Authenticator
	options auth.Options
	log     config.Log
	stop    context.CancelFunc // once it runs
}

// run keeps the keys fresh until stop, or ctx, ends it; it then tells ended.
func (k *keyring) run(ctx context.Context, ended func(error)) {
	ctx, k.stop = context.WithCancel(ctx)
	go func() { ended(k.Run(ctx)) }()
}

// parts are made of the settings alone, and of the files that they name.
type parts struct {
	log            zerolog.Logger
	rules          *policy.Rules // nil = tokens name their tenants
	keys           *keyring
	serverTLS      *tls.Config
	decisionTLS    *tls.Config
	upstreamTLS    *tls.Config
	upstreamHeader http.Header

	alertmanagerTLS    *tls.Config
	alertmanagerHeader http.Header
}

// newParts makes them, or says what of the settings is wrong. The keys of the
// generation before stay where the settings say the same of them: nobody has to
// wait for keys because a limit changed.
func newParts(cfg *config.Config, lines io.Writer, before *generation) (*parts, []config.Mistake) {
	p := &parts{log: newLogger(cfg.Log, lines)}
	files := &fileReader{}
	p.serverTLS, p.decisionTLS = files.serverTLS("server.tls", cfg.Server.TLS), files.serverTLS("decision.tls", cfg.Decision.TLS)
	p.upstreamTLS, p.upstreamHeader = files.upstreamTLS("upstream.tls", cfg.Upstream.TLS), files.upstreamHeader(cfg.Upstream)
	p.alertmanagerTLS, p.alertmanagerHeader = files.upstreamTLS("alertmanager.tls", cfg.Alertmanager.TLS), files.alertmanagerHeader(cfg.Alertmanager)
	wrong := files.wrong
	var mistakes []config.Mistake
	p.rules, mistakes = newRules(cfg)
	wrong = append(wrong, mistakes...)
	var err error
	p.keys, err = newKeyring(cfg, p.rules, p.log, before)
	if mistakes, ok := errors.AsType[auth.OptionErrors](err); ok {
		for _, m := range mistakes {
			wrong = append(wrong, config.Mistake{Key: optionKey(m.Field), Want: m.Want})
		}
	} else if err != nil {
		wrong = append(wrong, config.Mistake{Key: "auth", Want: err.Error()})
	}
	return p, wrong
}

// build makes a generation. It starts nothing and listens nowhere.
func build(cfg *config.Config, p *parts, lines *logs.Writer, metrics *prometheus.Registry, before *generation, spans func(record.Span)) (*generation, error) {
	upstream, err := url.Parse(cfg.Upstream.URL)
	if err != nil {
		return nil, fmt.Errorf("%s: want http://host or https://host", cfg.Name("upstream.url"))
	}
	alertmanager, err := p.alerting(cfg)
	if err != nil {
		return nil, err
	}
	v := &generation{cfg: cfg, log: p.log, keys: p.keys, tls: p.serverTLS, decisionTLS: p.decisionTLS}
	v.audit = newAuditFile(cfg, p.log, metrics, before)
	var served *proxy.Proxy
	if before != nil {
		served = before.proxy
	}
	v.proxy, err = proxy.New(proxy.Options{
		Before: served,

		Auth:  v.keys,
		Ready: v.keys.Ready,

		Upstream:           upstream,
		UpstreamTimeout:    cfg.Upstream.Timeout,
		UpstreamHeader:     p.upstreamHeader,
		UpstreamTLS:        p.upstreamTLS,
		Alertmanager:       alertmanager,
		TenantHeader:       cfg.Upstream.TenantHeader,
		Features:           p.features(cfg, upstream),
		LabelPolicy:        cfg.Upstream.LabelPolicy,
		MaxIdleConnections: cfg.Upstream.MaxIdleConnections,

		TokenHeaders:    cfg.Auth.TokenHeaders,
		CORSOrigins:     cfg.CORS.AllowedOrigins,
		Label:           cfg.Tenancy.Label,
		RejectConflicts: cfg.Tenancy.RejectsConflicts(),
		WarnOnConflict:  cfg.Tenancy.WarnOnConflict,
		SharedRules:     cfg.Tenancy.SharedRules,
		SharedMetadata:  cfg.Tenancy.SharedMetadata,
		Limits:          limits(cfg.Limits),
		Docs:            openapi.Handler(),
		Console:         newConsole(cfg.Console, v.keys.Authenticator),

		Options: records(cfg, p.log, lines, v.audit, spans, metrics),
	})
	if err != nil {
		return nil, err
	}
	v.admin = newAdmin(cfg.Admin, metrics, lines.RunTasks, v.proxy)
	return v, nil
}

// records are where what requests leave behind goes.
func records(cfg *config.Config, log zerolog.Logger, lines *logs.Writer, audit *logs.AuditFile, spans func(record.Span), metrics *prometheus.Registry) record.Options {
	o := record.Options{
		Logger:         log,
		Deferred:       lines.Defer,
		SlowQuery:      cfg.Log.SlowQuery,
		AuditRequired:  cfg.Audit.Required,
		TrustedProxies: trustedProxies(cfg.Server.TrustedProxies),
		Spans:          spans,
		Registerer:     metrics,
	}
	if audit != nil {
		o.Audit = audit
	}
	return o
}

// alerting is the Alertmanager that the settings name, or nil.
func (p *parts) alerting(cfg *config.Config) (*alerting.Options, error) {
	a := cfg.Alertmanager
	if a.URL == "" {
		return nil, nil
	}
	u, err := url.Parse(a.URL)
	if err != nil {
		return nil, fmt.Errorf("%s: want http://host or https://host", cfg.Name("alertmanager.url"))
	}
	return &alerting.Options{
		URL: u, Timeout: a.Timeout, Header: p.alertmanagerHeader, TLS: p.alertmanagerTLS,
		Write: a.Silences == "write", MaxSilence: a.MaxSilence,
	}, nil
}

// newAuditFile keeps the file of the generation before: whoever moves it away
// tells us once to open it again.
func newAuditFile(cfg *config.Config, log zerolog.Logger, metrics prometheus.Registerer, before *generation) *logs.AuditFile {
	switch {
	case cfg.Audit.File == "":
		return nil
	case before != nil && before.audit != nil && before.audit.Path() == cfg.Audit.File:
		return before.audit
	}
	lost := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "promfence_audit_records_lost_total", Help: "Records that could not be written to audit.file.",
	})
	if e, ok := errors.AsType[prometheus.AlreadyRegisteredError](metrics.Register(lost)); ok {
		lost, _ = e.ExistingCollector.(prometheus.Counter) // nobody else has this name
	}
	return logs.NewAuditFile(cfg.Audit.File, log, func(records int) { lost.Add(float64(records)) })
}

func newKeyring(cfg *config.Config, rules *policy.Rules, log zerolog.Logger, before *generation) (*keyring, error) {
	k := &keyring{options: authOptions(cfg, log), log: cfg.Log}
	k.options.Policies = rules
	if before != nil {
		if before.keys.log == k.log && sameOptions(before.keys.options, k.options) {
			return before.keys, nil
		}
		k.options.Previous = before.keys.Authenticator
	}
	var err error
	k.Authenticator, err = auth.New(k.options)
	k.options.Previous = nil // or every one before would stay in memory
	return k, err
}

func sameOptions(a, b auth.Options) bool {
	a.Logger, b.Logger = nil, nil
	return reflect.DeepEqual(a, b)
}

func limits(l config.Limits) proxy.Limits {
	return proxy.Limits{
		QueryBytes:         l.MaxQueryBytes,
		QueryDepth:         l.MaxQueryDepth,
		QueryTerms:         l.MaxQueryTerms,
		Selectors:          l.MaxSelectors,
		BodyBytes:          int64(l.MaxBodyBytes),
		MaxRange:           l.MaxRange,
		MaxPoints:          l.MaxPoints,
		MaxSeries:          l.MaxSeries,
		MaxSamplesRead:     l.MaxSamplesRead,
		MaxQueryDuration:   l.MaxQueryDuration,
		RequestsPerSecond:  l.RequestsPerSecond,
		Burst:              l.Burst,
		ConcurrentRequests: l.ConcurrentRequests,
	}
}

func cannotAudit(cfg *config.Config, err error) error {
	return fmt.Errorf("%s: want a file that can be written: %w", cfg.Name("audit.file"), err)
}

// trustedProxies parses networks that config has checked.
func trustedProxies(networks []string) (all []netip.Prefix) {
	for _, n := range networks {
		all = append(all, netip.MustParsePrefix(n))
	}
	return all
}
