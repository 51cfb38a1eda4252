package config

import (
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"
)

// The checks of the rows in Settings. Each takes a value of the row's type and
// says what was expected, or "". None of them repeats the value.

func address(v any) string {
	const want = "want host:port with a port of 0 to 65535, such as :8080"
	_, port, err := net.SplitHostPort(v.(string))
	if err != nil || strings.ContainsFunc(v.(string), unicode.IsSpace) {
		return want
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return want
	}
	return ""
}

func adminAddress(v any) string {
	if v == "off" {
		return ""
	}
	if want := address(v); want != "" {
		return want + ", or off"
	}
	return ""
}

func positive(v any) string {
	switch v := v.(type) {
	case int:
		if v <= 0 {
			return "want a number above 0"
		}
	case time.Duration:
		if v <= 0 {
			return "want a duration above 0s"
		}
	}
	return ""
}

func nonEmpty(v any) string {
	if len(v.([]string)) == 0 {
		return "want at least one"
	}
	return ""
}

// depth has a ceiling: the parser is recursive, and a stack that overflows
// takes the process along.
func depth(v any) string {
	if n := v.(int); n < 1 || n > 1000 {
		return "want a number of 1 to 1000"
	}
	return ""
}

// notNegative is for numbers; no duration can be written with a sign.
func notNegative(v any) string {
	if n, ok := v.(int); ok && n < 0 {
		return "want a number of 0 or more"
	}
	return ""
}

// httpURL is what the URLs that promfence asks have in common.
// Credentials do not belong into a URL: it is logged, and the settings are printed.
func httpURL(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return "want http://host or https://host"
	case u.User != nil:
		return "want a URL without user name and password"
	case strings.Contains(s, "#"):
		return "want a URL without #fragment"
	}
	if _, err := strconv.ParseUint(u.Port(), 10, 16); err != nil && u.Port() != "" {
		return "want a port of 0 to 65535"
	}
	return ""
}

func upstreamURL(v any) string {
	s := v.(string)
	if strings.HasPrefix(s, "unix:") {
		return socketURL(s)
	}
	return collectorURL(v)
}

// maxSocketPath is what an address of a Unix socket holds, by unix(7).
const maxSocketPath = 107

// socketURL takes the path of a Unix socket. It has no prefix: where would it begin?
func socketURL(s string) string {
	path, ok := strings.CutPrefix(s, "unix://")
	switch {
	case !ok || !strings.HasPrefix(path, "/") || path == "/" || path != filepath.Clean(path):
		return "want unix:///path/to.sock, an absolute path without //, . and .."
	case strings.ContainsAny(path, `?#%\`):
		return "want a socket's path without ?, #, % and \\"
	case len(path) > maxSocketPath:
		return "want a socket's path of at most 107 bytes"
	}
	return ""
}

func collectorURL(v any) string {
	s := v.(string)
	if want := httpURL(s); want != "" {
		return want
	}
	// Our paths are appended to the prefix: one that an upstream could read in
	// another way than we do would make every route mean something else.
	u, _ := url.Parse(s)
	segments := strings.Split(strings.TrimSuffix(u.Path, "/"), "/")
	switch {
	case strings.ContainsFunc(u.Host, func(c rune) bool { return c >= utf8.RuneSelf }):
		return "want a host in ASCII, as xn--… if need be"
	case strings.Contains(s, "?"):
		return "want a URL without ?query"
	case u.Path != "" && slices.Contains(segments[1:], ""), slices.Contains(segments, "."), slices.Contains(segments, ".."), u.RawPath != "", strings.ContainsAny(s, `%\`):
		return "want a plain path without escapes, //, . and .."
	}
	return ""
}

// plain takes any text; blanks at its ends were refused before.
func plain(v any) string {
	if v == "" {
		return "want a name"
	}
	return ""
}

// networks takes CIDRs, of which the bits beyond the prefix are zero: others are more
// often an address whose network is not meant.
func networks(v any) string {
	for _, s := range v.([]string) {
		if n, err := netip.ParsePrefix(s); err != nil || n != n.Masked() {
			return "want networks such as 10.0.0.0/8, or 10.1.2.3/32 for one address"
		}
	}
	return ""
}

func oneOf(names ...string) func(any) string {
	return func(v any) string {
		if slices.Contains(names, v.(string)) {
			return ""
		}
		return "want " + strings.Join(names, " or ")
	}
}

func header(v any) string {
	// A caller's own wish to see less must not become the upstream's tenant.
	if strings.HasPrefix(strings.ToLower(v.(string)), "x-promfence-") {
		return "want a header that does not begin with X-Promfence-"
	}
	if !httpguts.ValidHeaderFieldName(v.(string)) {
		return "want the name of an HTTP header"
	}
	return ""
}

// labelName takes what every version of Prometheus takes as a label: the newer
// UTF-8 names would have to be quoted differently from place to place.
func labelName(v any) string {
	s := v.(string)
	const want = "want a label name of letters, digits and _ that does not begin with a digit"
	if s == "" || s[0] >= '0' && s[0] <= '9' {
		return want
	}
	for _, c := range s {
		if c > unicode.MaxASCII || c != '_' && !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			return want
		}
	}
	if s == "__name__" {
		return "want a label other than the metric's name"
	}
	return ""
}

// origins takes what a browser sends as Origin (RFC 6454, section 6.2), but not
// "null": sandboxed pages of anybody send that. A star stands for one whole label,
// the first of a host.
func origins(v any) string {
	list := v.([]string)
	for _, o := range list {
		if o == "*" && len(list) == 1 {
			continue
		}
		scheme, host, _ := strings.Cut(o, "://*.")
		if host != "" && !strings.ContainsAny(scheme+host, "*") {
			o = scheme + "://any." + host
		}
		u, err := url.Parse(o)
		switch {
		case strings.Contains(o, "*"):
			return "want * alone, or in the place of a host's first label, such as https://*.example.com"
		case err == nil && (u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80"):
			return "want origins as browsers send them, without the port that their scheme implies"
		case err != nil || u.Scheme == "" || u.Host == "" || o != strings.ToLower(u.Scheme+"://"+u.Host):
			return "want origins such as https://host or https://host:port in lower case, or * alone"
		}
	}
	return ""
}
