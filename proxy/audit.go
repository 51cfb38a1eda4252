package proxy

import (
	"crypto/sha256"
	"errors"
	"io"

	"github.com/rs/zerolog"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/proxy/promql"
)

// A record is what an audit asks of one decision: who, for which tenants, what,
// and whether it was let through. It is part of the access line, and a line of
// its own in the file that the settings may name. It holds no token, and of the
// query only a hash.
type record struct {
	decided bool     // the request came as far as authentication
	hashed  bool     // it had a query
	query   [32]byte // SHA-256 of it
	status  int      // the upstream's; 0 = it was not asked, or did not answer
}

// newAudit writes records to w; without one nothing is made for it.
func newAudit(w io.Writer) zerolog.Logger {
	if w == nil {
		return zerolog.Nop()
	}
	return zerolog.New(w)
}

// hash keeps the hash of a query as it was sent, or of several selectors with
// line breaks between them.
func (a *record) hash(ps params) {
	var room [2 << 10]byte // most queries fit: no allocation for a copy
	all := room[:0]
	for _, p := range ps {
		if p.name != "query" && p.name != "match[]" {
			continue
		}
		if a.hashed {
			all = append(all, '\n')
		}
		all, a.hashed = append(all, p.value...), true
	}
	if a.hashed {
		a.query = sha256.Sum256(all)
	}
}

// hashBody is hash for a remote-read request, as it came.
func (a *record) hashBody(body []byte) { a.hashed, a.query = true, sha256.Sum256(body) }

// describe adds who asked for what, and what was decided.
func (x *exchange) describe(e *zerolog.Event) {
	e.Str("req_id", x.id)
	if x.matcher != nil {
		e.Str("tenant", x.matcher.names).Str("subject", x.identity.Subject).Str("issuer", x.identity.Issuer)
	}
	e.Str("route", x.routeName()).Str("method", x.method)
	if x.record.decided {
		if x.forwarded.IsZero() && x.err != nil {
			e.Str("decision", "refused").Str("reason", reason(x.err))
		} else {
			e.Str("decision", "allowed")
		}
	}
	if x.record.hashed {
		e.Hex("query_sha256", x.record.query[:])
	}
	if x.record.status != 0 {
		e.Int("upstream_status", x.record.status)
	}
}

// reason says why a request was refused, in a word out of a bounded set: the
// authenticator's, the limit's, or the error's type.
func reason(err error) string {
	if a, ok := errors.AsType[*auth.Error](err); ok {
		return string(a.Reason)
	}
	switch e := asAPIError(err); {
	case errors.Is(err, promql.ErrVerify):
		return "enforcement"
	case e.Limit != "":
		return e.Limit
	default:
		return e.Type
	}
}

// audit writes the record of a decision, if it has a place of its own.
func (p *Proxy) audit(x *exchange) {
	if !x.record.decided || p.auditLog.GetLevel() == zerolog.Disabled {
		return
	}
	e := p.auditLog.Log().Time("time", x.start.Add(x.took))
	x.describe(e)
	e.Int("status", x.status).Dur("ms", x.took).Int64("bytes", x.bytes).Send()
}
