package proxy

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/apierr"
)

// The headers by which a decision says whom it is about.
const (
	orgIDHeader       = "X-Scope-OrgID"       // the tenants, for Mimir, Loki and Tempo
	labelPolicyHeader = "X-Prom-Label-Policy" // what of their data
	subjectHeader     = "X-Promfence-Subject"
)

// maxDecisionBody bounds what a gateway may send beside the original headers.
const maxDecisionBody = 64 << 10

// Decision answers gateways that ask whether a request may pass: /auth, and every
// path below, because some append the original path. It looks at the credential of
// the request that it gets, which has the original headers, and at nothing else of
// it. Allowed is a 200 that names the tenants; everything else is a refusal.
func (p *Proxy) Decision() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.handle(w, r, p.decide) })
}

// decisionRoute is what log and metrics know of it.
var decisionRoute = &Route{full: "/auth"}

func (p *Proxy) decide(x *exchange, r *http.Request) error {
	path := wirePath(r)
	if path != "/auth" && !strings.HasPrefix(path, "/auth/") {
		return failure(http.StatusNotFound, "decisions are made at /auth")
	}
	x.route, x.decision.made = decisionRoute, true
	id, err := p.auth.Authenticate(r)
	if err != nil {
		return err // 401, 403, 503
	}
	x.identity = id
	if x.matcher, err = p.matchers.of(id.Labels); err != nil {
		return err
	}
	x.limits = p.limits.of(id)
	leave, err := p.gate.enter(id.Bucket, x.limits)
	if err != nil {
		return err // 429
	}
	defer leave()
	if err := checkScope(x, r, path); err != nil {
		return err
	}
	tenants, labels, err := decisionHeaders(id.Labels)
	if err != nil {
		return err
	}
	if err := p.allow(x); err != nil {
		return err
	}
	h := x.Header()
	h.Set(orgIDHeader, tenants)
	if labels != "" {
		h.Set(labelPolicyHeader, labels)
	}
	if id.Subject != "" {
		h.Set(subjectHeader, visible(id.Subject))
	}
	if len(id.Policies) > 0 {
		h.Set(policy.PolicyHeader, strings.Join(id.Policies, ","))
	}
	x.WriteHeader(http.StatusOK)
	return nil
}

// checkScope refuses what is more than reading. The gateway says what is asked for,
// in its own address (/auth?scope=read) or as JSON; whoever says nothing reads.
// Below /auth/ query and body are the original caller's, who does not decide.
func checkScope(x *exchange, r *http.Request, path string) error {
	if path != "/auth" {
		return nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return badData("the query of /auth is malformed")
	}
	asked := query["scope"]
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && mediaType == "application/json" && r.Method == http.MethodPost {
		body, err := io.ReadAll(io.LimitReader(r.Body, maxDecisionBody+1))
		var sent struct{ RequiredScope string }
		if err != nil || len(body) > maxDecisionBody || json.Unmarshal(body, &sent) != nil {
			return badData("want JSON such as {\"path\": …, \"method\": …, \"requiredScope\": \"read\"}")
		}
		x.unread = false
		if sent.RequiredScope != "" {
			asked = append(asked, sent.RequiredScope)
		}
	}
	for _, scope := range asked {
		if scope != "read" {
			return failure(http.StatusForbidden, "only the scope read is given here")
		}
	}
	return nil
}

var errNoEntry = errors.New("a tenant without an entry in the label policy")

// decisionHeaders spells a label policy for upstreams that enforce it themselves: the
// tenants, joined by bars, and, if other labels are enforced, an entry for each
// tenant, since a tenant without one is not restricted there.
func decisionHeaders(l policy.Labels) (tenants, labels string, err error) {
	names, all := l.Tenants()
	if all || len(names) == 0 {
		return "", "", failure(http.StatusForbidden, "all tenants cannot be named to an upstream: name some in %s", policy.TenantHeader)
	}
	for _, name := range names {
		if !namesOneTenant(name) {
			return "", "", failure(http.StatusForbidden, "the name of a tenant cannot be told to the upstream: it takes 1 to 150 letters, digits, _, . and -")
		}
	}
	tenants = strings.Join(names, "|")
	others := l.WithoutTenants()
	if others == "" {
		return tenants, "", nil
	}
	entries := make([]string, len(names))
	for i, name := range names {
		entries[i] = name + ":" + url.PathEscape(others)
	}
	labels = strings.Join(entries, ",")
	if strings.Count(labels, ",") != len(names)-1 {
		return "", "", apierr.Internal(errNoEntry)
	}
	return tenants, labels, nil
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

// visible percent-encodes what is not visible ASCII, and the percent sign.
func visible(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c > ' ' && c < 0x7f && c != '%' {
			b.WriteByte(c)
		} else {
			b.WriteString(string([]byte{'%', hex[c>>4], hex[c&15]}))
		}
	}
	return b.String()
}
