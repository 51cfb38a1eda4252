package scope

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/apierr"
)

// labelPolicyHeader confines a tenant's data by other labels, in upstreams that read it.
const labelPolicyHeader = "X-Prom-Label-Policy"

var errNoEntry = errors.New("a tenant without an entry in the label policy")

// TenantHeaders spells a label policy for upstreams that enforce it themselves: the
// tenants, joined by bars, and, if other labels are enforced, a header with an entry for
// each tenant, since a tenant without one is not restricted there.
func TenantHeaders(l policy.Labels) (tenants string, others http.Header, err error) {
	names, all := l.Tenants()
	if all || len(names) == 0 {
		return "", nil, apierr.New(http.StatusForbidden, "all tenants cannot be named to an upstream: name some in %s", policy.TenantHeader)
	}
	for _, name := range names {
		if !namesOneTenant(name) {
			return "", nil, apierr.New(http.StatusForbidden, "the name of a tenant cannot be told to the upstream: it takes 1 to 150 letters, digits, _, . and -")
		}
	}
	tenants = strings.Join(names, "|")
	selector := l.WithoutTenants()
	if selector == "" {
		return tenants, nil, nil
	}
	entries := make([]string, len(names))
	for i, name := range names {
		entries[i] = name + ":" + url.PathEscape(selector)
	}
	labels := strings.Join(entries, ",")
	if strings.Count(labels, ",") != len(names)-1 {
		return "", nil, apierr.Internal(errNoEntry)
	}
	return tenants, http.Header{labelPolicyHeader: {labels}}, nil
}

// namesOneTenant reports whether a name means one tenant to Mimir, Loki and Thanos,
// which read "a|b" as two and use a name as a folder.
func namesOneTenant(name string) bool {
	if name == "" || len(name) > 150 || name == "." || name == ".." {
		return false
	}
	for i := range len(name) {
		if c := name[i]; !isWord(c) && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

func isWord(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
}

// Forbidden asks on behalf of a label policy for what it forbids of its tenants' data:
// an upstream that enforces the policy's header answers nothing. It is narrowed to the
// tenants alone, so it must not stream to anybody. False says that nothing is forbidden.
func Forbidden(l policy.Labels) (Request, bool) {
	selectors := l.Forbidden()
	if len(selectors) == 0 {
		return Request{}, false
	}
	return Request{labels: l, filter: true, params: Params{{"query", "group(" + strings.Join(selectors, ") or group(") + ")"}}}, true
}
