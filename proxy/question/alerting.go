package question

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/promfence/promfence/proxy/answer"
	"github.com/promfence/promfence/proxy/filter"
	"github.com/promfence/promfence/proxy/promql"
	"github.com/promfence/promfence/proxy/scope"
	"github.com/promfence/promfence/proxy/upstream"
)

// alertingAPI is the base of Alertmanager's API.
const alertingAPI = "/api/v2"

// AlertingView is a View with what suppresses an alert: asked once for an answer, and
// only if an alert of it is suppressed.
func (a *Asker) AlertingView(ctx context.Context, id string, e *promql.Enforcer) filter.View {
	c := caller{id, e}
	v := a.view(ctx, c)
	v.SilenceIDs = sync.OnceValues(func() (filter.Names, error) {
		return askAlerting(ctx, a, c, "/silences", scope.SilenceFilters(), filter.View.ReadSilences)
	})
	v.Fingerprints = sync.OnceValues(func() (filter.Names, error) {
		return askAlerting(ctx, a, c, "/alerts", scope.AlertFilters(), filter.View.ReadFingerprints)
	})
	return v
}

// askAlerting asks Alertmanager on behalf of a label policy.
func askAlerting[T any](ctx context.Context, a *Asker, c caller, path string, u scope.Unnarrowed, read func(filter.View, io.Reader) (T, error)) (none T, err error) {
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	req, err := u.Narrow(scope.Input{Enforcer: c.enforcer})
	if err != nil {
		return none, err
	}
	resp, err := a.Alertmanager.Ask(ctx, upstream.Call{
		Request: req, Method: http.MethodGet, Path: alertingAPI + path, ID: []string{c.id},
	})
	if err != nil {
		return none, answer.Unfilterable(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return none, answer.Unfilterable(fmt.Errorf("alertmanager %s: status %d", path, resp.StatusCode))
	}
	src, err := answer.Plain(resp)
	if err != nil {
		return none, err
	}
	return read(a.view(ctx, c), src)
}
