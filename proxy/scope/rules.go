package scope

import (
	"errors"
	"net/url"

	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/promql"
)

// Expression narrows the parameter query, a PromQL expression.
func Expression() Rule { return Rule{params: narrowExpression} }

func narrowExpression(ps Params, in Input, b *promql.Budget) (Params, error) {
	found := false
	for i, p := range ps {
		if p.Name != "query" {
			continue
		}
		enforced, err := in.Enforcer.Expression(p.Value, b)
		if err != nil {
			return nil, inParameter("query", err)
		}
		ps[i].Value, found = enforced, true
	}
	if !found {
		_, err := in.Enforcer.Expression("", b) // refused as an empty one is
		return nil, inParameter("query", err)
	}
	return ps, nil
}

// inParameter says which parameter a refusal is about, as Prometheus does.
func inParameter(name string, err error) error {
	if e, ok := errors.AsType[*apierr.Error](err); ok && e.Type == "bad_data" {
		e.Message = `invalid parameter "` + name + `": ` + e.Message
	}
	return err
}

// Selectors narrows every match[] parameter. A request without one is refused, as the
// upstream would; see [Rule.Added] and [Rule.Federated].
func Selectors() Rule { return selectors(required) }

// Added is Selectors for rows where no match[] would mean everything: the label
// policy's own selector is sent. Of any other rule it makes the zero Rule.
func (r Rule) Added() Rule { return r.absent(added) }

// Federated is Selectors for federation, where no match[] selects nothing, so nothing
// is sent, and one that matches nothing but empty values is none. Of any other rule it
// makes the zero Rule.
func (r Rule) Federated() Rule { return r.absent(federated) }

func (r Rule) absent(a absent) Rule {
	if !r.selectors {
		return Rule{}
	}
	return selectors(a)
}

// absent is what a row does when no match[] was sent. The zero value refuses.
type absent int

const (
	required absent = iota
	added
	federated
)

func selectors(a absent) Rule {
	return Rule{selectors: true, params: func(ps Params, in Input, b *promql.Budget) (Params, error) {
		return narrowSelectors(a, ps, in.Enforcer, b)
	}}
}

func narrowSelectors(a absent, ps Params, e *promql.Enforcer, b *promql.Budget) (Params, error) {
	enforce := e.Selector
	if a == federated {
		enforce = e.FederatedSelector
	}
	kept := make(Params, 0, len(ps)+1)
	found := false
	for _, p := range ps {
		if p.Name == matchParam {
			found = true
			enforced, err := enforce(p.Value, b)
			if err != nil {
				return nil, inParameter(matchParam, err)
			}
			if enforced == "" {
				continue
			}
			p.Value = enforced
		}
		kept = append(kept, p)
	}
	if found {
		return kept, nil
	}
	switch a {
	case added:
		return append(kept, param{matchParam, e.Everything()}), nil
	case federated:
		return kept, nil
	default:
		return nil, apierr.BadData("no match[] parameter provided")
	}
}

// TargetSelector narrows match_target, the selector of targets, and adds it where it
// is missing. The answer is filtered as well; but an upstream that says "not found"
// must not say it of somebody else's targets.
func TargetSelector() Rule {
	return Rule{params: func(ps Params, in Input, b *promql.Budget) (Params, error) {
		selector := ""
		if chosen, _ := ps.Lookup("match_target"); chosen != "" {
			var err error
			if selector, err = in.Enforcer.FederatedSelector(chosen, b); err != nil { // targets are chosen by what they lack, too
				return nil, inParameter("match_target", err)
			}
		}
		if selector == "" {
			selector = in.Enforcer.Everything()
		}
		return append(ps.without("match_target"), param{"match_target", selector}), nil
	}}
}

// LeavingOut is r for rows whose filter applies some parameters itself: it refuses
// what check refuses, and does not forward them.
func (r Rule) LeavingOut(check func(url.Values) error, applied ...string) Rule {
	if r.params == nil {
		return r
	}
	return Rule{params: func(ps Params, in Input, b *promql.Budget) (Params, error) {
		if err := check(ps.Values()); err != nil {
			return nil, err
		}
		return r.params(ps.without(applied...), in, b)
	}}
}

// RemoteRead narrows the body of a remote-read request. Such a row knows no parameters.
func RemoteRead() Rule { return Rule{body: true} }
