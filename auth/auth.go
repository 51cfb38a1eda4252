// Package auth turns a request's bearer token into an identity.
//
// It stops one threat: a caller reading another tenant's data with a token that
// is unsigned, forged, expired, meant for someone else, or silent about its
// tenant. Its rules:
//
//   - A token is believed only after a key of the issuer that it names, fetched
//     or read from where the operator said, has verified it. Keys, URLs and
//     certificates inside of a token are not looked at.
//   - A key verifies the algorithm that it was published for and no other.
//   - iss, aud and exp are required, nbf and iat are honored. What two readers
//     could read in two ways (duplicate members, odd base64, other cases of a
//     name) is refused.
//   - One request has one credential, and nothing rescues a bad one.
//   - A tenant is a name in the token, byte for byte. There is no default
//     tenant and no wildcard; all tenants are a policy that says so, for an issuer
//     that may.
//   - A header by which a caller asks for less is understood or the request is
//     refused, because one that was lost would show more.
//   - When an issuer's keys cannot be fetched, those we have stay; when there never
//     were any, nobody gets in with its tokens. Other issuers do not notice.
//
// The package decides and never writes an answer; [Error] holds what to say.
package auth

import (
	"context"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"time"
)

// An Authenticator proves who is calling. It is safe for concurrent use, and a
// [github.com/prometheus/client_golang/prometheus.Collector] of its metrics.
type Authenticator struct {
	options Options
	headers []string // canonical
	issuers []*issuer
	cache   *cache
	metrics metrics
	reading sync.Mutex // of files
}

// New checks all options, reads the files that they name, and reports all mistakes
// at once, as [OptionErrors]. It does not use the network: keys to be fetched come
// with [Authenticator.Run].
func New(o Options) (*Authenticator, error) {
	o, settings := o.withDefaults()
	errs := append(o.check(), checkOverlap(settings)...)
	a := &Authenticator{metrics: newMetrics()}
	for _, h := range o.TokenHeaders {
		a.headers = append(a.headers, textproto.CanonicalMIMEHeaderKey(h))
	}
	for _, set := range settings {
		wrong := set.check()
		if len(wrong) == 0 {
			var is *issuer
			is, wrong = newIssuer(set, o)
			a.add(is)
		}
		errs = append(errs, wrong...)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	o.Previous = nil // or every one before would stay in memory
	a.options = o
	var err error
	if a.cache, err = newCache(o.CacheSize); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *Authenticator) add(is *issuer) {
	a.issuers = append(a.issuers, is)
	if is.remote == nil {
		return
	}
	is.remote.count = func(outcome string) {
		a.metrics.refreshes.WithLabelValues(is.name, outcome).Inc()
	}
	for _, outcome := range []string{"changed", "unchanged", "empty", "error"} {
		a.metrics.refreshes.WithLabelValues(is.name, outcome) // exists before it happens
	}
}

// Run fetches keys and keeps them fresh until ctx ends, and returns nil when all
// that it started has ended. Call it once.
func (a *Authenticator) Run(ctx context.Context) error {
	a.warn()
	var wg sync.WaitGroup
	for _, is := range a.issuers {
		if is.remote != nil {
			wg.Go(func() { is.remote.run(ctx) })
		}
	}
	<-ctx.Done()
	wg.Wait()
	return nil
}

// ReadFiles reads the files that the options name again. Whoever watches them
// calls it when one has changed.
func (a *Authenticator) ReadFiles() {
	a.reading.Lock()
	defer a.reading.Unlock()
	for _, is := range a.issuers {
		for _, f := range is.files {
			f.reload()
		}
		if is.remote != nil {
			is.remote.readFiles()
		}
	}
}

// warn says at every start what the settings weaken.
func (a *Authenticator) warn() {
	if a.options.Policies != nil {
		for _, name := range a.options.Policies.AllTenants() {
			a.options.Logger.Warn("a policy grants all tenants", "policy", name)
		}
	}
	for _, o := range a.options.allIssuers() {
		if o.InsecureAnyAudience {
			a.options.Logger.Warn("insecure_any_audience is on: tokens meant for other services are accepted", "issuer", o.Issuer)
		}
		from := o.JWKSURL
		if !o.hasKeySource() {
			from = o.Issuer
		}
		if from != "" && !isPrivateWay(from) {
			a.options.Logger.Warn("keys are fetched over plain http: whoever is on the way can replace them", "issuer", o.Issuer, "url", withoutQuery(from))
		}
	}
}

// Ready returns nil once every issuer has been asked for its keys and at least one
// has given some: a provider that is down must not keep the callers of others
// waiting. It does not change back, since keys stay through an outage.
func (a *Authenticator) Ready() error {
	for _, is := range a.issuers {
		if !is.tried() {
			return fmt.Errorf("no answer yet from the issuer %q", is.name)
		}
	}
	if without := a.Without(); len(without) == len(a.issuers) {
		return fmt.Errorf("no keys yet of %q", without)
	}
	return nil
}

// Without names the issuers that have given no keys yet: their tokens are refused
// as [Unavailable].
func (a *Authenticator) Without() (issuers []string) {
	for _, is := range a.issuers {
		if is.keys.Load() == nil {
			issuers = append(issuers, is.name)
		}
	}
	return issuers
}

// Lacks names the issuers for whose keys whoever replaces previous has to wait:
// those of whose sources not each has given keys, though their tokens could be
// verified no worse before. A new issuer waits for itself only, but for the case
// that nobody has keys any more.
func (a *Authenticator) Lacks(previous *Authenticator) (issuers []string) {
	for _, is := range a.issuers {
		better := func(p *issuer) bool {
			return p.sharesTokens(is) && (p.complete() || p.keys.Load() != nil && is.keys.Load() == nil)
		}
		if !is.complete() && slices.ContainsFunc(previous.issuers, better) {
			issuers = append(issuers, is.name)
		}
	}
	if without := a.Without(); len(issuers) == 0 && len(without) == len(a.issuers) && len(previous.Without()) < len(previous.issuers) {
		return without
	}
	return issuers
}

// Authenticate returns whom the request comes from, and what they may see of it.
// Every error is an [*Error].
func (a *Authenticator) Authenticate(r *http.Request) (Identity, error) {
	raw, refusal := credential(r.Header, a.headers)
	if refusal != nil {
		return Identity{}, refusal
	}
	n, wrong := narrowing(r.Header, a.options.MaxTenants)
	key := cacheKey(raw, n)
	id, ok := a.cache.get(key, time.Now())
	if ok {
		a.metrics.hits.Inc()
	} else {
		a.metrics.misses.Inc()
		v, claims, refusal := a.verify(r.Context(), raw)
		if refusal != nil {
			return Identity{}, refusal
		}
		if wrong == nil {
			wrong = a.decide(&v.id, v.issuer, claims, n)
		}
		if id = v.id; wrong == nil {
			a.cache.add(key, v)
		}
	}
	if wrong != nil { // said only to who has shown a good token
		wrong.Subject, wrong.Issuer = id.Subject, id.Issuer
		return Identity{}, wrong
	}
	return id, nil
}

// verify is the way of a token that we have not seen before. The claims that it
// returns are the issuer's own words.
func (a *Authenticator) verify(ctx context.Context, raw string) (*verified, object, *Error) {
	t, err := parse(raw)
	if err != nil {
		return nil, nil, refuse(Malformed, "the token is not well formed: %v", err)
	}
	is, refusal := choose(a.issuers, t.claims)
	if refusal != nil {
		return nil, nil, refusal
	}
	keys, refusal := is.verify(ctx, t)
	if refusal != nil {
		return nil, nil, refusal
	}
	exp, refusal := t.claims.checkTimes(time.Now(), a.options.Leeway)
	if refusal != nil {
		return nil, nil, refusal
	}
	subject, ok := t.claims.text("sub")
	if _, present := t.claims["sub"]; present && !ok {
		return nil, nil, refuse(Malformed, "the token's sub is not a string")
	}
	return &verified{id: Identity{Subject: clip(subject), Issuer: is.name, Expires: exp}, issuer: is, keys: keys}, t.claims, nil
}

// clip bounds what the cache keeps of a subject: OpenID Connect allows 255 bytes,
// a token has room for thousands. It serves the log only.
func clip(subject string) string {
	const most = 255
	return strings.Clone(strings.ToValidUTF8(subject[:min(len(subject), most)], ""))
}
