package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/promfence/promfence/cmd/promfence/logs"
	"github.com/promfence/promfence/cmd/promfence/otlp"
	"github.com/promfence/promfence/config"
	"github.com/promfence/promfence/proxy/record"
)

// A pace is how often what a process does by itself is done, and how long it waits.
type pace struct {
	// look is how often files are looked at. Looking, unlike waiting for a file
	// system's word, works with every mount and every way to replace a file.
	look time.Duration
	// again is when settings that were refused are read again: what they lacked may
	// have been somebody else's, such as the identity provider's answer.
	again time.Duration
	// keys says when new settings have had their time to get keys.
	keys func() <-chan time.Time
	// spans is how often spans are sent.
	spans time.Duration
	// delay waits before a drain.
	delay func(time.Duration)
}

var usualPace = pace{
	look: time.Second, again: time.Minute, spans: 5 * time.Second,
	keys: func() <-chan time.Time { return time.After(5 * time.Second) }, delay: time.Sleep,
}

// A live process serves with the current generation of its settings.
type live struct {
	in      input
	lines   *logs.Writer
	metrics *prometheus.Registry
	first   *config.Config // what listeners and the tracer were opened with
	now     atomic.Pointer[generation]
	keys    sync.WaitGroup
	fail    func(error) // ends the process
	hup     chan os.Signal
	spans   *otlp.Exporter // nil = nothing is traced

	reloads *prometheus.CounterVec
	last    prometheus.Gauge
}

func newLive(in input, lines *logs.Writer, metrics *prometheus.Registry) *live {
	l := &live{
		in: in, lines: lines, metrics: metrics, hup: make(chan os.Signal, 1),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "promfence_config_reloads_total", Help: "Settings and files read again, by outcome: success, or failure when those before were kept.",
		}, []string{"outcome"}),
		last: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "promfence_config_last_reload_successful", Help: "Whether the settings in the files are those in effect.",
		}),
	}
	l.reloads.WithLabelValues("success")
	l.reloads.WithLabelValues("failure")
	l.last.Set(1)
	metrics.MustRegister(l.reloads, l.last)
	signal.Notify(l.hup, syscall.SIGHUP) // before anybody can know of us and send one
	return l
}

// log is the current generation's.
func (l *live) log() *zerolog.Logger { return &l.now.Load().log }

// takeSpan is where the proxy hands over a request's span; nil = nowhere.
func (l *live) takeSpan() func(record.Span) {
	if l.spans == nil {
		return nil
	}
	return func(s record.Span) { l.spans.Add(otlp.Span(s)) }
}

// start puts the first generation to work, whether it has keys or not.
func (l *live) start(ctx context.Context, fail func(error)) {
	l.fail = fail
	v := l.now.Load()
	l.metrics.MustRegister(v.keys)
	l.run(ctx, v.keys)
	go v.proxy.AskFeatures(ctx)
}

func (l *live) run(ctx context.Context, k *keyring) {
	l.keys.Add(1)
	k.run(ctx, func(err error) {
		defer l.keys.Done()
		if err != nil {
			l.fail(fmt.Errorf("keys: %w", err))
		}
	})
}

// watch reads the settings again on SIGHUP and when a file of theirs has
// changed, until ctx ends. keys is for how long authenticators live.
func (l *live) watch(ctx, keys context.Context) {
	look, again := time.NewTicker(l.in.pace.look), time.NewTimer(l.in.pace.again)
	defer look.Stop()
	defer again.Stop()
	again.Stop()
	loaded := l.now.Load().files
	for seen, keysRead := loaded, loaded.keys; ; {
		select {
		case <-ctx.Done():
			return
		case <-l.hup:
			v := l.now.Load()
			v.keys.ReadFiles()
			if v.audit != nil && v.audit.Open() != nil {
				v.log.Error().Msg("audit.file cannot be opened again, writing to the one that is open")
			}
		case <-again.C:
		case <-look.C:
			before := seen
			// A file that changes between two looks is still being written.
			if seen = fingerprintOf(l.now.Load().cfg); seen != before {
				continue
			}
			if seen.keys != keysRead {
				keysRead = seen.keys
				l.now.Load().keys.ReadFiles()
			}
			if seen.settings == loaded.settings {
				continue
			}
		}
		loaded = fingerprintOf(l.now.Load().cfg)
		if !l.reload(ctx, keys) {
			again.Reset(l.in.pace.again)
			continue
		}
		again.Stop()
		loaded = l.now.Load().files
		seen, keysRead = loaded, [sha256.Size]byte{} // keys that stayed may have changed since they were read
	}
}

// reload swaps in a new generation, whole, or keeps the one that is.
func (l *live) reload(ctx, keys context.Context) bool {
	old := l.now.Load()
	v, err := l.prepare(ctx, keys, old)
	if err != nil {
		l.reloads.WithLabelValues("failure").Inc()
		l.last.Set(0)
		old.log.Error().Err(err).Msg("settings not reloaded, keeping those in effect")
		return false
	}
	l.now.Store(v)
	if v.audit != nil {
		v.audit.LogTo(v.log)
	}
	old.proxy.Close()
	if v.keys != old.keys {
		l.metrics.Unregister(old.keys)
		l.metrics.MustRegister(v.keys)
		old.keys.stop()
	}
	l.reloads.WithLabelValues("success").Inc()
	l.last.Set(1)
	v.log.Info().Msg("settings reloaded")
	go v.proxy.AskFeatures(keys)
	if needs := needRestart(l.first, v.cfg); len(needs) > 0 {
		l.last.Set(0)
		v.log.Warn().Strs("settings", needs).Msg("these settings have changed since the start and take effect with a restart only")
	}
	return true
}

// prepare makes the next generation and waits until it can serve as well as the
// one before.
func (l *live) prepare(ctx, keys context.Context, old *generation) (*generation, error) {
	cfg, p, files, err := loadWatched(l.in, l.lines, old)
	if err != nil {
		return nil, err
	}
	v, err := build(cfg, p, l.lines, l.metrics, old, l.takeSpan())
	if err != nil {
		return nil, err
	}
	v.files = files
	if v.audit != nil && v.audit != old.audit {
		if err := v.audit.Open(); err != nil {
			return nil, cannotAudit(cfg, err)
		}
	}
	// A listener that was opened with TLS goes on with it.
	v.tls, v.decisionTLS = cmp.Or(v.tls, old.tls), cmp.Or(v.decisionTLS, old.decisionTLS)
	if v.keys == old.keys {
		return v, nil
	}
	l.run(keys, v.keys)
	deadline := l.in.pace.keys()
	for {
		lacking := v.keys.Lacks(old.keys.Authenticator)
		if len(lacking) == 0 {
			return v, nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
			continue
		case <-ctx.Done():
			err = ctx.Err()
		case <-deadline:
			err = fmt.Errorf("the new settings of auth lead to no keys, or not to all, of %q", lacking)
		}
		v.keys.stop()
		return nil, err
	}
}

// needRestart names the settings that are not in effect, because they decide
// about what was opened at the start.
func needRestart(first, cfg *config.Config) (keys []string) {
	for key, changed := range map[string]bool{
		"server.address":          first.Server.Address != cfg.Server.Address,
		"server.idle_timeout":     first.Server.IdleTimeout != cfg.Server.IdleTimeout,
		"server.max_connections":  first.Server.MaxConnections != cfg.Server.MaxConnections,
		"server.max_header_bytes": first.Server.MaxHeaderBytes != cfg.Server.MaxHeaderBytes,
		"admin.address":           first.Admin.Address != cfg.Admin.Address,
		"tracing.endpoint":        first.Tracing != cfg.Tracing,
		"decision.address":        first.Decision.Address != cfg.Decision.Address,
		"decision.tls.cert_file":  (first.Decision.TLS.CertFile == "") != (cfg.Decision.TLS.CertFile == ""),
		"server.tls.cert_file":    (first.Server.TLS.CertFile == "") != (cfg.Server.TLS.CertFile == ""),
	} {
		if changed {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// loadWatched reads the settings once to learn which files there are, and again
// when their fingerprint is taken: what changes from then on will be noticed.
func loadWatched(in input, lines io.Writer, before *generation) (cfg *config.Config, p *parts, files fingerprint, err error) {
	if cfg, _, err = load(in, io.Discard, before); err != nil {
		return nil, nil, fingerprint{}, err
	}
	if info, err := os.Stat(cfg.File); err == nil && !info.Mode().IsRegular() {
		return nil, nil, fingerprint{}, fmt.Errorf("%s: want a regular file, which can be read again", cfg.File)
	}
	files = fingerprintOf(cfg)
	cfg, p, err = load(in, lines, before)
	return cfg, p, files, err
}
