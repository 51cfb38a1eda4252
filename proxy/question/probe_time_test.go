package question

import (
	"context"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/upstream"
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
	failed := 0
	nowhere := upstream.New(upstream.Options{URL: &url.URL{Scheme: "unix", Path: "/nowhere"}, LabelPolicy: true, TenantHeader: "X-Scope-OrgID"})
	synctest.Test(t, func(t *testing.T) {
		a := New(Options{Upstream: nowhere, LabelPolicy: true, Timeout: time.Second, Probed: func(_, _ string, _ bool, err error) {
			if err != nil {
				failed++
			}
		}})
		holds := func() bool { return a.HoldsLabelPolicy(t.Context(), "id", d.Labels) == nil }
		good := func(context.Context) (probeOutcome, error) { return probeOutcome{}, nil }
		l, err := d.Labels.ForTenant("acme")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.probes.Of(t.Context(), l.Key(), time.Second, good); err != nil {
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
		if failed != 1 {
			t.Errorf("asked %d times within the ten seconds of a failure", failed)
		}
		time.Sleep(time.Nanosecond)
		if holds() || failed != 2 {
			t.Errorf("asked %d times after them", failed)
		}
	})
}
