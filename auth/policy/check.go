package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The bounds on policies.
const (
	maxPolicies  = 1000
	maxLabels    = 16
	maxMappings  = 10_000
	maxNameBytes = 64
)

// A Mistake says what is wrong at one place in the policies.
type Mistake struct {
	At   string // such as policies[1].labels[0].values
	Want string // what was expected; it repeats no value
}

// Mistakes are all that is wrong, and what [New] returns of it.
type Mistakes []Mistake

func (ms Mistakes) Error() string {
	lines := make([]string, len(ms))
	for i, m := range ms {
		lines[i] = m.At + ": " + m.Want
	}
	return strings.Join(lines, "\n")
}

// A checker collects mistakes.
type checker struct {
	Options
	wrong Mistakes
}

// bad adds a mistake at a place in the settings.
func (c *checker) bad(at, format string, args ...any) {
	c.wrong = append(c.wrong, Mistake{at, fmt.Sprintf(format, args...)})
}

// check finds all mistakes in the policies. Messages name places and rules, and
// names that the operator chose.
func check(o Options) Mistakes {
	c := &checker{Options: o}
	if len(o.Policies) > maxPolicies {
		c.bad("policies", "want at most %d", maxPolicies)
	}
	if strings.HasPrefix(o.TenantLabel, "__") || !isLabelName(o.TenantLabel) {
		c.bad("tenancy.label", "want a label that does not begin with __ beside policies")
	}
	seen := map[string]bool{}
	for i, p := range o.Policies {
		at := fmt.Sprintf("policies[%d].", i)
		switch {
		case p.Name == "":
			c.bad(at+"name", "required")
		case !isPolicyName(p.Name):
			c.bad(at+"name", "want 1 to %d letters, digits, _ . -", maxNameBytes)
		case seen[p.Name]:
			c.bad(at+"name", "want another name: an earlier policy has this one")
		}
		seen[p.Name] = true
		c.policy(at, p)
	}
	return c.wrong
}

func isPolicyName(s string) bool {
	return s != "" && len(s) <= maxNameBytes && !slices.ContainsFunc([]byte(s), func(b byte) bool { return !isNameByte(b) })
}

func (c *checker) policy(at string, p Policy) {
	c.entries(at, p)
	for i, cond := range p.When {
		c.condition(fmt.Sprintf("%swhen[%d].", at, i), cond)
	}
	switch {
	case len(p.Labels) > maxLabels:
		c.bad(at+"labels", "want at most %d", maxLabels)
	case !slices.ContainsFunc(p.Labels, func(l Label) bool { return l.Label == c.TenantLabel }):
		c.bad(at+"labels", "want an entry for %s: every policy says whose data it grants", c.TenantLabel)
	}
	var fixed []Matcher
	for i, l := range p.Labels {
		here := fmt.Sprintf("%slabels[%d].", at, i)
		c.label(here, l)
		if slices.ContainsFunc(p.Labels[:i], func(other Label) bool { return other.Label == l.Label }) {
			c.bad(here+"label", "want one entry for each label")
		}
		if l.Claim == "" {
			fixed = append(fixed, l.matcher(c.TenantLabel))
		}
	}
	if n := len((Labels{matchers: newBox(fixed)}).String()); n > maxTextBytes {
		c.bad(at+"labels", "want lists of at most %d bytes together, written as a selector", maxTextBytes)
	}
	c.scopes(at+"scopes", p.Scopes)
	c.limits(at+"limits.", p.Limits)
}

// scopes takes a list that reads; whoever writes may read, too.
func (c *checker) scopes(at string, scopes []string) {
	known := !slices.ContainsFunc(scopes, func(s string) bool { return s != Read && s != Write })
	if scopes != nil && (!known || !slices.Contains(scopes, Read) || len(unique(scopes)) != len(scopes)) {
		c.bad(at, "want [read] or [read, write]")
	}
}

// entries checks whose tokens a policy is for.
func (c *checker) entries(at string, p Policy) {
	issuers := map[string]bool{}
	for _, e := range c.Entries {
		issuers[e.Issuer] = true
	}
	unknown := false
	for i, is := range p.Issuers {
		if !issuers[is] {
			c.bad(fmt.Sprintf("%sissuers[%d]", at, i), "want the issuer of an entry in auth.issuers, or auth.issuer")
			unknown = true
		}
	}
	all := p.grantsAllTenants(c.TenantLabel)
	switch {
	case len(p.Issuers) > 0:
	case p.Issuers != nil:
		c.bad(at+"issuers", "want at least one")
	case len(issuers) > 1:
		c.bad(at+"issuers", "required with more than one issuer: any of them could put any name into its tokens")
	case all:
		c.bad(at+"issuers", "required for all tenants")
	}
	if p.Audiences != nil && len(p.Audiences) == 0 {
		c.bad(at+"audiences", "want at least one")
	}
	mine := slices.DeleteFunc(slices.Clone(c.Entries), func(e Entry) bool { return !isFor(e, p.Issuers, p.Audiences) })
	for i, a := range p.Audiences {
		if !unknown && !slices.ContainsFunc(mine, func(e Entry) bool { return slices.Contains(e.Audiences, a) }) {
			c.bad(fmt.Sprintf("%saudiences[%d]", at, i), "want an audience that an entry of these issuers takes")
		}
	}
	if !all {
		return
	}
	if !c.Audited {
		c.bad(at+"labels", "want audit.file for a policy that grants all tenants")
	}
	for _, e := range mine {
		if !e.AllTenants {
			c.bad(at+"labels", "want allow_all_tenants for every entry whose tokens may get all tenants: it is off for %q", e.Issuer)
			break
		}
	}
}

func (c *checker) condition(at string, cond Condition) {
	c.claim(at, cond.Claim)
	switch {
	case cond.Present == (cond.AnyOf != nil):
		c.bad(at+"any_of", "want it or present: true, not both")
	case cond.AnyOf != nil && (len(cond.AnyOf) == 0 || slices.Contains(cond.AnyOf, "")):
		c.bad(at+"any_of", "want at least one value, and none empty")
	}
}

func (c *checker) claim(at, claim string) {
	if claim == "" {
		c.bad(at+"claim", "required")
	} else if _, err := ParsePath(claim); err != nil {
		c.bad(at+"claim", "%v", err)
	}
}

// label checks one entry of labels.
func (c *checker) label(at string, l Label) {
	if l.Label != c.TenantLabel && (strings.HasPrefix(l.Label, "__") || !isLabelName(l.Label)) {
		c.bad(at+"label", "want a label name of letters, digits and _ that begins with neither a digit nor __")
	}
	kinds := 0
	for _, given := range []bool{l.Claim != "", l.Values != nil, l.Except != nil, l.Any} {
		if given {
			kinds++
		}
	}
	if kinds != 1 {
		c.bad(at+"label", "want one of claim, values, except and any: true with it")
	}
	tenant := l.Label == c.TenantLabel
	switch {
	case tenant && l.Except != nil:
		c.bad(at+"except", "want another way to say which tenants: new ones would be granted unseen")
	case tenant && l.Missing:
		c.bad(at+"missing", "want it for other labels: what carries no tenant is nobody's")
	case l.Missing && l.Values == nil && l.Except == nil:
		c.bad(at+"missing", "want it with values or except")
	}
	if l.Claim == "" && (l.StripPrefix != "" || l.AddPrefix != "" || l.Map != nil || l.Allowed != nil) {
		c.bad(at+"claim", "want it with strip_prefix, add_prefix, map and allowed")
	}
	c.values(at+"values", l.Values)
	c.values(at+"except", l.Except)
	c.values(at+"allowed", l.Allowed)
	if l.Claim != "" {
		c.claim(at, l.Claim)
		c.mapping(at, l)
	}
}

// values checks a list that may stand in a matcher.
func (c *checker) values(at string, values []string) {
	switch {
	case values == nil:
	case len(values) == 0:
		c.bad(at, "want at least one value")
	case len(unique(values)) > c.MaxTenants:
		c.bad(at, "want at most %d values (tenancy.max_tenants)", c.MaxTenants)
	}
	for i, v := range values {
		if err := CheckValue(v); err != nil {
			c.bad(fmt.Sprintf("%s[%d]", at, i), "%v", err)
		}
	}
}

func (c *checker) mapping(at string, l Label) {
	switch {
	case l.Map == nil:
		return
	case len(l.Map) == 0:
		c.bad(at+"map", "want at least one entry")
	case len(l.Map) > maxMappings:
		c.bad(at+"map", "want at most %d entries", maxMappings)
	}
	if l.StripPrefix != "" || l.AddPrefix != "" {
		c.bad(at+"map", "want it without strip_prefix and add_prefix")
	}
	seen := map[string]bool{}
	for i, m := range l.Map {
		here := fmt.Sprintf("%smap[%d].", at, i)
		switch {
		case m.From == "":
			c.bad(here+"from", "required")
		case seen[m.From]:
			c.bad(here+"from", "want each value once")
		}
		seen[m.From] = true
		if len(m.To) == 0 {
			c.bad(here+"to", "want at least one value")
		}
		for j, v := range m.To {
			if err := CheckValue(v); err != nil {
				c.bad(fmt.Sprintf("%sto[%d]", here, j), "%v", err)
			}
		}
	}
}

// limits holds a policy's limits to the bounds of the global ones.
func (c *checker) limits(at string, s LimitSettings) {
	least := func(name string, limit *int, least int) {
		if limit != nil && *limit < least {
			c.bad(at+name, "want a number of at least %d", least)
		}
	}
	least("requests_per_second", s.RequestsPerSecond, 0)
	least("burst", s.Burst, 0)
	least("concurrent_requests", s.ConcurrentRequests, 0)
	least("max_points", s.MaxPoints, 0)
	least("max_query_bytes", s.MaxQueryBytes, 1)
	least("max_query_terms", s.MaxQueryTerms, 1)
	if s.MaxRange != nil && *s.MaxRange < time.Duration(0) {
		c.bad(at+"max_range", "want a duration of 0s or more")
	}
	rate := c.Limits.RequestsPerSecond
	set(&rate, s.RequestsPerSecond)
	if s.Burst != nil && *s.Burst > 0 && rate == 0 {
		c.bad(at+"burst", "want requests_per_second with it")
	}
}
