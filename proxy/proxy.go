// Package proxy forwards the Prometheus query API with every request narrowed
// to its caller's tenants.
//
// It stops one threat: a byte of one tenant's data, names or errors reaching
// another. A request that is not a row of Routes is refused. What is forwarded
// is spelled afresh from what the row names: path, parameters, headers. Every
// selector of it holds the tenant's matcher, which is checked on the text that
// leaves, parsed again. An answer that no selector narrows is filtered by the
// row's own filter, and what cannot be filtered is not delivered. Package upstream
// makes every request that leaves, of a scope.Request, and only scope makes those.
package proxy

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/admission"
	"github.com/promfence/promfence/proxy/alerting"
	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/body"
	"github.com/promfence/promfence/proxy/cors"
	"github.com/promfence/promfence/proxy/promql"
	"github.com/promfence/promfence/proxy/question"
	"github.com/promfence/promfence/proxy/record"
	"github.com/promfence/promfence/proxy/scope"
	"github.com/promfence/promfence/proxy/upstream"
)

// A Proxy is an http.Handler. It is safe for concurrent use.
type Proxy struct {
	identity func(*http.Request) (auth.Identity, error)
	ready    func() error
	draining atomic.Bool
	static
	routes    *router
	label     string
	enforcers *promql.Enforcers
	admitted
	upstream       *upstream.Client
	engine         *engine
	alerting       alerting.Manager
	warnOnConflict bool
	questions      *question.Asker
	stall          time.Duration
	everyAnswer
	recorder *record.Recorder
}

// static are the handlers of pages that are the same for all; nil for what is not
// part of this promfence.
type static struct{ docs, console http.Handler }

// An admitted bounds what callers may ask, together and each.
type admitted struct {
	limits Limits
	gate   *admission.Gate
	bodies body.Room
}

func newAdmitted(o Options) admitted {
	gate := new(admission.Gate)
	if o.Before != nil {
		gate = o.Before.gate
	}
	return admitted{o.Limits, gate, body.NewRoom(o.Limits.BodyBytes)}
}

// An everyAnswer is what is on every answer, whoever makes it.
type everyAnswer struct {
	cors    cors.Policy
	noStore []string
	vary    []string
}

// New makes a Proxy, or says what is missing.
func New(o Options) (*Proxy, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if len(o.TokenHeaders) == 0 {
		o.TokenHeaders = []string{"Authorization"}
	}
	recorder := record.New(o.Options)
	p := &Proxy{
		identity: o.Auth.Authenticate, ready: o.Ready, static: static{o.Docs, o.Console},
		routes: newRouter(routeTable, o.Alertmanager != nil), alerting: alerting.New(o.Alertmanager, recorder.HideText), label: o.Label, recorder: recorder,
		enforcers: &promql.Enforcers{RejectConflicts: o.RejectConflicts, Hit: recorder.HitCache, Miss: recorder.MissCache},
		admitted:  newAdmitted(o),
		upstream: upstream.New(upstream.Options{
			URL: o.Upstream, Timeout: o.UpstreamTimeout, TLS: o.UpstreamTLS, MaxIdleConnections: o.MaxIdleConnections,
			Header: o.UpstreamHeader, TenantHeader: o.TenantHeader, LabelPolicy: o.LabelPolicy,
		}),
		engine: newEngine(o.Features), stall: cmp.Or(o.StallTimeout, stallTimeout),
		everyAnswer: everyAnswer{
			cors:    cors.New(o.CORSOrigins, o.TokenHeaders, o.Alertmanager != nil && o.Alertmanager.Write),
			noStore: []string{"private, no-store"},
			vary:    []string{strings.Join(slices.Concat(o.TokenHeaders, []string{policy.TenantHeader, policy.PolicyHeader, "Accept-Encoding"}), ", ")},
		},
	}
	p.warnOnConflict = o.WarnOnConflict
	p.questions = question.New(question.Options{
		Upstream: p.upstream, Alertmanager: p.alerting.Client, Timeout: o.UpstreamTimeout, LabelPolicy: o.LabelPolicy,
		SharedRules: o.SharedRules, SharedMetadata: o.SharedMetadata, Probed: recorder.Probed,
	})
	return p, nil
}

// serve is the whole life of a request, top to bottom.
func (p *Proxy) serve(x *exchange, r *http.Request) error {
	if p.cors.Preflight(x, r) {
		return nil
	}
	if served, err := p.public(x, r); served {
		return err
	}
	if err := p.identify(x, r); err != nil {
		return err // 401, 403, 503: before the caller learns which paths exist
	}
	route, name, err := p.routes.find(r)
	x.silence = route.silence(name)
	x.record.Silence(x.silence)
	if x.asks(route); err != nil {
		if route == nil {
			x.record.Path(wirePath(r))
		}
		return err // 404, 405
	}
	leave, err := p.admit(x)
	if err != nil {
		return err // 429
	}
	defer leave()
	narrowed, err := p.narrowRequest(x, r)
	p.noteConflict(x, narrowed, err)
	if err != nil {
		return err // 400, 403, 413, 415
	}
	if err := x.record.Allow(); err != nil {
		return err // 503: it could not be recorded
	}
	if route.Answer != nil {
		return route.Answer(p, x, r, narrowed)
	}
	if err := p.questions.HoldsLabelPolicy(r.Context(), x.record.ID(), x.record.Identity().Labels); err != nil {
		return err // 502
	}
	p.forward(x, r, name, narrowed)
	return nil
}

// identify proves who calls, and from then on a decision is made about them.
func (p *Proxy) identify(x *exchange, r *http.Request) error {
	x.record.Decide()
	id, err := p.identity(r)
	if err != nil {
		return err
	}
	x.record.Identify(id)
	if id.Labels.TenantLabel() != p.label {
		return apierr.Internal(errTenantLabel)
	}
	if x.enforcer, err = p.enforcers.For(id.Labels); err != nil {
		return err
	}
	x.record.NameTenants()
	return nil
}

// errTenantLabel is a label policy made for another tenant label than the answers'
// filters look at.
var errTenantLabel = errors.New("the label policy is for another tenant label")

// noteConflict keeps that a caller's own matcher can select nothing of what they may
// see. Nobody sees that in an empty panel: the access line, the audit record and a
// metric tell it, and the answer does where that is set. A client could otherwise tell
// promfence from its upstream, so it is not by default.
func (p *Proxy) noteConflict(x *exchange, narrowed scope.Request, err error) {
	x.record.Conflict(narrowed.Conflict() != "" || errors.Is(err, promql.ErrConflict))
	if p.warnOnConflict && x.route.Warns {
		x.warning = narrowed.Conflict()
	}
}

// admit lets a request in if its identity is below its limits. What it returns is to be
// called when the request has ended.
func (p *Proxy) admit(x *exchange) (leave func(), err error) {
	id := x.record.Identity()
	x.limits = p.limits.of(id)
	return p.gate.Enter(id.Bucket, x.limits.requests())
}

// forward sends what was narrowed, and hands the answer to the exchange.
func (p *Proxy) forward(x *exchange, r *http.Request, labelName string, narrowed scope.Request) {
	x.record.Scoped(narrowed.Form)
	x.record.Asked()
	p.server(x.route).Forward(r.Context(), p.call(x, r, labelName, narrowed), x)
}

// server is who is asked for a row.
func (p *Proxy) server(row *Route) *upstream.Client {
	if row.Alerting() {
		return p.alerting.Client
	}
	return p.upstream
}

// call is what the upstream is sent of a request.
func (p *Proxy) call(x *exchange, r *http.Request, labelName string, narrowed scope.Request) upstream.Call {
	return upstream.Call{
		Request: narrowed, Streams: !x.route.Guard.Filters(), Method: r.Method, Path: x.route.upstreamPath(labelName),
		ID: x.idHeader[:], Caller: r.Header, Formats: x.route.Formats, Span: x.record.Span(),
	}
}

// narrowRequest makes what goes to the upstream of what the caller sent.
func (p *Proxy) narrowRequest(x *exchange, r *http.Request) (scope.Request, error) {
	defer x.body.Release()
	in := scope.Input{Enforcer: x.enforcer, Limits: x.limits.query(), MaxBody: x.limits.BodyBytes, Known: x.route.Params}
	in.Engine = p.engineFor(r.Context(), x.route) // may wait for the upstream, so before the body takes room
	var err error
	if x.route.Guard.writes {
		in.ID = x.silence
		p.alerting.Sign(&in, x.record.Identity())
	}
	if read := x.route.Guard.reader(); read != nil {
		if in.Body, err = read(&x.body, r, x.limits.BodyBytes); err != nil {
			return scope.Request{}, err
		}
		x.record.Body(in.Body)
		return x.route.Guard.narrow(in)
	}
	if in.Params, err = x.body.Params(r, x.route.Params, x.limits.Selectors, x.limits.BodyBytes); err != nil {
		return scope.Request{}, err
	}
	x.record.Query(in.Params)
	if x.route.Guard.filter != nil || x.route.Answer != nil {
		x.params = slices.Clone(in.Params)
	}
	narrowed, err := x.route.Guard.narrow(in)
	x.noteLimits(narrowed)
	x.meter(narrowed)
	return narrowed, err
}

// Close gives up the connections of a Proxy that gets no more requests: those
// that are idle now, the others when their requests have ended.
func (p *Proxy) Close() {
	p.upstream.Close()
	p.alerting.Close()
}
