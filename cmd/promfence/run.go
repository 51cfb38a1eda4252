package main

import (
	"bytes"
	"cmp"
	"context"
	"io"
	stdlog "log"
	"log/slog"
	"net/url"
	"os/signal"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/rs/zerolog"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/cmd/promfence/logs"
	"github.com/promfence/promfence/cmd/promfence/otlp"
	"github.com/promfence/promfence/config"
)

// serve builds the parts in order, serves until ctx ends, and drains.
func serve(ctx context.Context, in input) error {
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	lines := logs.NewWriter(in.stderr, metrics) // the loggers of all generations write to it
	defer lines.Close()
	metrics.MustRegister(buildInfo())
	cfg, p, files, err := loadWatched(in, lines, nil)
	if err != nil {
		return err
	}
	log := newLogger(cfg.Log, lines)
	announce(log, cfg)
	l := newLive(in, lines, metrics)
	defer signal.Stop(l.hup)
	if cfg.Tracing.Endpoint != "" {
		l.spans = otlp.New(otlp.Options{Endpoint: cfg.Tracing.Endpoint, Version: ownVersion(), Every: in.pace.spans, Log: l.log, Metrics: metrics})
	}
	first, err := build(cfg, p, lines, metrics, nil, l.takeSpan())
	if err != nil {
		return err
	}
	if first.audit != nil {
		if err := first.audit.Open(); err != nil {
			return cannotAudit(cfg, err)
		}
	}
	first.files = files
	l.first = cfg
	l.now.Store(first)
	stdlog.SetFlags(0)
	stdlog.SetOutput(libraryLog{l.log})
	s, err := listen(ctx, l, metrics)
	if err != nil {
		return err
	}
	return s.serve(ctx)
}

func authOptions(cfg *config.Config, log zerolog.Logger) auth.Options {
	a := cfg.Auth
	o := auth.Options{
		Issuer:              a.Issuer,
		Audience:            a.Audience,
		AudienceClaim:       a.AudienceClaim,
		InsecureAnyAudience: a.InsecureAnyAudience,
		JWKSURL:             a.JWKSURL,
		JWKSFile:            a.JWKSFile,
		PublicKeyFile:       a.PublicKeyFile,
		HMACSecretFile:      a.HMACSecretFile,
		CAFile:              a.CAFile,
		BearerTokenFile:     a.BearerTokenFile,
		Algorithms:          a.Algorithms,
		TenantClaim:         a.TenantClaim,
		TenantLabel:         cfg.Tenancy.Label,
		AllowAllTenants:     a.AllowAllTenants,
		Limits:              policyLimits(cfg.Limits),
		MaxTenants:          cfg.Tenancy.MaxTenants,
		TokenHeaders:        a.TokenHeaders,
		Leeway:              a.Leeway,
		RefreshInterval:     a.RefreshInterval,
		TenantHeader:        cfg.Upstream.TenantHeader,
		Logger:              slog.New(zerolog.NewSlogHandler(log)),
	}
	for _, is := range a.Issuers {
		entry := auth.IssuerOptions{
			Issuer:              is.Issuer,
			Audience:            is.Audience,
			AudienceClaim:       is.AudienceClaim,
			InsecureAnyAudience: is.InsecureAnyAudience,
			JWKSURL:             is.JWKSURL,
			JWKSFile:            is.JWKSFile,
			PublicKeyFile:       is.PublicKeyFile,
			HMACSecretFile:      is.HMACSecretFile,
			CAFile:              is.CAFile,
			BearerTokenFile:     is.BearerTokenFile,
			Algorithms:          is.Algorithms,
			TenantClaim:         is.TenantClaim,
			AllowAllTenants:     is.AllowAllTenants,
		}
		if is.Tenant != "" {
			entry.Tenants = []string{is.Tenant}
		}
		o.Issuers = append(o.Issuers, entry)
	}
	return o
}

// optionKeys says which setting gives each option that auth may complain about.
var optionKeys = map[string]string{
	"Issuer": "issuer", "Audience": "audience", "AudienceClaim": "audience_claim", "InsecureAnyAudience": "insecure_any_audience",
	"JWKSURL": "jwks_url", "JWKSFile": "jwks_file", "PublicKeyFile": "public_key_file", "HMACSecretFile": "hmac_secret_file",
	"CAFile": "ca_file", "BearerTokenFile": "bearer_token_file", "Algorithms": "algorithms", "TenantClaim": "tenant_claim", "AllowAllTenants": "allow_all_tenants",
	"Tenants": "tenant", "TokenHeaders": "token_headers", "Leeway": "leeway", "RefreshInterval": "refresh_interval",
}

// optionKey turns a field of auth.Options into the setting's key.
func optionKey(field string) string {
	if field == "MaxTenants" {
		return "tenancy.max_tenants"
	}
	section := "auth."
	if entry, rest, ok := strings.Cut(field, "."); ok {
		section, field = "auth."+strings.ToLower(entry)+".", rest
	}
	return section + optionKeys[field]
}

func newLogger(c config.Log, w io.Writer) zerolog.Logger {
	switch c.Format {
	case "console":
		w = zerolog.ConsoleWriter{Out: w, NoColor: true}
	case "logfmt":
		w = logs.Logfmt{Out: zerolog.MultiLevelWriter(w)}
	}
	level, err := zerolog.ParseLevel(c.Level)
	if err != nil {
		level = zerolog.InfoLevel // config knows the levels; more in the log is the safe side
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

// A libraryLog takes the lines of those that write to Go's own log. net/http
// tells there what callers and an upstream have sent amiss, which anybody can
// cause, and what is worth an operator's attention.
type libraryLog struct{ log func() *zerolog.Logger }

func (l libraryLog) Write(line []byte) (int, error) {
	level := zerolog.DebugLevel
	for _, ours := range []string{"http: Accept error", "http: panic", "http2: panic"} {
		if bytes.HasPrefix(line, []byte(ours)) {
			level = zerolog.ErrorLevel
		}
	}
	l.log().WithLevel(level).Msg(string(bytes.TrimSuffix(line, []byte("\n"))))
	return len(line), nil
}

// announce writes the line of every start, and what the settings weaken. What
// they weaken in auth, auth says.
func announce(log zerolog.Logger, cfg *config.Config) {
	u, err := url.Parse(cfg.Upstream.URL)
	if err != nil {
		return // build has parsed it
	}
	var issuers []string
	if cfg.Auth.Issuer != "" {
		issuers = append(issuers, cfg.Auth.Issuer)
	}
	for _, is := range cfg.Auth.Issuers {
		issuers = append(issuers, is.Issuer)
	}
	log.Info().Str("version", ownVersion()).Str("upstream", cmp.Or(u.Host, u.Path)).Str("label", cfg.Tenancy.Label).
		Strs("issuers", issuers).Msg("starting")
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		log.Warn().Str("upstream", u.Host).Msg("the upstream is asked over plain http: whoever is on the way reads all tenants' data")
	}
}
