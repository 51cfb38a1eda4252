package proxy

import (
	"errors"
	"net/url"

	"github.com/promfence/promfence/proxy/filter"
	"github.com/promfence/promfence/proxy/promql"
	"github.com/promfence/promfence/proxy/remoteread"
)

// A Scope narrows one request: it returns the parameters to send, in which
// every selector holds the tenant's matcher, or refuses.
type Scope func(ps params, m *tenantMatcher, b *promql.Budget) (params, error)

// A Body narrows a request whose body is not a form: it returns the body to
// send, or refuses. Such a row knows no parameters.
type Body func(l Limits, body []byte, m *tenantMatcher, b *promql.Budget) ([]byte, error)

// maxSelectors bounds the match[] parameters of one request.
const maxSelectors = 100

// scopeReadRequest narrows a remote-read request.
func (l Limits) scopeReadRequest(body []byte, m *tenantMatcher, b *promql.Budget) ([]byte, error) {
	return remoteread.Narrow(body, m.enforcer, b, l.BodyBytes)
}

// expression narrows the parameter query, a PromQL expression.
func expression(ps params, m *tenantMatcher, b *promql.Budget) (params, error) {
	found := false
	for i, p := range ps {
		if p.name != "query" {
			continue
		}
		enforced, err := m.enforcer.Expression(p.value, b)
		if err != nil {
			return nil, inParameter("query", err)
		}
		ps[i].value, found = enforced, true
	}
	if !found {
		_, err := m.enforcer.Expression("", b) // refused as an empty one is
		return nil, inParameter("query", err)
	}
	return ps, nil
}

// inParameter says which parameter a refusal is about, as Prometheus does.
func inParameter(name string, err error) error {
	if e, ok := errors.AsType[*apiError](err); ok && e.Type == "bad_data" {
		e.Message = `invalid parameter "` + name + `": ` + e.Message
	}
	return err
}

// What a row does when no match[] was sent.
type absent int

const (
	required  absent = iota // it is refused, as the upstream would
	added                   // the tenant's own selector is sent
	federated               // nothing is selected, so nothing is sent
)

// selectors narrows every match[] parameter.
func selectors(none absent) Scope {
	return func(ps params, m *tenantMatcher, b *promql.Budget) (params, error) {
		enforce := m.enforcer.Selector
		if none == federated {
			enforce = m.enforcer.FederatedSelector
		}
		kept := make(params, 0, len(ps)+1)
		count := 0
		for _, p := range ps {
			if p.name == "match[]" {
				if count++; count > maxSelectors {
					return nil, badData("too many match[] parameters: at most %d are accepted", maxSelectors)
				}
				enforced, err := enforce(p.value, b)
				if err != nil {
					return nil, inParameter("match[]", err)
				}
				if enforced == "" {
					continue
				}
				p.value = enforced
			}
			kept = append(kept, p)
		}
		if count > 0 {
			return kept, nil
		}
		switch none {
		case added:
			return append(kept, param{"match[]", m.enforcer.Everything()}), nil
		case federated:
			return kept, nil
		}
		return nil, badData("no match[] parameter provided")
	}
}

// maxFormatTerms bounds a query that the upstream is asked to format: its
// formatter takes seconds for a sum of a thousand terms.
const maxFormatTerms = 300

// parsed bounds and parses a query that reads no data, and sends it as it is.
// A positive maxTerms is a narrower bound than the setting.
func parsed(maxTerms int) Scope {
	return func(ps params, _ *tenantMatcher, b *promql.Budget) (params, error) {
		query, _ := ps.lookup("query")
		if err := promql.Check(query, b, maxTerms); err != nil {
			return nil, inParameter("query", err)
		}
		return ps, nil
	}
}

// ownTargets narrows match_target, the selector of targets. The answer is
// filtered as well; but an upstream that says "not found" must not say it of
// somebody else's targets.
func ownTargets(ps params, m *tenantMatcher, b *promql.Budget) (params, error) {
	if err := filter.CheckMetadata(ps.values()); err != nil {
		return nil, err
	}
	selector := ""
	if chosen, _ := ps.lookup("match_target"); chosen != "" {
		var err error
		if selector, err = m.enforcer.FederatedSelector(chosen, b); err != nil { // targets are chosen by what they lack, too
			return nil, inParameter("match_target", err)
		}
	}
	if selector == "" {
		selector = m.enforcer.Everything()
	}
	return append(ps.without("limit", "match_target"), param{"match_target", selector}), nil
}

// checked is for rows whose answer is filtered. It refuses what promfence's own
// part of the work would stumble on, leaves the parameters out that the filter
// applies, and spells selectors afresh: they choose among elements, all of
// which the filter still looks at.
func checked(check func(url.Values) error, ours ...string) Scope {
	return func(ps params, _ *tenantMatcher, b *promql.Budget) (params, error) {
		if check != nil {
			if err := check(ps.values()); err != nil {
				return nil, err
			}
		}
		ps = ps.without(ours...)
		for i, p := range ps {
			if p.name != "match[]" {
				continue
			}
			spelled, err := promql.Respell(p.value, b)
			if err != nil {
				return nil, inParameter(p.name, err)
			}
			ps[i].value = spelled
		}
		return ps, nil
	}
}

func isWord(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
}
