package proxy

import (
	"context"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/record"
)

// A probe that went well is good for ten minutes, and one that did not is repeated
// after ten seconds. The upstream here is none: whoever asks it fails.
func TestAProbesOutcomeHoldsForItsTime(t *testing.T) {
	rules, err := policy.New(policy.Options{
		TenantLabel: "tenant_id", MaxTenants: 1, Entries: []policy.Entry{{Issuer: "idp"}},
		Policies: []policy.Policy{{Name: "team", Labels: []policy.Label{{Label: "tenant_id", Values: []string{"acme"}}, {Label: "env", Except: []string{"prod"}}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := rules.Decide(policy.Token{Issuer: "idp"}, policy.Narrowing{})
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	p, err := New(Options{
		Options: record.Options{Registerer: registry},
		Auth:    acme{auth.Identity{Labels: d.Labels}}, Ready: func() error { return nil }, Label: "tenant_id", OnConflict: Intersect, LabelPolicy: true, TenantHeader: "X-Scope-OrgID",
		Upstream: &url.URL{Scheme: "unix", Path: "/nowhere"}, UpstreamTimeout: time.Second,
		Limits: Limits{QueryBytes: 1 << 10, QueryDepth: 10, QueryTerms: 100, Selectors: 10, BodyBytes: 1 << 10},
	})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		holds := func() bool { return p.probe(t.Context(), "id", "acme", d.Labels) == nil }
		good := func(context.Context) (probeOutcome, error) { return probeOutcome{}, nil }
		if _, err := p.probes.outcomes.Of(t.Context(), d.Labels.Key(), time.Second, good); err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			after time.Duration
			want  bool
		}{{0, true}, {10*time.Minute - 1, true}, {1, false}, {10*time.Second - 1, false}} {
			time.Sleep(step.after)
			if got := holds(); got != step.want {
				t.Errorf("after %s more: %v", step.after, got)
			}
		}
		asked := func() float64 { return failures(t, registry) }
		if got := asked(); got != 1 {
			t.Errorf("asked %v times within the ten seconds of a failure", got)
		}
		time.Sleep(time.Nanosecond)
		if holds() || asked() != 2 {
			t.Errorf("asked %v times after them", asked())
		}
	})
}

// failures is how many probes failed.
func failures(t *testing.T, r prometheus.Gatherer) (n float64) {
	t.Helper()
	all, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range all {
		for _, m := range family.GetMetric() {
			if family.GetName() == "promfence_label_policy_probes_total" && m.GetLabel()[0].GetValue() == "failed" {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}
