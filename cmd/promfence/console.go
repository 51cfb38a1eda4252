package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/promfence/promfence/config"
	"github.com/promfence/promfence/openapi"
)

const (
	providerTimeout = 2 * time.Second  // for the provider's discovery document
	providerRetry   = 30 * time.Second // after one that failed
	providerKept    = time.Hour
	providerBytes   = 1 << 20
)

// newConsole makes the page at /console, or nil where it is off.
func newConsole(c config.Console) http.Handler {
	if !c.Enabled {
		return nil
	}
	p := &provider{issuer: c.Issuer, client: &http.Client{Timeout: providerTimeout}}
	return openapi.Console(openapi.SignIn{ClientID: c.ClientID, Scopes: c.Scopes, Issuer: c.Issuer, Endpoints: p.endpoints})
}

// A provider knows where the console's users sign in. It is asked when the page
// is, at most once in 30 seconds while it fails and once an hour otherwise.
type provider struct {
	issuer string
	client *http.Client

	mu    sync.Mutex
	known []string
	next  time.Time // when it is asked again
}

// endpoints returns the provider's token and key endpoints, as far as they are
// known.
func (p *provider) endpoints() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.After(p.next) {
		p.next = now.Add(providerRetry)
		if found := p.discover(); found != nil {
			p.known, p.next = found, now.Add(providerKept)
		}
	}
	return p.known
}

// discover reads the discovery document (OpenID Connect Discovery 1.0, section 4).
func (p *provider) discover() []string {
	ctx, cancel := context.WithTimeout(context.Background(), providerTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(p.issuer, "/")+"/.well-known/openid-configuration", nil)
	if err != nil {
		return nil
	}
	resp, err := p.client.Do(r)
	if err != nil {
		return nil
	}
	defer func() { _ = resp.Body.Close() }() // it was read as far as it counts
	var document struct {
		Issuer        string `json:"issuer"`
		TokenEndpoint string `json:"token_endpoint"`
		JWKSURI       string `json:"jwks_uri"`
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, providerBytes)).Decode(&document)
	if err != nil || resp.StatusCode != http.StatusOK || document.Issuer != p.issuer {
		return nil
	}
	return []string{document.TokenEndpoint, document.JWKSURI}
}
