package proxy

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/promfence/promfence/proxy/answer"
	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/lookup"
	"github.com/promfence/promfence/proxy/scope"
)

const (
	featuresTTL     = time.Minute      // how long what an upstream says of itself is believed
	featuresRetry   = 10 * time.Second // how long one that says nothing is not asked again
	featuresTimeout = 5 * time.Second  // how long a query waits for it
)

// An engine is the upstream's query engine, as far as promfence knows it. It is asked
// what it enforces at the start and, when that is a minute old, before the next query:
// the upstream may have been replaced. An upstream that could not be asked is sent the
// limits: one that enforces them must not go without, and others ignore them.
type engine struct {
	ask   func(context.Context) (queryCost, queryStats bool, err error) // nil = it cannot be asked
	known *lookup.Cache[features]
	said  atomic.Int32 // what of it was logged last
}

// A features is what an upstream says of its query engine, or why it says nothing.
type features struct {
	queryCost  bool // it enforces max_series, max_samples_read and max_query_duration
	queryStats bool // it may tell what a query read
	err        error
}

// ttl is how long it is good.
func (f features) ttl() time.Duration {
	if f.err != nil {
		return featuresRetry
	}
	return featuresTTL
}

// size is about what an error takes.
func (features) size() int { return 1 << 10 }

// What is known of the engine's limits.
const (
	engineUnknown int32 = iota + 1
	engineEnforces
	engineIgnores
)

func (f features) state() int32 {
	switch {
	case f.err != nil:
		return engineUnknown
	case f.queryCost:
		return engineEnforces
	}
	return engineIgnores
}

func newEngine(ask func(context.Context) (queryCost, queryStats bool, err error)) *engine {
	return &engine{ask: ask, known: lookup.New(features.size, 1, features.ttl)}
}

var errNotAsked = errors.New("nobody asked the upstream for its features")

// features returns what the upstream says of itself, as known or after a question.
// Requests that come at the same time wait for the same one.
func (p *Proxy) features(ctx context.Context) features {
	e := p.engine
	if e.ask == nil {
		return features{err: errNotAsked}
	}
	f, err := e.known.Of(ctx, "", featuresTimeout, func(ctx context.Context) (features, error) {
		var f features
		f.queryCost, f.queryStats, f.err = e.ask(ctx)
		p.sayOfEngine(f)
		return f, nil
	})
	f.err = cmp.Or(f.err, err)
	return f
}

// sayOfEngine logs who enforces the limits, when that is news.
func (p *Proxy) sayOfEngine(f features) {
	state := f.state()
	if p.engine.said.Swap(state) == state {
		return
	}
	names := p.limits.EngineSettings()
	switch state {
	case engineEnforces:
		p.recorder.Logger.Info().Strs("settings", names).Msg("the upstream enforces these limits of its query engine")
	case engineIgnores:
		p.recorder.Logger.Warn().Strs("settings", names).Msg("nobody enforces these limits: the upstream's /api/v1/features does not say that it has query_cost")
	default:
		p.recorder.Logger.Warn().Strs("settings", names).Err(f.err).Msg("the upstream could not be asked whether it enforces these limits: they are sent, and it is asked again before later queries")
	}
}

// AskFeatures asks the upstream whether it enforces the limits of its engine, if there
// are any, so that the log says early that nobody does.
func (p *Proxy) AskFeatures(ctx context.Context) {
	if p.limits.bindEngine() {
		p.features(ctx)
	}
}

// engineFor is what the engine is asked for beside a request's own parameters.
func (p *Proxy) engineFor(ctx context.Context, row *Route) scope.Engine {
	if !p.limits.bindEngine() || !slices.Contains(row.Params, "max_series") {
		return scope.Engine{}
	}
	f, l := p.features(ctx), p.limits
	e := scope.Engine{Statistics: row.Metered && f.err == nil && f.queryStats}
	if f.state() != engineIgnores {
		e.MaxSeries, e.MaxSamplesRead, e.MaxQueryDuration = l.MaxSeries, l.MaxSamplesRead, l.MaxQueryDuration
	}
	return e
}

// bindEngine reports whether there is a limit of the engine.
func (l Limits) bindEngine() bool {
	return l.MaxSeries > 0 || l.MaxSamplesRead > 0 || l.MaxQueryDuration > 0
}

// EngineSettings names the limits of the engine that are set, as an operator does.
func (l Limits) EngineSettings() (names []string) {
	for _, s := range []struct {
		name string
		set  bool
	}{
		{"limits.max_series", l.MaxSeries > 0}, {"limits.max_samples_read", l.MaxSamplesRead > 0}, {"limits.max_query_duration", l.MaxQueryDuration > 0},
	} {
		if s.set {
			names = append(names, s.name)
		}
	}
	return names
}

// meter looks in the answer to a query for what the query read, where it tells.
func (x *exchange) meter(sent scope.Request) {
	if !x.route.Metered {
		return
	}
	stats, _ := sent.Param("stats")
	cost, _ := sent.Param("cost")
	switch {
	case stats != "":
		x.warnings.MeterStatistics(sent.Ours("stats"))
	case cost != "":
		x.warnings.MeterCost()
	}
}

// noteLimits keeps which limits of the engine a query was sent with: an error that one of
// them causes names it.
func (x *exchange) noteLimits(sent scope.Request) {
	for _, name := range []string{"max_series", "max_samples_read", "max_query_duration"} {
		value, ok := sent.Param(name)
		if !ok || value == "" {
			continue
		}
		l := answer.SentLimit{Param: name, Value: strings.Clone(apierr.Clip(value))}
		if sent.Ours(name) {
			l.Setting = name
		}
		x.limited = append(x.limited, l)
	}
}
