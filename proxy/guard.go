package proxy

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/body"
	"github.com/promfence/promfence/proxy/filter"
	"github.com/promfence/promfence/proxy/scope"
)

// A Guard says why no answer of a row holds somebody else's data. There are six
// ways to make one, and the zero Guard refuses every request.
type Guard struct {
	rule     narrower
	filter   filter.Filter
	body     bool // the rule narrows a remote-read body
	posts    bool // the rule narrows a silence's body
	writes   bool // the row changes something
	dataless bool
}

// A narrower is one of the sealed rules of package scope.
type narrower interface {
	Narrow(in scope.Input) (scope.Request, error)
}

// narrowed is for rows whose request says whose series are read.
func narrowed(r scope.Rule) Guard { return Guard{rule: r, body: r.IsBody()} }

// A check refuses what a filter does not take as a parameter; nil = nothing.
type check func(filter.View) error

func (c check) refuses(params url.Values) error {
	if c == nil {
		return nil
	}
	return c(filter.View{Params: params})
}

// filtered is for rows that no selector narrows. The request is checked, leaves out
// what the filter applies itself, and the filter shows the caller's part of the answer.
func filtered(f filter.Filter, c check, applied ...string) Guard {
	return Guard{rule: scope.LeaveToFilter(c.refuses, applied...), filter: f}
}

// chosen is for rows of Alertmanager, whose parameters choose among elements.
func chosen(u scope.Unnarrowed, f filter.Filter) Guard { return Guard{rule: u, filter: f} }

// writes is for rows that change a silence, which is one tenant's.
func writes(w scope.Writing) Guard { return Guard{rule: w, posts: w.ReadsSilence(), writes: true} }

// both is for rows whose answer is filtered although their request is narrowed.
func both(r scope.Rule, f filter.Filter, c check, applied ...string) Guard {
	return Guard{rule: r.LeavingOut(c.refuses, applied...), filter: f}
}

// holdsNoTenantData is for rows that answer every caller with the same.
func holdsNoTenantData(d scope.Dataless) Guard { return Guard{rule: d, dataless: true} }

// Filters reports whether the row's answer is filtered.
func (g Guard) Filters() bool { return g.filter != nil }

// ReadsBody reports whether the row narrows a remote-read body.
func (g Guard) ReadsBody() bool { return g.body }

// reader returns what reads the body that the row narrows; nil = it narrows parameters.
func (g Guard) reader() func(b *body.Body, r *http.Request, limit int64) ([]byte, error) {
	switch {
	case g.body:
		return (*body.Body).RemoteRead
	case g.posts:
		return (*body.Body).Silence
	}
	return nil
}

var errUnguarded = errors.New("a row without a guard")

// narrow makes the request that is sent. What the rule left to a filter is refused
// where there is none.
func (g Guard) narrow(in scope.Input) (scope.Request, error) {
	if g.rule == nil {
		return scope.Request{}, apierr.Internal(errUnguarded)
	}
	req, err := g.rule.Narrow(in)
	switch {
	case err != nil:
		return scope.Request{}, err
	case req.IsZero(), req.NeedsFilter() && g.filter == nil:
		return scope.Request{}, apierr.Internal(errUnguarded)
	}
	return req, nil
}
