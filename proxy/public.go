package proxy

import (
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/promfence/promfence/proxy/apierr"
)

// publicPaths need no token.
var publicPaths = map[string]bool{"/-/healthy": true, "/-/ready": true, "/docs": true, "/openapi.yaml": true, "/console": true}

// PublicEndpoints yields the method and path of everything that needs no token.
func PublicEndpoints() iter.Seq2[string, string] {
	return func(yield func(method, path string) bool) {
		for path := range publicPaths {
			if !yield(http.MethodGet, path) || !yield(http.MethodHead, path) {
				return
			}
		}
	}
}

// public answers the pages that need no token, and reports whether it did.
func (p *Proxy) public(x *exchange, r *http.Request) (served bool, err error) {
	path := wirePath(r)
	pages, name := p.pages(path)
	if !publicPaths[path] && pages == nil {
		return false, nil
	}
	x.asks(publicRoute(path, name))
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		e := apierr.New(http.StatusMethodNotAllowed, "only GET and HEAD are served here")
		e.Allow = []string{http.MethodGet, http.MethodHead}
		return true, e
	case pages != nil:
		x.route.static = true
		pages.ServeHTTP(x, r)
		return true, nil
	}
	return true, p.health(x, path)
}

// pages returns what serves the static files at a path, and the page that they
// belong to; nil for what is no such path, or is not part of this promfence.
func (p *Proxy) pages(path string) (http.Handler, string) {
	switch {
	case path == "/openapi.yaml" || path == "/docs" || strings.HasPrefix(path, "/docs/"):
		return p.docs, "/docs"
	case path == "/console" || strings.HasPrefix(path, "/console/"):
		return p.console, "/console"
	}
	return nil, ""
}

// publicRoute is the row of a public page, or of the pages that it belongs to.
// Its name is ours and no part of the request, which a metric's label would keep.
func publicRoute(path, pages string) *Route {
	for known := range publicPaths {
		if known == path {
			return &Route{full: known}
		}
	}
	return &Route{full: pages} // what a stranger writes below it is no metric's label
}

func (p *Proxy) health(x *exchange, path string) error {
	switch path {
	case "/-/healthy":
	case "/-/ready":
		if err := p.Ready(); err != nil {
			return err
		}
	case "/console":
		return apierr.New(http.StatusNotFound, "the console is off; console.enabled turns it on")
	default: // /docs and /openapi.yaml of a build without them
		return apierr.New(http.StatusNotFound, "this promfence serves no documentation")
	}
	x.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := x.Write([]byte("promfence is " + strings.TrimPrefix(path, "/-/") + ".\n"))
	if err != nil {
		return apierr.Internal(err)
	}
	return nil
}

// Ready says why requests should go elsewhere, or nil. It depends on our keys
// and on draining, never on the upstream.
func (p *Proxy) Ready() error {
	if p.draining.Load() {
		return apierr.New(http.StatusServiceUnavailable, "promfence is shutting down")
	}
	if err := p.ready(); err != nil {
		e := apierr.New(http.StatusServiceUnavailable, "promfence has no keys to verify tokens with yet")
		e.Err, e.RetryAfter = err, time.Second
		return e
	}
	return nil
}

// Drain makes readiness fail while requests are still served, so that balancers
// look elsewhere before the listener closes.
func (p *Proxy) Drain() { p.draining.Store(true) }
