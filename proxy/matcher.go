package proxy

import (
	"errors"
	"strings"

	"github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/promql"
)

// The values of Options.OnConflict.
const (
	Intersect = promql.Intersect
	Reject    = promql.Reject
)

// errTenantLabel is a label policy made for another tenant label than the answers'
// filters look at.
var errTenantLabel = errors.New("the label policy is for another tenant label")

// A tenantMatcher is a label policy ready to be enforced, and its tenants as the log,
// the metrics and a header spell them.
type tenantMatcher struct {
	*labels.Matcher // on the tenant label: one value or several
	enforcer        *promql.Enforcer
	labels          policy.Labels
	all             bool // tenants, none of which is named
	list            []string
	names           string // joined
}

// A matcherCache keeps the matchers of the latest label policies.
type matcherCache struct {
	label     string
	enforcers *promql.Enforcers
	kept      *lru.Cache[string, *tenantMatcher]
}

const keptMatchers = 512

func newMatcherCache(label, onConflict string, m *metrics) *matcherCache {
	kept, err := lru.New[string, *tenantMatcher](keptMatchers)
	if err != nil { // the size is a positive constant
		panic(err)
	}
	enforcers := promql.NewEnforcers(promql.Options{OnConflict: onConflict, Hit: m.cacheHits.Inc, Miss: m.cacheMisses.Inc})
	return &matcherCache{label, enforcers, kept}
}

func (c *matcherCache) of(l policy.Labels) (*tenantMatcher, error) {
	if m, ok := c.kept.Get(l.Key()); ok {
		return m, nil
	}
	if l.TenantLabel() != c.label {
		return nil, internal(errTenantLabel)
	}
	e, err := c.enforcers.For(l)
	if err != nil {
		return nil, err
	}
	names, all := l.Tenants()
	m := &tenantMatcher{
		Matcher:  &labels.Matcher{Type: labels.MatchEqual, Name: c.label, Value: strings.Join(names, "|")},
		enforcer: e, labels: l, all: all, list: names, names: strings.Join(names, "|"),
	}
	if len(names) != 1 {
		m.Type = labels.MatchRegexp
	}
	c.kept.Add(l.Key(), m)
	return m, nil
}
