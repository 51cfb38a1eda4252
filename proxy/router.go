package proxy

import (
	"cmp"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/silence"
)

// A router finds a request's row by its path as it stands on the wire: an
// escape in a fixed segment, a trailing or double slash, a dot segment make it
// another path, which does not exist.
type router struct {
	fixed    map[string][]*Route // those of one path have different methods
	wildcard []wildcard
}

// A wildcard is a path with one label name, or the id of a silence, in it.
type wildcard struct {
	before, after string // the name
	row           *Route
}

// newRouter knows Alertmanager's rows only if there is one.
func newRouter(rows []*Route, alerting bool) *router {
	t := &router{fixed: make(map[string][]*Route, 2*len(rows))}
	for _, row := range rows {
		if row.Alerting() && !alerting {
			continue
		}
		for _, path := range []string{row.full, row.alias} {
			if before, after, found := strings.Cut(wildcards.Replace(path), "\x00"); found {
				t.wildcard = append(t.wildcard, wildcard{before, after, row})
			} else if path != "" {
				t.fixed[path] = append(t.fixed[path], row)
			}
		}
	}
	return t
}

// find returns the row and, where the row has one, the label name or the silence in
// the path.
func (t *router) find(r *http.Request) (*Route, string, error) {
	path := wirePath(r)
	rows, raw := t.fixed[path], ""
	if rows == nil {
		if rows, raw = t.match(path); rows == nil {
			return nil, "", noEndpoint(path)
		}
	}
	i := slices.IndexFunc(rows, func(row *Route) bool { return slices.Contains(row.Methods, r.Method) })
	if i < 0 && rows[0].Alerting() { // whoever sends alerts must find nothing to send them to
		return nil, "", noEndpoint(path)
	}
	if i < 0 {
		var methods []string
		for _, row := range rows {
			methods = append(methods, row.Methods...)
		}
		e := apierr.New(http.StatusMethodNotAllowed, "method %s is not served here, only %s", apierr.Clip(r.Method), strings.Join(methods, " and "))
		e.Allow = methods
		return rows[0], "", e
	}
	name, err := rows[i].segment(raw)
	if err != nil {
		return nil, "", err
	}
	return rows[i], name, nil
}

// segment reads what stands in the place of a wildcard.
func (r *Route) segment(raw string) (string, error) {
	switch {
	case raw == "":
		return "", nil
	case !r.Alerting():
		return labelName(raw)
	case !silence.ValidID(raw):
		return "", silence.NotFound()
	}
	return raw, nil
}

// noEndpoint says what is wrong with a path that a datasource's URL often makes, by
// ending in a slash.
func noEndpoint(path string) error {
	if strings.Contains(path, "//") {
		return apierr.New(http.StatusNotFound, "no such endpoint: write one slash where the path has two")
	}
	return apierr.New(http.StatusNotFound, "no such endpoint: promfence serves the query API only; see /docs")
}

func (t *router) match(path string) (rows []*Route, segment string) {
	for _, w := range t.wildcard {
		rest, ok := strings.CutPrefix(path, w.before)
		if !ok {
			continue
		}
		if name, ok := strings.CutSuffix(rest, w.after); ok && pathSegment(name) {
			rows, segment = append(rows, w.row), name
		}
	}
	return rows, segment
}

// wirePath is a request's path as it came. URL.EscapedPath would escape a path
// anew that holds a byte which should have been escaped, and hide the others.
func wirePath(r *http.Request) string { return cmp.Or(r.URL.RawPath, r.URL.EscapedPath()) }

// maxUnescapes is how many hops that decode a path are reckoned with.
const maxUnescapes = 3

var validEscape = regexp.MustCompile("%[0-9A-Fa-f]{2}")

// pathSegment tells one segment from a path that only looks like one to some
// hop: separators and dots, plain or escaped, even twice. What is no escape
// stands for itself and ends nothing: a hop may well decode the others.
func pathSegment(s string) bool {
	for range maxUnescapes {
		if s == "" || s == "." || s == ".." || strings.ContainsAny(s, `/\`) {
			return false
		}
		next := validEscape.ReplaceAllStringFunc(s, unescaped)
		if next == s {
			return true
		}
		s = next
	}
	return false
}

func unescaped(escape string) string {
	s, err := url.PathUnescape(escape)
	if err != nil { // it matched validEscape
		panic(err)
	}
	return s
}

// labelName decodes the label name in a path, to be spelled again by us. Every
// name that Prometheus takes is taken: UTF-8, and the U__ form as it stands.
func labelName(raw string) (string, error) {
	name, err := url.PathUnescape(raw)
	if err != nil || name == "" || !utf8.ValidString(name) {
		return "", apierr.BadData("invalid label name in the path: want UTF-8, percent-encoded, or the U__ form")
	}
	return name, nil
}
