package proxy

import (
	"net/http"
	"slices"
	"strings"
)

// cors tells browsers which pages may read answers. That is no protection of
// the data, which the token is: a bearer token is never ambient.
type cors struct {
	all     bool
	origins []string
	headers []string
}

func newCORS(origins, tokenHeaders []string) cors {
	headers := slices.Concat([]string{"Accept", "Content-Type", "X-Request-Id"}, tokenHeaders)
	return cors{all: slices.Contains(origins, "*"), origins: origins, headers: []string{strings.Join(headers, ", ")}}
}

var (
	anyOrigin     = []string{"*"}
	exposed       = []string{"X-Request-Id, Retry-After, Date"}
	allowedMethod = []string{"GET, POST, HEAD, OPTIONS"}
	aDay          = []string{"86400"}
)

// allow adds the headers for the request's origin.
func (c cors) allow(h http.Header, origin string) {
	if !c.all && len(c.origins) > 0 {
		h["Vary"] = append(slices.Clone(h["Vary"]), "Origin")
	}
	switch {
	case c.all:
		h["Access-Control-Allow-Origin"] = anyOrigin
	case c.allows(origin):
		h["Access-Control-Allow-Origin"] = []string{origin}
	default:
		return
	}
	if origin != "" { // only a page's script cares which it may read
		h["Access-Control-Expose-Headers"] = exposed
	}
}

func (c cors) allows(origin string) bool { return c.all || slices.Contains(c.origins, origin) }

// preflight answers a browser's question, which carries no token, and reports
// whether it was one.
func (c cors) preflight(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if r.Method != http.MethodOptions || origin == "" || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	if h := w.Header(); c.allows(origin) {
		h["Access-Control-Allow-Methods"] = allowedMethod
		h["Access-Control-Allow-Headers"] = c.headers
		h["Access-Control-Max-Age"] = aDay
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}
