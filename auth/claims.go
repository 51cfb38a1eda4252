package auth

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/promfence/promfence/auth/policy"
)

// maxDate is the last second of the year 9999. Greater numbers are more often
// milliseconds or an attack on an integer conversion than a date.
const maxDate = 253402300799

// numericDate reads seconds since 1970 (RFC 7519 section 2), fractions allowed.
func (o object) numericDate(name string) (seconds float64, ok bool) {
	v := o[name]
	if v.Kind() != '0' {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(v), 64)
	return f, err == nil && f >= 0 && f <= maxDate
}

// checkTimes holds exp, nbf and iat against the clock and returns exp. A
// fraction of a second always counts against the token.
func (o object) checkTimes(now time.Time, leeway time.Duration) (time.Time, *Error) {
	if _, present := o["exp"]; !present {
		return time.Time{}, refuse(Malformed, "the token has no exp: it must say when it expires")
	}
	f, ok := o.numericDate("exp")
	if !ok {
		return time.Time{}, refuse(Malformed, "the token's exp is not a date in seconds since 1970")
	}
	exp := time.Unix(int64(math.Floor(f)), 0)
	if !now.Before(exp.Add(leeway)) {
		return time.Time{}, refuse(Expired, "the token expired %s ago", span(now.Sub(exp)))
	}
	for _, name := range []string{"nbf", "iat"} {
		if _, present := o[name]; !present {
			continue
		}
		f, ok := o.numericDate(name)
		if !ok {
			return time.Time{}, refuse(Malformed, "the token's %s is not a date in seconds since 1970", name)
		}
		if from := time.Unix(int64(math.Ceil(f)), 0); now.Add(leeway).Before(from) {
			return time.Time{}, refuse(NotYetValid, "the token is not valid yet: its %s is %s ahead of our clock", name, span(from.Sub(now)))
		}
	}
	return exp, nil
}

// span writes a duration for a person: 5m, not 5m0s.
func span(d time.Duration) string {
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// audience returns whom a token is meant for: one string or an array of them.
func audience(claims object, at policy.Path) ([]string, bool) {
	v, present := at.Lookup(policy.Claims(claims))
	if !present {
		return nil, true
	}
	if s, ok := text(v); ok {
		return []string{s}, true
	}
	return texts(v)
}

// texts reads an array that holds nothing but strings.
func texts(v jsontext.Value) ([]string, bool) {
	var vs []jsontext.Value
	if v.Kind() != '[' || json.Unmarshal(v, &vs) != nil {
		return nil, false
	}
	ss := make([]string, len(vs))
	for i, v := range vs {
		var ok bool
		if ss[i], ok = text(v); !ok {
			return nil, false
		}
	}
	return ss, true
}

// A tenantRule finds the tenants in a verified token's claims.
type tenantRule struct {
	claim string // as configured, for messages
	path  policy.Path
	max   int // how many tenants one token may name
}

// find returns the tenants that the claims name, or why they name none. There
// is no default: whatever is not a name or an array of names is refused.
func (r tenantRule) find(claims object) (Tenants, *Error) {
	v, ok := r.path.Lookup(policy.Claims(claims))
	switch {
	case !ok && r.path.LeftOut(policy.Claims(claims)):
		return Tenants{}, refuse(BadTenant, "too many groups: the provider left them out of the token, so that it has no claim %s", r.claim)
	case !ok:
		return Tenants{}, refuse(BadTenant, "the token has no claim %s", r.claim)
	}
	names, err := r.path.Names(v)
	switch {
	case err != nil:
		return Tenants{}, refuse(BadTenant, "the claim %s %v", r.claim, err)
	case len(names) == 0:
		return Tenants{}, refuse(BadTenant, "the claim %s is empty", r.claim)
	case len(names) > r.max:
		return Tenants{}, refuse(BadTenant, "the claim %s names more than %d tenants", r.claim, r.max)
	}
	tenants, err := ParseTenants(names...)
	if err != nil {
		return Tenants{}, refuse(BadTenant, "the claim %s cannot be used: %v", r.claim, err)
	}
	return tenants, nil
}

// carries reports whether the upstream's tenant header can name the tenants. Mimir
// reads "a|b" as two tenants, Thanos uses the name as a folder.
func carries(header string, tenants []string) error {
	switch {
	case header == "":
		return nil
	case len(tenants) > 1 && http.CanonicalHeaderKey(header) != "X-Scope-Orgid":
		return fmt.Errorf("the upstream's header %s carries one tenant only", header)
	case slices.ContainsFunc(tenants, func(n string) bool { return !headerSafe(n) }):
		return fmt.Errorf("the upstream's header %s carries only tenants of 1 to 150 letters, digits, _, . and -", header)
	}
	return nil
}

func headerSafe(name string) bool {
	if len(name) == 0 || len(name) > 150 || name == "." || name == ".." {
		return false
	}
	return !strings.ContainsFunc(name, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '.' && c != '-'
	})
}
