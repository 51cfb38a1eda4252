// Package cors tells browsers which pages may read an answer.
//
// It stops one threat: a page of an origin that the settings do not name, and that
// reads in its visitor's browser what the visitor may see. Only origins that the
// settings name are allowed; a star in them stands for one label of a host name. A
// preflight carries no token and is answered from the settings alone.
//
// The data are protected by the token and not by this package: a browser never sends a
// bearer token by itself, and a program that is no browser ignores these headers.
package cors

import (
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/promfence/promfence/auth/policy"
)

// A Policy says which pages may read answers. The zero value allows none.
type Policy struct {
	all     bool
	origins []string
	headers []string
	methods []string
}

// New makes a Policy of these origins, "*" being all, whose pages may send tokens in
// these headers, and end silences where they are written.
func New(origins, tokenHeaders []string, writes bool) Policy {
	headers := slices.Concat([]string{"Accept", "Content-Type", "X-Request-Id", policy.PolicyHeader, policy.TenantHeader}, tokenHeaders)
	c := Policy{all: slices.Contains(origins, "*"), origins: origins, headers: []string{strings.Join(headers, ", ")}, methods: allowedMethod}
	if writes {
		c.methods = []string{allowedMethod[0] + ", DELETE"}
	}
	return c
}

var (
	anyOrigin     = []string{"*"}
	exposed       = []string{"X-Request-Id, Retry-After, Date"}
	allowedMethod = []string{"GET, POST, HEAD, OPTIONS"}
	aDay          = []string{"86400"}
)

// Allow adds the headers for the request's origin.
func (c Policy) Allow(h http.Header, origin string) {
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

func (c Policy) allows(origin string) bool {
	return c.all || slices.ContainsFunc(c.origins, func(o string) bool { return o == origin || oneBelow(o, origin) })
}

// oneBelow reports whether the origin is that of a host which stands exactly one
// label below the pattern's, such as https://*.example.com.
func oneBelow(pattern, origin string) bool {
	scheme, host, starred := strings.Cut(pattern, "*.")
	rest, sameScheme := strings.CutPrefix(origin, scheme)
	label, sameHost := strings.CutSuffix(rest, "."+host)
	return starred && sameScheme && sameHost && label != "" && !strings.ContainsFunc(label, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_'
	})
}

// Preflight answers a browser's question, which carries no token, and reports
// whether it was one.
func (c Policy) Preflight(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if r.Method != http.MethodOptions || origin == "" || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	if h := w.Header(); c.allows(origin) {
		h["Access-Control-Allow-Methods"] = c.methods
		h["Access-Control-Allow-Headers"] = c.headers
		if asked, ok := askedHeaders(r.Header); ok {
			h["Access-Control-Allow-Headers"] = []string{asked}
		}
		h["Access-Control-Max-Age"] = aDay
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

const (
	maxAskedHeaders = 100     // tracing libraries add some ten
	maxAskedBytes   = 4 << 10 // of their names together
)

// askedHeaders spells the names of the headers that a page wants to send. A page
// may send any: what a caller sends proves nothing, and what we do not know is not
// forwarded. Tracing libraries add theirs to every call.
func askedHeaders(h http.Header) (string, bool) {
	lines := h["Access-Control-Request-Headers"]
	if len(lines) != 1 || len(lines[0]) > maxAskedBytes || strings.Count(lines[0], ",") >= maxAskedHeaders {
		return "", false
	}
	names := strings.Split(lines[0], ",")
	for i := range names {
		names[i] = strings.Trim(names[i], " \t")
		if !httpguts.ValidHeaderFieldName(names[i]) {
			return "", false
		}
	}
	return strings.Join(names, ", "), true
}
