package auth

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// A Probe is what one issuer's keys are when they are asked for.
type Probe struct {
	Issuer     string
	At         string   // where its settings stand in [Options]: "" or "Issuers[1]."
	URL        string   // where keys came from, without its query; "" = from files alone
	Keys       int      // usable, of all sources
	Algorithms []string // which these keys verify
	Skipped    []string // why each of the other published keys is not used
	Err        error    // why its server gave no key
}

// Probe asks each issuer's server once, all at the same time, and keeps nothing of
// the answers. It is for an Authenticator that does not run.
func (a *Authenticator) Probe(ctx context.Context) []Probe {
	all := make([]Probe, len(a.issuers))
	var wg sync.WaitGroup
	for i, is := range a.issuers {
		wg.Go(func() { all[i] = is.probe(ctx) })
	}
	wg.Wait()
	for i, set := range a.options.allIssuers() {
		all[i].At = set.at
	}
	return all
}

func (is *issuer) probe(ctx context.Context) Probe {
	p := Probe{Issuer: is.name}
	is.mu.Lock()
	keys := slices.Concat(is.parts...)
	is.mu.Unlock()
	if is.remote != nil {
		found, skipped, err := is.remote.ask(ctx)
		if keys, p.Err = append(keys, found...), err; err != nil {
			keys = nil
		}
		p.URL = withoutQuery(is.remote.fetcher.jwksURL)
		for _, s := range skipped {
			p.Skipped = append(p.Skipped, s.Error())
		}
	}
	p.Keys = len(keys)
	for _, k := range keys {
		p.Algorithms = append(p.Algorithms, k.algs...)
	}
	slices.Sort(p.Algorithms)
	p.Algorithms = slices.Compact(p.Algorithms)
	return p
}

// ask fetches the key set once, without a place for it.
func (r *remote) ask(ctx context.Context) (keys []verifyKey, skipped []error, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	body, err := r.fetcher.keys(ctx)
	if err != nil {
		return nil, nil, err
	}
	return parseJWKS(body, r.issuer.algs)
}

// Endpoints are what a provider's discovery document says of its servers. Nobody
// has looked at these URLs.
type Endpoints struct{ Token, Keys string }

// Discover reads the discovery document of one of the issuers, as it is asked for
// keys: with the authorities and the bearer token of its settings.
func (a *Authenticator) Discover(ctx context.Context, name string) (Endpoints, error) {
	i := slices.IndexFunc(a.issuers, func(is *issuer) bool { return is.name == name && is.remote != nil })
	f := fetcher{access: access{client: a.options.HTTPClient}, issuer: name}
	switch {
	case i >= 0:
		f.access = a.issuers[i].remote.fetcher.access
	case !slices.ContainsFunc(a.issuers, func(is *issuer) bool { return is.name == name }):
		return Endpoints{}, fmt.Errorf("no issuer %s", quote(name))
	}
	doc, err := f.document(ctx)
	if err != nil {
		return Endpoints{}, err
	}
	var e Endpoints
	e.Token, _ = doc.text("token_endpoint")
	e.Keys, _ = doc.text("jwks_uri")
	return e, nil
}
