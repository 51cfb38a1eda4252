// Package scope narrows a request to its caller's label policy. It is the only maker
// of a [Request], and nothing but a Request can be sent to the upstream.
//
// It stops two threats: a parameter that selects series and reaches the upstream
// without the enforced matchers, and a parameter that promfence and the upstream read
// differently. Its rules:
//
//   - A request's parameters are one list ([Params]), of URL and body together, of
//     the names that the row knows. There is no second copy that nobody narrowed.
//   - A [Rule] narrows every parameter that selects series, and adds a selector where
//     leaving it out would mean everything.
//   - An [Unnarrowed] rule changes no selector. It is for rows whose answer a filter
//     narrows, and is a type of its own: a row without a filter cannot take it.
//   - A [Dataless] rule is for rows whose answer holds nobody's data.
//   - A [Writing] rule is for rows that change a silence: nothing is sent that would
//     change one which nobody has looked at.
//   - A limit of the upstream's engine is the stricter of the caller's and promfence's
//     ([Engine]).
//   - promfence's own questions are narrowed by the same rules, of no parameters.
//   - The zero values of all of them are refused, here and by who sends.
package scope

import (
	"errors"
	"net/url"
	"slices"
	"time"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/promql"
	"github.com/promfence/promfence/proxy/remoteread"
	"github.com/promfence/promfence/proxy/silence"
)

// A Request has been narrowed to a label policy, or its answer will be filtered by
// that policy. Only this package makes one; the zero value must not be sent.
type Request struct {
	labels   policy.Labels
	filter   bool // its answer must be filtered
	params   Params
	body     []byte
	hasBody  bool
	conflict string
	ours     []string // parameters that promfence added, or in whose caller's place it put its own
	silence  bool     // the body is one
	unseen   string   // the silence that must be seen before this is sent
}

// IsZero reports whether the request is the zero value, which nobody narrowed.
func (r Request) IsZero() bool { return r.labels.IsZero() }

// Labels is the label policy that the request was narrowed to.
func (r Request) Labels() policy.Labels { return r.labels }

// NeedsFilter reports whether the request was left unnarrowed, for a filter.
func (r Request) NeedsFilter() bool { return r.filter }

// Conflict is a sentence about a matcher that the caller sent and that can select
// nothing of what they may see; empty if there is none.
func (r Request) Conflict() string { return r.conflict }

// Param returns a parameter as it is sent.
func (r Request) Param(name string) (value string, ok bool) { return r.params.Lookup(name) }

// Ours reports whether a parameter is promfence's own: the caller sent none, or one that
// is less strict.
func (r Request) Ours(name string) bool { return slices.Contains(r.ours, name) }

// Form spells the parameters as a query string or form.
func (r Request) Form() string { return r.params.encode() }

// Body is the body of a remote-read request or a silence, if it is one.
func (r Request) Body() (body []byte, ok bool) { return r.body, r.hasBody }

// An Input is what a caller sent, and who they are.
type Input struct {
	Enforcer *promql.Enforcer // of the caller's label policy
	Limits   promql.Limits
	Engine   Engine   // what is asked of the upstream's, of rows that know its parameters
	Known    []string // the parameters that the row knows
	Params   Params   // those that were sent: a rule takes them over
	Body     []byte   // of remote read, compressed, or a silence
	MaxBody  int64    // the bytes of a remote-read request, decoded

	// Of rows that write or end a silence.
	ID       string        // the silence in the path
	Silences policy.Labels // what the caller may silence; the zero value is nothing
	Author   string        // the subject on whose behalf it is written
	Longest  time.Duration // a silence may be; 0 = no limit
}

// termsPerSelector is what each match[] adds to the terms that a request may have: a
// list of a thousand selectors is long, and not deep.
const termsPerSelector = 10

// budget makes the budget of what was sent.
func (in Input) budget() *promql.Budget {
	l := in.Limits
	for _, p := range in.Params {
		if p.Name == matchParam {
			l.QueryTerms += termsPerSelector
		}
	}
	return l.Budget()
}

// errZero is a rule or an enforcer that nobody made.
var errZero = errors.New("a zero rule, or no label policy")

// A Rule narrows a row's requests. The zero Rule refuses all.
type Rule struct {
	params    func(ps Params, in Input, b *promql.Budget) (Params, error)
	selectors bool // params are those of Selectors
	body      bool
}

// Narrow makes a Request, or refuses.
func (r Rule) Narrow(in Input) (Request, error) {
	if in.Enforcer.Labels().IsZero() || !r.body && r.params == nil {
		return Request{}, apierr.Internal(errZero)
	}
	b := in.budget()
	if r.body {
		body, err := remoteread.Narrow(in.Body, in.Enforcer, b, in.MaxBody)
		return made(Request{labels: in.Enforcer.Labels(), body: body, hasBody: true, conflict: b.Conflict()}, err)
	}
	ps, err := r.params(in.Params, in, b)
	if err == nil {
		ps, err = checkTimes(ps, in, b)
	}
	var ours []string
	if err == nil {
		ps, ours, err = in.Engine.addTo(ps, in.Known)
	}
	return made(Request{labels: in.Enforcer.Labels(), params: ps, ours: ours, conflict: b.Conflict()}, err)
}

// IsBody reports whether the rule narrows a remote-read body instead of parameters.
func (r Rule) IsBody() bool { return r.body }

func made(r Request, err error) (Request, error) {
	if err != nil {
		return Request{}, err
	}
	return r, nil
}

// An Unnarrowed rule changes no selector: the row's answer must be filtered. The
// zero value refuses all.
type Unnarrowed struct {
	made     bool
	check    func(url.Values) error
	ours     []string
	alerting func(limits silence.Limits, sent []string, l policy.Labels) ([]string, error) // of Alertmanager's filters
}

// LeaveToFilter refuses what check refuses, leaves out the parameters that the filter
// applies itself, and spells selectors afresh: they choose among elements, all of
// which the filter still looks at.
func LeaveToFilter(check func(url.Values) error, applied ...string) Unnarrowed {
	return Unnarrowed{made: true, check: check, ours: applied}
}

// Narrow makes a Request that needs a filter, or refuses.
func (u Unnarrowed) Narrow(in Input) (Request, error) {
	if in.Enforcer.Labels().IsZero() || !u.made {
		return Request{}, apierr.Internal(errZero)
	}
	if u.alerting != nil {
		ps, err := alertingParams(in.Params, in.Enforcer.Labels(), u.alerting)
		return made(Request{labels: in.Enforcer.Labels(), filter: true, params: ps}, err)
	}
	if u.check != nil {
		if err := u.check(in.Params.Values()); err != nil {
			return Request{}, err
		}
	}
	b := in.budget()
	ps := in.Params.without(u.ours...)
	for i, p := range ps {
		if p.Name != matchParam {
			continue
		}
		spelled, err := b.Respell(p.Value)
		if err != nil {
			return Request{}, inParameter(p.Name, err)
		}
		ps[i].Value = spelled
	}
	ps, err := checkTimes(ps, in, b)
	return made(Request{labels: in.Enforcer.Labels(), filter: true, params: ps}, err)
}

// A Dataless rule is for rows whose answers hold nobody's data. The zero value
// refuses all.
type Dataless struct {
	made     bool
	parsed   bool
	maxTerms int
}

// NoParameters is for rows that take no parameter.
func NoParameters() Dataless { return Dataless{made: true} }

// Parsed bounds and parses the parameter query, and sends it as it is. A positive
// maxTerms is a narrower bound than the setting's.
func Parsed(maxTerms int) Dataless { return Dataless{made: true, parsed: true, maxTerms: maxTerms} }

// Narrow makes a Request of what was sent, or refuses.
func (d Dataless) Narrow(in Input) (Request, error) {
	if in.Enforcer.Labels().IsZero() || !d.made {
		return Request{}, apierr.Internal(errZero)
	}
	if !d.parsed {
		return Request{labels: in.Enforcer.Labels()}, nil
	}
	query, _ := in.Params.Lookup("query")
	if err := in.budget().Check(query, d.maxTerms); err != nil {
		return Request{}, inParameter("query", err)
	}
	return Request{labels: in.Enforcer.Labels(), params: Params{{"query", query}}}, nil
}
