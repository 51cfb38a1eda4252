package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/config"
	"github.com/promfence/promfence/openapi"
)

const (
	providerTimeout = 2 * time.Second  // for the provider's discovery document
	providerRetry   = 30 * time.Second // after one that failed
	providerKept    = time.Hour
)

// newConsole makes the page at /console, or nil where it is off. The provider is
// asked as it is asked for keys: with the authorities that auth.ca_file names.
func newConsole(c config.Console, keys *auth.Authenticator) http.Handler {
	if !c.Enabled {
		return nil
	}
	p := &provider{issuer: c.Issuer, discover: keys.Discover}
	return openapi.Console(openapi.SignIn{ClientID: c.ClientID, Scopes: c.Scopes, Issuer: c.Issuer, Endpoints: p.endpoints})
}

// A provider knows where the console's users sign in. It is asked when the page
// is, at most once in 30 seconds while it fails and once an hour otherwise.
type provider struct {
	issuer   string
	discover func(ctx context.Context, issuer string) (auth.Endpoints, error)

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
		ctx, cancel := context.WithTimeout(context.Background(), providerTimeout)
		defer cancel()
		if found, err := p.discover(ctx, p.issuer); err == nil {
			p.known, p.next = []string{found.Token, found.Keys}, now.Add(providerKept)
		}
	}
	return p.known
}
