package main

import (
	"context"
	"errors"
	"net"
	"net/http/httptest"
	"net/url"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/notifier"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/features"
	"github.com/prometheus/prometheus/web"

	"github.com/promfence/promfence/test/harness/upstream"
)

const (
	backfill = 15 * time.Minute // so that a rate over five minutes has something to go by at once
	interval = 5 * time.Second
)

// An embedded Prometheus is the real storage, query engine and web API, in this
// process and behind a hop that notes what it is asked.
type embedded struct {
	recorder *upstream.Recorder

	front *httptest.Server
	end   context.CancelFunc
	ended chan struct{}
	db    *tsdb.DB
	dir   string
}

func startPrometheus(ctx context.Context) (*embedded, error) {
	dir, err := os.MkdirTemp("", "promfence-demo-")
	if err != nil {
		return nil, err
	}
	db, err := tsdb.Open(dir, promslog.NewNopLogger(), nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	now := time.Now().Truncate(interval)
	for at := now.Add(-backfill); !at.After(now); at = at.Add(interval) {
		if err := appendSamples(ctx, db, at, now.Add(-backfill)); err != nil {
			return nil, errors.Join(err, db.Close(), os.RemoveAll(dir))
		}
	}
	e := &embedded{db: db, dir: dir, ended: make(chan struct{})}
	if err := e.serve(now); err != nil {
		return nil, errors.Join(err, db.Close(), os.RemoveAll(dir))
	}
	return e, nil
}

// serve opens the web API and keeps the samples coming until stop.
func (e *embedded) serve(last time.Time) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	target := &url.URL{Scheme: "http", Host: l.Addr().String()}
	ctx, cancel := context.WithCancel(context.Background())
	handler, err := webHandler(ctx, e.db, e.dir, target)
	if err != nil {
		cancel()
		return errors.Join(err, l.Close())
	}
	go func() { _ = handler.Run(ctx, []net.Listener{l}, "") }()
	go func() {
		defer close(e.ended)
		e.live(ctx, last.Add(-backfill))
	}()
	e.recorder = upstream.NewRecorder(upstream.PassOn(target))
	e.front = httptest.NewServer(e.recorder)
	e.end = cancel
	return nil
}

// live appends what a scrape every few seconds would bring.
func (e *embedded) live(ctx context.Context, born time.Time) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case at := <-tick.C:
			_ = appendSamples(ctx, e.db, at, born) // A sample that is lost is a gap in a graph.
		}
	}
}

func (e *embedded) url() string { return e.front.URL }

func (e *embedded) stop() {
	e.front.Close()
	e.end()
	<-e.ended
	_ = e.db.Close()
	_ = os.RemoveAll(e.dir)
}

// localStorage lets the web API see the database as the server's own.
type localStorage struct{ *tsdb.DB }

func (s localStorage) Stats(statsByLabelName string, limit int) (*tsdb.Stats, error) {
	return s.Head().Stats(statsByLabelName, limit), nil
}

func (s localStorage) BlockMetas() ([]tsdb.BlockMeta, error) { return s.DB.BlockMetas(), nil }

func (localStorage) WALReplayStatus() (tsdb.WALReplayStatus, error) {
	return tsdb.WALReplayStatus{}, nil
}

// webHandler is the server's own, with every part that an endpoint may ask for.
func webHandler(ctx context.Context, db *tsdb.DB, dir string, self *url.URL) (*web.Handler, error) {
	log := promslog.NewNopLogger()
	registry := prometheus.NewRegistry()
	promQL := parser.NewParser(parser.Options{EnableExperimentalFunctions: true, EnableExtendedRangeSelectors: true})
	engine := promql.NewEngine(promql.EngineOpts{
		Logger: log, MaxSamples: 1e7, Timeout: time.Minute, LookbackDelta: 5 * time.Minute,
		EnableAtModifier: true, EnableNegativeOffset: true, Parser: promQL,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
	})
	scrapes, err := scrape.NewManager(nil, log, nil, db, nil, registry)
	if err != nil {
		return nil, err
	}
	h := web.New(log, &web.Options{
		Context: ctx, AppName: "Prometheus", Version: &web.PrometheusVersion{Version: "demo"},
		Storage: db, LocalStorage: localStorage{db}, ExemplarStorage: db, TSDBDir: dir,
		QueryEngine: engine, Parser: promQL, LookbackDelta: 5 * time.Minute,
		ScrapeManager:   scrapes,
		RuleManager:     rules.NewManager(&rules.ManagerOptions{Context: ctx, Appendable: db, Queryable: db, Logger: log, ExternalURL: self, Parser: promQL}),
		Notifier:        notifier.NewManager(&notifier.Options{QueueCapacity: 1}, config.DefaultGlobalConfig.MetricNameValidationScheme, log),
		ListenAddresses: []string{self.Host}, ExternalURL: self, RoutePrefix: "/", ReadTimeout: time.Minute,
		RemoteReadSampleLimit: 1e6, RemoteReadConcurrencyLimit: 4, RemoteReadBytesInFrame: 1 << 20,
		Gatherer: registry, Registerer: registry, FeatureRegistry: features.DefaultRegistry,
	})
	if err := h.ApplyConfig(&config.DefaultConfig); err != nil {
		return nil, err
	}
	h.SetReady(web.Ready)
	return h, nil
}
