package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// minRefetch is the least time between fetches that unknown keys cause.
	// Whoever can send junk can cause them.
	minRefetch = 10 * time.Second
	// maxAwait bounds how long a request waits for such a fetch, maxAwaiting
	// how many do so. The others are refused at once.
	maxAwait    = 2 * time.Second
	maxAwaiting = 64
	// fetchTimeout bounds one fetch from the first byte to the last.
	fetchTimeout = 10 * time.Second
	// The back-off after failures doubles from firstRetry to lastRetry, and only
	// to emptyRetry while there are no keys and nobody gets in. It never exceeds
	// the refresh interval.
	firstRetry = time.Second
	emptyRetry = 10 * time.Second
	lastRetry  = time.Minute
)

// A remote keeps an issuer's published keys fresh. One goroutine does all its
// fetches, so there is never more than one at a time; requests only look at the
// result. Failures never take keys away.
type remote struct {
	issuer   *issuer
	slot     int
	fetcher  *fetcher
	interval time.Duration
	log      *slog.Logger
	count    func(outcome string)

	tried    atomic.Bool   // once, with whatever outcome
	wanted   chan struct{} // a fetch may bring more than the last one
	awaiting atomic.Int32
	access   [sha256.Size]byte // fingerprint of the files that fetches need, guarded by Authenticator.reading

	mu      sync.Mutex
	started time.Time     // of the last fetch
	running bool          // one is under way
	due     time.Time     // of the next one
	done    chan struct{} // closed when the current or next fetch ends

	// Only of the goroutine that fetches.
	failures int
	seen     [sha256.Size]byte // of the last document that we could use
}

func newRemote(is *issuer, slot int, of IssuerOptions, o Options) *remote {
	o.Logger = o.Logger.With("issuer", is.name)
	r := &remote{
		issuer: is, slot: slot, interval: o.RefreshInterval,
		log:     o.Logger,
		fetcher: newFetcher(of, o),
		count:   func(string) {},
		wanted:  make(chan struct{}, 1),
		done:    make(chan struct{}),
	}
	r.access = r.fetcher.access.fingerprint()
	return r
}

// fetchSoon asks for a fetch before the planned one.
func (r *remote) fetchSoon() {
	select {
	case r.wanted <- struct{}{}:
	default: // somebody has just asked for it
	}
}

// readFiles asks for a fetch if the files that fetches need have changed.
func (r *remote) readFiles() {
	if now := r.fetcher.access.fingerprint(); now != r.access {
		r.access = now
		r.fetchSoon()
	}
}

// run fetches until ctx ends: at every interval, earlier after a failure, and
// earlier for a token with an unknown key.
func (r *remote) run(ctx context.Context) {
	for ctx.Err() == nil {
		r.refresh(ctx)
		r.rest(ctx)
	}
}

// rest waits until the next fetch: the planned one, or the one for an unknown
// key if that comes first.
func (r *remote) rest(ctx context.Context) {
	planned := time.NewTimer(r.untilDue())
	defer planned.Stop()
	select {
	case <-ctx.Done():
		return
	case <-planned.C:
		return
	case <-r.wanted:
	}
	r.mu.Lock()
	allowed := time.NewTimer(time.Until(r.started.Add(minRefetch)))
	r.mu.Unlock()
	defer allowed.Stop()
	select {
	case <-ctx.Done():
	case <-planned.C:
	case <-allowed.C:
	}
}

// await says that a token came whose key we do not have. If a fetch may start
// now or is under way, await waits for its end and reports true; if not, the
// fetch comes later and the caller is not kept waiting.
func (r *remote) await(ctx context.Context) bool {
	r.mu.Lock()
	soon := r.running || time.Since(r.started) >= minRefetch
	done := r.done
	r.mu.Unlock()
	r.fetchSoon()
	if !soon {
		return false
	}
	defer r.awaiting.Add(-1)
	if r.awaiting.Add(1) > maxAwaiting {
		return false
	}
	timer := time.NewTimer(maxAwait)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// refresh fetches once and plans the next fetch.
func (r *remote) refresh(ctx context.Context) {
	r.mu.Lock()
	r.started, r.running = time.Now(), true
	r.mu.Unlock()

	err := r.fetch(ctx)
	if ctx.Err() != nil {
		err = nil // we are going down: neither a failure nor worth a line
	}
	wait := r.plan(err)

	r.tried.Store(true)
	r.mu.Lock()
	r.running, r.due = false, time.Now().Add(wait)
	close(r.done)
	r.done = make(chan struct{})
	r.mu.Unlock()
}

// plan returns the time from the end of a fetch to the next.
func (r *remote) plan(err error) time.Duration {
	if err == nil {
		r.failures = 0
		return jitter(r.interval, 0.1)
	}
	limit, without := lastRetry, r.issuer.keys.Load() == nil
	if without {
		limit = emptyRetry
	}
	wait := min(jitter(min(firstRetry<<min(r.failures, 10), limit), 0.5), r.interval)
	r.failures++
	log := r.log.With("error", err, "failures", r.failures, "retry_in", wait.Round(time.Millisecond).String())
	if without {
		log.Error("no keys of this issuer yet: its tokens get 503, and nobody else's do")
	} else {
		log.Error("keys not refreshed, keeping those we have")
	}
	return wait
}

// fetch gets the key set and hands it to the issuer if it holds any key.
func (r *remote) fetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	body, err := r.fetcher.keys(ctx)
	if err != nil {
		r.count("error")
		return err
	}
	sum := sha256.Sum256(body)
	if sum == r.seen {
		r.count("unchanged")
		return nil
	}
	keys, skipped, err := parseJWKS(body, r.issuer.algs)
	switch {
	case errors.Is(err, errNoKeys):
		r.count("empty")
		return err
	case err != nil:
		r.count("error")
		return err
	}
	r.seen = sum
	for _, s := range skipped {
		r.log.Info("key skipped", "reason", s)
	}
	if r.issuer.accept(r.slot, keys) {
		r.log.Info("keys loaded", "keys", len(keys))
		r.count("changed")
	} else {
		r.count("unchanged")
	}
	return nil
}

// untilDue is the time until the next planned fetch.
func (r *remote) untilDue() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(0, time.Until(r.due))
}

// untilNext is untilDue in whole seconds, at least one: a Retry-After.
func (r *remote) untilNext() time.Duration {
	return max(time.Second, (r.untilDue() + time.Second - 1).Truncate(time.Second))
}

// jitter takes up to the given part off d at random, so that many replicas do
// not ask in step.
func jitter(d time.Duration, part float64) time.Duration {
	return d - time.Duration(part*rand.Float64()*float64(d)) //nolint:gosec // no secret depends on it
}
