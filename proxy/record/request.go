package record

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"

	"github.com/promfence/promfence/proxy/apierr"
)

// requestID takes the caller's X-Request-Id if it is harmless, or makes one.
func requestID(r *http.Request) string {
	if v := r.Header["X-Request-Id"]; len(v) == 1 && harmlessID(v[0]) {
		return strings.Clone(v[0])
	}
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails, by its documentation
	var text [16]byte
	base64.RawURLEncoding.Encode(text[:], b[:])
	return string(text[:])
}

// methods are those that clients of this API send.
var methods = [...]string{http.MethodGet, http.MethodPost, http.MethodHead, http.MethodOptions, http.MethodDelete}

// methodName is a method to keep: net/http's is a part of the request line, all
// of which a label, a span or a line that waits would keep.
func methodName(sent string) string {
	for _, m := range methods {
		if m == sent {
			return m
		}
	}
	return strings.Clone(apierr.Clip(sent))
}

func harmlessID(s string) bool {
	for i := range len(s) {
		if !isWord(s[i]) && s[i] != '-' && s[i] != '.' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// statusText is a metric label: a bounded set.
func statusText(status int) string {
	if status < 100 || status > 599 {
		return "other"
	}
	return strconv.Itoa(status)
}

func isWord(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
}
