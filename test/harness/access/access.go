// Package access has identities that may see a part of several labels, for tests of
// what they see: as policies in promfence's file, as a token's claims, and as the
// label policy that has to come of both.
//
// The labels are tenant_id, tier and realm, which no expression of Prometheus's own
// tests knows.
package access

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/promfence/promfence/auth/policy"
)

// An Access is what one token may see.
type Access struct {
	Name     string
	Policies []policy.Policy
	Claims   map[string]any
	Selector string // the label policy, as a query for all that may be seen
}

func granted(name string, labels ...policy.Label) policy.Policy {
	return policy.Policy{Name: name, When: []policy.Condition{{Claim: "groups", AnyOf: []string{name}}}, Labels: labels}
}

var (
	acme      = policy.Label{Label: "tenant_id", Values: []string{"acme"}}
	byTenants = policy.Label{Label: "tenant_id", Claim: "tenants"}
)

// Cases are two and three labels, with values, except and missing, by one policy and
// by several.
var Cases = []Access{
	{
		"two labels",
		[]policy.Policy{granted("a", acme, policy.Label{Label: "tier", Values: []string{"dev", "stage"}})},
		map[string]any{"groups": "a"},
		`{tenant_id="acme",tier=~"dev|stage"}`,
	},
	{
		"three labels, all but one",
		[]policy.Policy{granted("a", byTenants, policy.Label{Label: "tier", Except: []string{"prod"}}, policy.Label{Label: "realm", Values: []string{"eu"}})},
		map[string]any{"groups": "a", "tenants": "acme"},
		`{tenant_id="acme",realm="eu",tier!~"prod|"}`,
	},
	{
		"what lacks a label, too",
		[]policy.Policy{granted("a", byTenants, policy.Label{Label: "tier", Values: []string{"dev"}, Missing: true})},
		map[string]any{"groups": "a", "tenants": []string{"acme", "beta"}},
		`{tenant_id=~"acme|beta",tier=~"dev|"}`,
	},
	{
		"joined policies",
		[]policy.Policy{
			granted("a", acme, policy.Label{Label: "tier", Except: []string{"prod", "stage"}, Missing: true}),
			granted("b", acme, policy.Label{Label: "tier", Values: []string{"stage"}}),
		},
		map[string]any{"groups": []string{"a", "b"}},
		`{tenant_id="acme",tier!="prod"}`,
	},
}

// Labels is the label policy that the policies make of the claims, narrowed to the
// tenants, if any.
func (a Access) Labels(t testing.TB, tenants ...string) policy.Labels {
	t.Helper()
	rules, err := policy.New(policy.Options{
		TenantLabel: "tenant_id", MaxTenants: 20, Policies: a.Policies, Entries: []policy.Entry{{Issuer: "idp"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(a.Claims)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := policy.ParseClaims(text)
	if err != nil {
		t.Fatal(err)
	}
	n, err := policy.ParseNarrowing(nil, tenants, 20)
	if err != nil {
		t.Fatal(err)
	}
	d, err := rules.Decide(policy.Token{Issuer: "idp", Claims: claims}, n)
	if err != nil {
		t.Fatal(err)
	}
	return d.Labels
}

// File is the section policies of promfence's file: JSON, which is YAML.
func File(t testing.TB, all ...policy.Policy) []byte {
	t.Helper()
	var entries []map[string]any
	for _, p := range all {
		entry := map[string]any{"name": p.Name, "labels": list(p.Labels, label)}
		if len(p.When) > 0 {
			entry["when"] = list(p.When, func(c policy.Condition) map[string]any { return map[string]any{"claim": c.Claim, "any_of": c.AnyOf} })
		}
		entries = append(entries, entry)
	}
	text, err := json.Marshal(map[string]any{"policies": entries})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func label(l policy.Label) map[string]any {
	out := map[string]any{"label": l.Label}
	maps.Copy(out, map[string]any{"claim": l.Claim, "values": l.Values, "except": l.Except, "missing": l.Missing})
	maps.DeleteFunc(out, func(_ string, v any) bool {
		texts, isList := v.([]string)
		return v == "" || v == false || isList && texts == nil
	})
	return out
}

func list[T any](from []T, turn func(T) map[string]any) (out []map[string]any) {
	for _, v := range from {
		out = append(out, turn(v))
	}
	return out
}

// Copies are label sets of the policy's labels: all that it allows, and all that
// differ from one of these in a single label, or lack it. The values are those that
// it names, and one that nobody names.
func Copies(l policy.Labels) (seen, others []map[string]string) {
	all := []map[string]string{{}}
	for _, m := range l.Matchers() {
		var next []map[string]string
		for _, base := range all {
			for _, v := range slices.Concat(m.Values, []string{"unnamed", ""}) {
				one := maps.Clone(base)
				one[m.Label] = v
				next = append(next, one)
			}
		}
		all = next
	}
	for _, one := range all {
		if l.Allows(func(name string) string { return one[name] }) {
			seen = append(seen, one)
		}
	}
	for _, one := range all {
		near := slices.ContainsFunc(seen, func(s map[string]string) bool { return distance(s, one) == 1 })
		if near && !l.Allows(func(name string) string { return one[name] }) {
			others = append(others, one)
		}
	}
	return seen, others
}

func distance(a, b map[string]string) (n int) {
	for name := range a {
		if a[name] != b[name] {
			n++
		}
	}
	return n
}
