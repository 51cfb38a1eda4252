package proxy

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/promfence/promfence/proxy/scope"
	"github.com/promfence/promfence/proxy/upstream"
)

// changeSilence creates, replaces or ends a silence. The answer is promfence's own.
func changeSilence(p *Proxy, x *exchange, r *http.Request, req scope.Request) error {
	id, err := p.alerting.Change(r.Context(), upstream.Call{
		Request: req, Method: r.Method, Path: x.route.upstreamPath(x.silence), ID: x.idHeader[:], Span: x.record.Span(),
	}, x.enforcer, x.record)
	switch {
	case err != nil:
		return err
	case id == "":
		x.WriteHeader(http.StatusOK)
		return nil
	}
	x.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(x, `{"silenceID":%q}`, id) // the caller may be gone
	return nil
}

// silence is the id of the silence in a row's path.
func (r *Route) silence(segment string) string {
	if r == nil || !r.Alerting() {
		return ""
	}
	return strings.Clone(segment) // a record may outlive its request
}
