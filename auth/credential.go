package auth

import (
	"net/http"
	"strings"
)

// credential returns the token in the first of the configured headers that the
// request has. That one is the caller's word: if it is bad the request is
// refused, and a later header never rescues it. Otherwise a caller who can set
// one of the headers could choose which of two identities counts.
func credential(h http.Header, names []string) (string, *Error) {
	for _, name := range names {
		lines, present := h[name]
		if !present {
			continue
		}
		// With two lines, a balancer before us could have checked the other.
		if len(lines) != 1 {
			return "", refuse(Malformed, "the header %s comes %d times, want one", name, len(lines))
		}
		token, bearer := cutBearer(lines[0])
		if !bearer && name == "Authorization" {
			return "", refuse(Malformed, "want the header Authorization: Bearer <token>")
		}
		switch {
		case token == "":
			return "", refuse(Malformed, "the header %s holds no token", name)
		case len(token) > maxTokenBytes:
			return "", refuse(Malformed, "the token is longer than %d bytes", maxTokenBytes)
		}
		return token, nil
	}
	return "", refuse(Missing, "want a token in the header %s", strings.Join(names, " or "))
}

// cutBearer cuts the scheme, in any case, and the spaces after it (RFC 6750
// section 2.1). Headers other than Authorization carry the bare token.
func cutBearer(s string) (string, bool) {
	const scheme = "bearer"
	if len(s) < len(scheme) {
		return s, false
	}
	for i := range len(scheme) {
		if s[i]|0x20 != scheme[i] {
			return s, false
		}
	}
	rest := s[len(scheme):]
	if rest != "" && rest[0] != ' ' {
		return s, false
	}
	for rest != "" && rest[0] == ' ' {
		rest = rest[1:]
	}
	return rest, true
}
