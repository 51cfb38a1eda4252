package proxy

import (
	"errors"
	"net/url"

	"github.com/prometheus/prometheus/promql/parser"
)

// A Scope narrows one request: it returns the parameters to send, in which
// every selector holds the tenant's matcher, or refuses.
type Scope func(ps params, m *tenantMatcher, b *budget) (params, error)

// A Body narrows a request whose body is not a form: it returns the body to
// send, or refuses. Such a row knows no parameters.
type Body func(body []byte, m *tenantMatcher, b *budget) ([]byte, error)

// expression narrows the parameter query, a PromQL expression.
func expression(ps params, m *tenantMatcher, b *budget) (params, error) {
	found := false
	for i, p := range ps {
		if p.name != "query" {
			continue
		}
		enforced, err := m.expression(p.value, b)
		if err != nil {
			return nil, inParameter("query", err)
		}
		ps[i].value, found = enforced, true
	}
	if !found {
		_, err := m.expression("", b) // refused as an empty one is
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
	return func(ps params, m *tenantMatcher, b *budget) (params, error) {
		kept := make(params, 0, len(ps)+1)
		count := 0
		for _, p := range ps {
			if p.name == "match[]" {
				if count++; count > maxSelectors {
					return nil, badData("too many match[] parameters: at most %d are accepted", maxSelectors)
				}
				enforced, err := m.selector(p.value, b, none == federated)
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
			return append(kept, param{"match[]", m.own()}), nil
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
	return func(ps params, _ *tenantMatcher, b *budget) (params, error) {
		query, _ := ps.lookup("query")
		if err := b.charge(query); err != nil {
			return nil, inParameter("query", err)
		}
		if maxTerms > 0 && b.terms > maxTerms {
			return nil, inParameter("query", badData(
				"the query has too many terms to be formatted: at most %d operators, commas, brackets and names are accepted", maxTerms))
		}
		if _, err := promQL.ParseExpr(query); err != nil {
			return nil, inParameter("query", refusedByParser(err))
		}
		return ps, nil
	}
}

// ownTargets narrows match_target, the selector of targets. The answer is
// filtered as well; but an upstream that says "not found" must not say it of
// somebody else's targets.
func ownTargets(ps params, m *tenantMatcher, b *budget) (params, error) {
	if err := checkMetadataParams(ps.values()); err != nil {
		return nil, err
	}
	selector := ""
	if chosen, _ := ps.lookup("match_target"); chosen != "" {
		var err error
		if selector, err = m.selector(chosen, b, true); err != nil { // targets are chosen by what they lack, too
			return nil, inParameter("match_target", err)
		}
	}
	if selector == "" {
		selector = m.own()
	}
	return append(ps.without("limit", "match_target"), param{"match_target", selector}), nil
}

// checked is for rows whose answer is filtered. It refuses what promfence's own
// part of the work would stumble on, leaves the parameters out that the filter
// applies, and spells selectors afresh: they choose among elements, all of
// which the filter still looks at.
func checked(check func(url.Values) error, ours ...string) Scope {
	return func(ps params, _ *tenantMatcher, b *budget) (params, error) {
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
			ms, err := parseSelector(p.value, b)
			if err != nil {
				return nil, inParameter(p.name, err)
			}
			if ps[i].value = "{}"; len(ms) > 0 { // the printer spells no matchers as nothing
				ps[i].value = (&parser.VectorSelector{LabelMatchers: ms}).String()
			}
		}
		return ps, nil
	}
}

func isWord(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
}
