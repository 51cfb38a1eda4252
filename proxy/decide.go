package proxy

import (
	"encoding/json"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/scope"
)

// The headers by which a decision says whom it is about.
const (
	orgIDHeader   = "X-Scope-OrgID" // the tenants, for Mimir, Loki and Tempo
	subjectHeader = "X-Promfence-Subject"
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
		return apierr.New(http.StatusNotFound, "decisions are made at /auth")
	}
	x.asks(decisionRoute)
	if err := p.identify(x, r); err != nil {
		return err // 401, 403, 503
	}
	id := x.record.Identity()
	leave, err := p.admit(x)
	if err != nil {
		return err // 429
	}
	defer leave()
	if err := checkScope(x, r, path); err != nil {
		return err // 400, 403
	}
	tenants, others, err := scope.TenantHeaders(id.Labels)
	if err != nil {
		return err
	}
	if err := x.record.Allow(); err != nil {
		return err
	}
	h := x.Header()
	h.Set(orgIDHeader, tenants)
	maps.Copy(h, others)
	if id.Subject != "" {
		h.Set(subjectHeader, visible(id.Subject))
	}
	if len(id.Policies) > 0 {
		h.Set(policy.PolicyHeader, strings.Join(id.Policies, ","))
	}
	x.WriteHeader(http.StatusOK)
	return nil
}

// checkScope refuses what is more than reading, unless the identity's policies give
// it. The gateway says what is asked for, in its own address (/auth?scope=read) or as
// JSON; whoever says nothing reads.
// Below /auth/ query and body are the original caller's, who does not decide.
func checkScope(x *exchange, r *http.Request, path string) error {
	if path != "/auth" {
		return nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return apierr.BadData("the query of /auth is malformed")
	}
	asked := query["scope"]
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && mediaType == "application/json" && r.Method == http.MethodPost {
		text, err := x.body.Bytes(r, maxDecisionBody)
		var sent struct{ RequiredScope string }
		if err != nil || json.Unmarshal(text, &sent) != nil {
			return apierr.BadData("want JSON such as {\"path\": …, \"method\": …, \"requiredScope\": \"read\"}")
		}
		if sent.RequiredScope != "" {
			asked = append(asked, sent.RequiredScope)
		}
	}
	for _, s := range asked {
		switch {
		case s == policy.Read, s == policy.Write && x.record.Identity().Writes:
		case s == policy.Write:
			return apierr.New(http.StatusForbidden, "the scope write is not given here: it takes a policy with scopes: [read, write]")
		default:
			return apierr.New(http.StatusForbidden, "the scopes here are read and write")
		}
	}
	return nil
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
