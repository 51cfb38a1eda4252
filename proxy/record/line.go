package record

import (
	"net/http"
	"strings"

	"github.com/rs/zerolog"
)

// allTenants stands for every tenant, in the field tenants and in labels of metrics.
const allTenants = "all"

// routeName is how metrics, logs and traces call the row.
func (r *Record) routeName() string {
	if r.route.name == "" {
		return "none"
	}
	return r.route.name
}

// describe adds who asked for what, and what was decided.
func (r *Record) describe(e *zerolog.Event) {
	e.Str("req_id", r.id)
	if r.client.IsValid() {
		var room [48]byte // the longest address, without a zone
		e.Bytes("client", r.client.AppendTo(room[:0]))
	}
	r.describeTenants(e)
	if r.identity.Issuer != "" {
		e.Str("subject", r.identity.Subject).Str("issuer", r.identity.Issuer)
	}
	e.Str("route", r.routeName()).Str("method", r.method)
	if r.route.path != "" {
		e.Str("path", r.route.path)
	}
	if r.route.silence != "" {
		e.Str("silence", r.route.silence)
	}
	for i, v := range r.grafana {
		if v != "" {
			e.Str(grafanaFields[i], v)
		}
	}
	switch {
	case r.decision.allowed:
		e.Str("decision", "allowed")
	case r.decision.made:
		e.Str("decision", "refused").Str("reason", r.failed.reason)
	}
	if r.query.hashed {
		e.Hex("query_sha256", r.query.sum[:])
	}
	if r.conflict {
		e.Bool("conflict", true)
	}
}

// describeTenants adds whose data it is about, and which policies say so. Where all
// tenants are meant it is a text and no array, so that it cannot be taken for a tenant
// with this name.
func (r *Record) describeTenants(e *zerolog.Event) {
	switch {
	case !r.tenants.proven:
		return
	case r.tenants.all:
		e.Str("tenants", allTenants)
	case r.identity.AllTenants:
		e.Strs("tenants", r.tenants.names).Str("narrowed_from", allTenants)
	default:
		e.Strs("tenants", r.tenants.names)
	}
	if r.identity.Policies != nil {
		e.Strs("policy", r.identity.Policies)
	}
}

// describeAnswer adds what the caller got.
func (r *Record) describeAnswer(e *zerolog.Event) {
	if r.upstream.status != 0 {
		e.Int("upstream_status", r.upstream.status)
	}
	e.Int("status", r.answered.status).Dur("ms", r.answered.took).Int64("bytes", r.answered.bytes)
	if r.upstream.took > 0 {
		e.Dur("upstream_ms", r.upstream.took)
	}
}

// Scoped logs at the level debug what the upstream is asked.
func (r *Record) Scoped(form func() string) {
	if e := r.recorder.Logger.Debug(); e.Enabled() {
		e.Str("req_id", r.id).Str("params", clipLog(form())).Msg("scoped")
	}
}

// logLine writes the access line.
func (r *Record) logLine() {
	e := r.recorder.Logger.WithLevel(r.level())
	r.describe(e)
	r.describeAnswer(e)
	if hidden := r.upstream.hidden; len(hidden) > 0 {
		e.Bytes("upstream_warning", hidden)
	}
	if r.failed.text != "" {
		e.Str("error", r.failed.text)
	}
	e.Msg("request")
}

// logSlow warns of a query that took long: its text is what somebody has to change.
func (r *Record) logSlow() {
	if slow := r.recorder.SlowQuery; slow == 0 || r.answered.took < slow || !r.query.hashed {
		return
	}
	e := r.recorder.Logger.Warn().Str("req_id", r.id)
	r.describeTenants(e)
	e.Str("route", r.routeName()).Dur("ms", r.answered.took).Str("query", r.query.text).Msg("slow query")
}

// level keeps probes that find what they hope for out of the log: there are two
// every few seconds. That promfence is not ready is no error of a request.
func (r *Record) level() zerolog.Level {
	switch probe := strings.HasPrefix(r.routeName(), "/-/"); {
	case probe && r.answered.status < http.StatusBadRequest:
		return zerolog.DebugLevel
	case !probe && r.answered.status >= http.StatusInternalServerError:
		return zerolog.ErrorLevel
	default:
		return zerolog.InfoLevel
	}
}

// maxLogged bounds what an upstream's or a caller's text may add to the log.
const maxLogged = 4096

func clipLog(s string) string {
	if len(s) > maxLogged {
		return s[:maxLogged] + "…"
	}
	return s
}
