package policy_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/auth/policy"
)

// limited is a policy for one tenant with limits.
func limited(name, tenant string, s policy.LimitSettings) policy.Policy {
	p := granting(name, values("tenant_id", tenant))
	p.Limits = s
	return p
}

func TestTheMoreGenerousLimitCounts(t *testing.T) {
	n := func(i int) *int { return &i }
	global := policy.Limits{RequestsPerSecond: 10, ConcurrentRequests: 4, MaxRange: time.Hour, MaxPoints: 100, MaxQueryBytes: 1000, MaxQueryTerms: 50}
	hour, day := time.Hour, 24*time.Hour
	var none time.Duration
	for _, tt := range []struct {
		name string
		a, b policy.LimitSettings
		want func(*policy.Limits)
	}{
		{"the global ones", policy.LimitSettings{}, policy.LimitSettings{}, func(l *policy.Limits) { l.Burst = 10 }},
		{
			"the larger one",
			policy.LimitSettings{RequestsPerSecond: n(5), MaxRange: &day, MaxQueryBytes: n(5)},
			policy.LimitSettings{RequestsPerSecond: n(7), MaxRange: &hour, MaxQueryBytes: n(7)},
			func(l *policy.Limits) { l.RequestsPerSecond, l.Burst, l.MaxRange, l.MaxQueryBytes = 7, 7, day, 7 },
		},
		{
			"the global one of a policy that sets none",
			policy.LimitSettings{RequestsPerSecond: n(5), MaxPoints: n(5)},
			policy.LimitSettings{},
			func(l *policy.Limits) { l.Burst = 10 },
		},
		{
			"none beats all",
			policy.LimitSettings{RequestsPerSecond: n(0), ConcurrentRequests: n(0), MaxRange: &none, MaxPoints: n(0)},
			policy.LimitSettings{RequestsPerSecond: n(7)},
			func(l *policy.Limits) { *l = policy.Limits{MaxQueryBytes: 1000, MaxQueryTerms: 50} },
		},
		{
			"a burst of 0 is as many as in a second",
			policy.LimitSettings{RequestsPerSecond: n(5), Burst: n(6)},
			policy.LimitSettings{RequestsPerSecond: n(9), Burst: n(0)},
			func(l *policy.Limits) { l.RequestsPerSecond, l.Burst = 9, 9 },
		},
		{
			"the burst of another policy",
			policy.LimitSettings{RequestsPerSecond: n(5), Burst: n(60)},
			policy.LimitSettings{RequestsPerSecond: n(9)},
			func(l *policy.Limits) { l.RequestsPerSecond, l.Burst = 9, 60 },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := options(limited("a", "x", tt.a), limited("b", "y", tt.b))
			o.Limits = global
			r, err := policy.New(o)
			if err != nil {
				t.Fatal(err)
			}
			d, err := r.Decide(token(t, `{}`), policy.Narrowing{})
			if err != nil {
				t.Fatal(err)
			}
			want := global
			tt.want(&want)
			if diff := cmp.Diff(want, d.Limits); diff != "" {
				t.Errorf("limits (-want +got):\n%s", diff)
			}
		})
	}
}

// A caller who chooses gets the other limits of the chosen policy, and neither another
// bucket nor another rate.
func TestChoosingChangesNoRate(t *testing.T) {
	n := func(i int) *int { return &i }
	named := limited("c", "z", policy.LimitSettings{RequestsPerSecond: n(3), MaxPoints: n(30)})
	named.OnlyWhenNamed = new(bool)
	*named.OnlyWhenNamed = true
	o := options(
		limited("a", "x", policy.LimitSettings{RequestsPerSecond: n(1), ConcurrentRequests: n(1), MaxPoints: n(10)}),
		limited("b", "y", policy.LimitSettings{RequestsPerSecond: n(2), ConcurrentRequests: n(2), MaxPoints: n(20)}),
		named,
	)
	o.Limits = policy.Limits{MaxPoints: 5, ConcurrentRequests: 1}
	r, err := policy.New(o)
	if err != nil {
		t.Fatal(err)
	}
	first, err := r.Decide(token(t, `{}`), policy.Narrowing{})
	if err != nil || first.Bucket == "" {
		t.Fatalf("bucket %q, %v", first.Bucket, err)
	}
	for _, tt := range []struct {
		policies, tenants string
		points            int
	}{{"", "", 20}, {"a", "", 10}, {"b", "", 20}, {"c", "", 30}, {"a,b", "", 20}, {"", "x", 20}, {"a,c", "z", 30}} {
		d, err := r.Decide(token(t, `{}`), narrowing(t, tt.policies, tt.tenants))
		if err != nil {
			t.Fatal(err)
		}
		if d.Bucket != first.Bucket || d.Limits.RequestsPerSecond != 3 || d.Limits.Burst != 3 || d.Limits.ConcurrentRequests != 2 {
			t.Errorf("%+v: another bucket or rate: %+v", tt, d.Limits)
		}
		if d.Limits.MaxPoints != tt.points {
			t.Errorf("%+v: %d points", tt, d.Limits.MaxPoints)
		}
	}
}

// The bucket is that of the policies with what they grant.
func TestBucketsOfDifferentGrantsDiffer(t *testing.T) {
	conditional := granting("b", values("tenant_id", "acme"))
	conditional.When = []policy.Condition{{Claim: "lead", Present: true}}
	r := rules(t, granting("a", claimed("g")), conditional)
	seen := map[string]string{}
	for _, claims := range []string{`{"g":"acme"}`, `{"g":"globex"}`, `{"g":["acme","globex"]}`, `{"g":"acme","lead":1}`, `{"lead":1}`} {
		d, err := r.Decide(token(t, claims), policy.Narrowing{})
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[d.Bucket]; ok {
			t.Errorf("%s and %s share a bucket", claims, other)
		}
		seen[d.Bucket] = claims
	}
	a, _ := r.Decide(token(t, `{"g":["acme","globex"],"sub":"alice"}`), policy.Narrowing{})
	b, _ := r.Decide(token(t, `{"g":["globex","acme"],"sub":"bob"}`), policy.Narrowing{})
	if a.Bucket != b.Bucket {
		t.Error("the same grants have different buckets")
	}
}
