package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/promfence/promfence/auth/policy"
)

// crowd is 500 policies for members of a group each, and a token with 200 groups, of
// which some are in a policy.
func crowd(t testing.TB) (*policy.Rules, policy.Token) {
	var policies []policy.Policy
	for i := range 500 {
		policies = append(policies, policy.Policy{
			Name: fmt.Sprintf("team-%d", i), Issuers: []string{idp},
			When:   []policy.Condition{{Claim: "groups", AnyOf: []string{fmt.Sprintf("team-%d-readers", i), fmt.Sprintf("team-%d-owners", i)}}},
			Labels: []policy.Label{values("tenant_id", "acme"), values("namespace", fmt.Sprintf("ns-%d", i))},
		})
	}
	r, err := policy.New(options(policies...))
	if err != nil {
		t.Fatal(err)
	}
	var groups []string
	for i := range 200 {
		name := fmt.Sprintf("%q", fmt.Sprintf("some-other-group-of-the-company-%d", i))
		if i%20 == 0 {
			name = fmt.Sprintf("%q", fmt.Sprintf("team-%d-readers", i))
		}
		groups = append(groups, name)
	}
	return r, token(t, `{"groups":[`+strings.Join(groups, ",")+`]}`)
}

func BenchmarkDecide(b *testing.B) {
	r, tok := crowd(b)
	b.ReportAllocs()
	for b.Loop() {
		if d, err := r.Decide(tok, policy.Narrowing{}); err != nil || len(d.Policies) != 10 {
			b.Fatalf("%v, %v", d.Policies, err)
		}
	}
}

// BenchmarkDecideAll is the same for somebody who is in every group.
func BenchmarkDecideAll(b *testing.B) {
	var policies []policy.Policy
	var groups []string
	for i := range 500 {
		group := fmt.Sprintf("group-%d", i%200)
		groups = append(groups, fmt.Sprintf("%q", group))
		policies = append(policies, policy.Policy{
			Name: fmt.Sprintf("p-%d", i), Issuers: []string{idp}, When: []policy.Condition{{Claim: "groups", AnyOf: []string{group}}},
			Labels: []policy.Label{values("tenant_id", "acme"), values("namespace", fmt.Sprintf("ns-%d", i%20))},
		})
	}
	r, err := policy.New(options(policies...))
	if err != nil {
		b.Fatal(err)
	}
	tok := token(b, `{"groups":[`+strings.Join(groups[:200], ",")+`]}`)
	b.ReportAllocs()
	for b.Loop() {
		if d, err := r.Decide(tok, policy.Narrowing{}); err != nil || len(d.Policies) != 500 {
			b.Fatalf("%v, %v", d.Policies, err)
		}
	}
}

// BenchmarkNew compiles 1000 policies and looks for pairs that cannot be joined.
func BenchmarkNew(b *testing.B) {
	var policies []policy.Policy
	for i := range 1000 {
		policies = append(policies, policy.Policy{
			Name: fmt.Sprintf("p-%d", i), Issuers: []string{idp}, When: []policy.Condition{{Claim: "groups", AnyOf: []string{fmt.Sprint(i)}}},
			Labels: []policy.Label{values("tenant_id", fmt.Sprint("t", i))},
		})
	}
	for b.Loop() {
		r, err := policy.New(options(policies...))
		if err != nil || len(r.Warnings()) > 0 {
			b.Fatal(err)
		}
	}
}
