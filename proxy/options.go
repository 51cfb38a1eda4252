package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/proxy/alerting"
	"github.com/promfence/promfence/proxy/record"
)

// Options are what a Proxy is made of. The zero value is refused.
type Options struct {
	// Auth proves who calls. Its errors are of type *auth.Error.
	Auth interface {
		Authenticate(r *http.Request) (auth.Identity, error)
	}
	// Features asks the upstream of its query engine whether it enforces max_series,
	// max_samples_read and max_query_duration, and whether it may tell what a query
	// read; nil = nobody knows.
	Features func(context.Context) (queryCost, queryStats bool, err error)

	Ready              func() error      // nil error: requests can be authenticated
	Upstream           *url.URL          // scheme, host and an optional path prefix; or unix and a socket's path
	UpstreamTimeout    time.Duration     // to the upstream's response header, and between parts of its body; 0 = none
	UpstreamHeader     http.Header       // set on every upstream request: promfence's own credentials
	UpstreamTLS        *tls.Config       // nil = Go's defaults
	StallTimeout       time.Duration     // how long a caller may take nothing of an answer; 0 = a minute
	Alertmanager       *alerting.Options // nil = none
	TenantHeader       string            // set from the token on every upstream request; empty = none
	LabelPolicy        bool              // tells the upstream by a header what of the tenants' data may be seen, and holds it to that
	MaxIdleConnections int               // kept open to the upstream; 0 = no connection serves twice
	TokenHeaders       []string          // where tokens come in: named in Vary and allowed across origins
	CORSOrigins        []string          // origins whose pages may read answers; "*" = all, none = off
	Label              string            // the tenant label
	RejectConflicts    bool              // refuse a caller's matcher that can select nothing; else the answer is empty
	WarnOnConflict     bool              // say in an answer that a caller's matcher can select nothing
	SharedRules        bool              // show rules that carry no tenant label
	SharedMetadata     bool              // show a family's texts to every tenant that has it
	Limits             Limits            // the bounds of a query must be positive
	Docs               http.Handler      // /docs and /openapi.yaml; nil = neither exists
	Console            http.Handler      // /console and below; nil = it does not exist
	Before             *Proxy            // whose place this one takes: limits that stay the same go on counting; nil = nobody's

	record.Options // where what requests leave behind goes
}

func (o Options) validate() error {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New("proxy: want "+what))
		}
	}
	need(o.Auth != nil, "an Authenticator")
	need(o.Ready != nil, "a readiness function")
	need(upstreamURL(o.Upstream), "an upstream such as http://host or unix:///path")
	need(o.Alertmanager == nil || upstreamURL(o.Alertmanager.URL) && o.Alertmanager.MaxSilence > 0, "an Alertmanager such as http://host, and a longest silence")
	need(o.Label != "", "a tenant label")
	l := o.Limits
	need(l.QueryBytes > 0 && l.QueryDepth > 0 && l.QueryTerms > 0 && l.Selectors > 0 && l.BodyBytes > 0, "positive limits")
	need(l.MaxRange >= 0 && l.MaxPoints >= 0 && l.RequestsPerSecond >= 0 && l.Burst >= 0 && l.ConcurrentRequests >= 0 && l.MaxSeries >= 0 && l.MaxSamplesRead >= 0 && l.MaxQueryDuration >= 0, "limits that are not negative")
	need(o.MaxIdleConnections >= 0, "a number of idle connections that is not negative")
	need(!o.AuditRequired || o.Audit != nil, "an audit log, if records are required")
	return errors.Join(errs...)
}

func upstreamURL(u *url.URL) bool {
	switch {
	case u == nil:
		return false
	case u.Scheme == "unix":
		return u.Host == "" && strings.HasPrefix(u.Path, "/")
	}
	return u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}
