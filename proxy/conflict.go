package proxy

import (
	"errors"

	"github.com/promfence/promfence/proxy/promql"
	"github.com/promfence/promfence/proxy/scope"
)

// noteConflict keeps that a caller's own matcher can select nothing of what they may
// see. Nobody sees that in an empty panel: the access line, the audit record and a
// metric tell it, and the answer does where that is set. A client could otherwise tell
// promfence from its upstream, so it is not by default.
func (p *Proxy) noteConflict(x *exchange, narrowed scope.Request, err error) {
	x.conflict = narrowed.Conflict() != "" || errors.Is(err, promql.ErrConflict)
	if p.warnOnConflict && x.route.Warns {
		x.warning = narrowed.Conflict()
	}
}
