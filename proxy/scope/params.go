package scope

import (
	"net/url"
	"strings"
)

// Params are a request's known parameters, decoded: those of the URL, then those of
// the body, in one list. There is no second copy that nobody narrowed. Names ending in
// [] may come many times, and Alertmanager's filter.
type Params []struct{ Name, Value string }

// A param is one of them.
type param = struct{ Name, Value string }

func multiple(name string) bool { return strings.HasSuffix(name, "[]") || name == "filter" }

// Lookup returns the first parameter of a name.
func (ps Params) Lookup(name string) (string, bool) {
	for _, p := range ps {
		if p.Name == name {
			return p.Value, true
		}
	}
	return "", false
}

// Values is the same list as the map that filters read.
func (ps Params) Values() url.Values {
	v := make(url.Values, len(ps))
	for _, p := range ps {
		v.Add(p.Name, p.Value)
	}
	return v
}

// without leaves the named parameters out: those that promfence applies itself.
func (ps Params) without(names ...string) Params {
	kept := make(Params, 0, len(ps))
next:
	for _, p := range ps {
		for _, name := range names {
			if p.Name == name {
				continue next
			}
		}
		kept = append(kept, p)
	}
	return kept
}

// encode spells the list as a query string or form, in our spelling throughout.
func (ps Params) encode() string {
	size := 0
	for _, p := range ps {
		size += escapedLen(p.Name) + escapedLen(p.Value) + len("=&")
	}
	var b strings.Builder
	b.Grow(size)
	for i, p := range ps {
		if i > 0 {
			b.WriteByte('&')
		}
		writeEscaped(&b, p.Name)
		b.WriteByte('=')
		writeEscaped(&b, p.Value)
	}
	return b.String()
}

// unreserved are the bytes that stand for themselves (RFC 3986, section 2.3).
var unreserved = func() (set [256]bool) {
	for c := range set {
		set[c] = '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.IndexByte("-._~", byte(c)) >= 0
	}
	return set
}()

// escapedLen is the length of what writeEscaped writes.
func escapedLen(s string) int {
	n := len(s)
	for i := range len(s) {
		if !unreserved[s[i]] && s[i] != ' ' {
			n += len("%XX") - 1
		}
	}
	return n
}

// writeEscaped spells s as url.QueryEscape does.
func writeEscaped(b *strings.Builder, s string) {
	const hex = "0123456789ABCDEF"
	from := 0
	for i := range len(s) {
		c := s[i]
		if unreserved[c] {
			continue
		}
		b.WriteString(s[from:i])
		from = i + 1
		if c == ' ' {
			b.WriteByte('+')
		} else {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	b.WriteString(s[from:])
}
