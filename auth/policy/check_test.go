package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/auth/policy"
)

// good is a policy without a mistake.
func good() policy.Policy {
	return policy.Policy{Name: "p", Issuers: []string{idp}, Labels: []policy.Label{values("tenant_id", "acme")}}
}

func many(n int, format string) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf(format, i))
	}
	return out
}

// Each mistake, by what is changed in a policy without any, and where it is reported.
func TestMistakes(t *testing.T) {
	type p = policy.Policy
	minus, zero, three := -1, 0, 3
	ago := -time.Second
	yes := true
	for _, tt := range []struct {
		name   string
		change func(*policy.Options, *policy.Policy)
		at     string // "": no mistake
	}{
		{"none", func(*policy.Options, *p) {}, ""},
		{"no name", func(_ *policy.Options, p *p) { p.Name = "" }, "policies[0].name"},
		{"a name with a space", func(_ *policy.Options, p *p) { p.Name = "a b" }, "policies[0].name"},
		{"a name of 64 bytes", func(_ *policy.Options, p *p) { p.Name = strings.Repeat("a", 64) }, ""},
		{"a name of 65 bytes", func(_ *policy.Options, p *p) { p.Name = strings.Repeat("a", 65) }, "policies[0].name"},
		{"a name twice", func(o *policy.Options, _ *p) { o.Policies = append(o.Policies, good()) }, "policies[1].name"},
		{"too many", func(o *policy.Options, _ *p) {
			for i := range 1000 {
				q := good()
				q.Name = fmt.Sprint(i)
				o.Policies = append(o.Policies, q)
			}
		}, "policies"},

		{"an unknown issuer", func(_ *policy.Options, p *p) { p.Issuers = []string{"https://other"} }, "policies[0].issuers[0]"},
		{"an empty list of issuers", func(_ *policy.Options, p *p) { p.Issuers = []string{} }, "policies[0].issuers"},
		{"no issuers with one issuer", func(_ *policy.Options, p *p) { p.Issuers = nil }, ""},
		{"no issuers with one issuer twice", func(o *policy.Options, p *p) {
			o.Entries = append(o.Entries, policy.Entry{Issuer: idp, Audiences: []string{"x"}})
			p.Issuers = nil
		}, ""},
		{"no issuers with two issuers", func(o *policy.Options, p *p) {
			o.Entries = append(o.Entries, policy.Entry{Issuer: "https://b"})
			p.Issuers = nil
		}, "policies[0].issuers"},
		{"an audience", func(_ *policy.Options, p *p) { p.Audiences = []string{"metrics"} }, ""},
		{"an unknown audience", func(_ *policy.Options, p *p) { p.Audiences = []string{"metrics", "other"} }, "policies[0].audiences[1]"},
		{"an audience of another issuer", func(o *policy.Options, p *p) {
			o.Entries = append(o.Entries, policy.Entry{Issuer: "https://b", Audiences: []string{"b"}})
			p.Audiences = []string{"b"}
		}, "policies[0].audiences[0]"},
		{"an empty list of audiences", func(_ *policy.Options, p *p) { p.Audiences = []string{} }, "policies[0].audiences"},

		{"a condition without claim", func(_ *policy.Options, p *p) { p.When = []policy.Condition{{Present: true}} }, "policies[0].when[0].claim"},
		{"a claim that is no path", func(_ *policy.Options, p *p) { p.When = []policy.Condition{{Claim: "a..b", Present: true}} }, "policies[0].when[0].claim"},
		{"a star alone", func(_ *policy.Options, p *p) { p.When = []policy.Condition{{Claim: "*", Present: true}} }, "policies[0].when[0].claim"},
		{"a star inside", func(_ *policy.Options, p *p) { p.When = []policy.Condition{{Claim: "a.*.b", Present: true}} }, "policies[0].when[0].claim"},
		{"a condition without values", func(_ *policy.Options, p *p) { p.When = []policy.Condition{{Claim: "a"}} }, "policies[0].when[0].any_of"},
		{"a condition with both", func(_ *policy.Options, p *p) {
			p.When = []policy.Condition{{Claim: "a", AnyOf: []string{"x"}, Present: true}}
		}, "policies[0].when[0].any_of"},
		{"an empty any_of", func(_ *policy.Options, p *p) { p.When = []policy.Condition{{Claim: "a", AnyOf: []string{}}} }, "policies[0].when[0].any_of"},
		{"an empty value in any_of", func(_ *policy.Options, p *p) { p.When = []policy.Condition{{Claim: "a", AnyOf: []string{""}}} }, "policies[0].when[0].any_of"},

		{"no labels", func(_ *policy.Options, p *p) { p.Labels = nil }, "policies[0].labels"},
		{"no tenant", func(_ *policy.Options, p *p) { p.Labels = []policy.Label{values("env", "dev")} }, "policies[0].labels"},
		{"a label twice", func(_ *policy.Options, p *p) { p.Labels = append(p.Labels, values("tenant_id", "globex")) }, "policies[0].labels[1].label"},
		{"16 labels", func(_ *policy.Options, p *p) {
			for _, l := range many(15, "l%d") {
				p.Labels = append(p.Labels, values(l, "x"))
			}
		}, ""},
		{"17 labels", func(_ *policy.Options, p *p) {
			for _, l := range many(16, "l%d") {
				p.Labels = append(p.Labels, values(l, "x"))
			}
		}, "policies[0].labels"},
		{"no label", func(_ *policy.Options, p *p) { p.Labels = append(p.Labels, values("", "x")) }, "policies[0].labels[1].label"},
		{"a label that is none", func(_ *policy.Options, p *p) { p.Labels = append(p.Labels, values("a-b", "x")) }, "policies[0].labels[1].label"},
		{"the metric's name", func(_ *policy.Options, p *p) { p.Labels = append(p.Labels, values("__name__", "x")) }, "policies[0].labels[1].label"},
		{"a label that begins with __", func(_ *policy.Options, p *p) { p.Labels = append(p.Labels, values("__x", "x")) }, "policies[0].labels[1].label"},
		{"a tenant label that begins with __", func(o *policy.Options, p *p) {
			o.TenantLabel, p.Labels = "__tenant", []policy.Label{values("__tenant", "x")}
		}, "tenancy.label"},
		{"no kind", func(_ *policy.Options, p *p) { p.Labels = append(p.Labels, policy.Label{Label: "env"}) }, "policies[0].labels[1].label"},
		{"two kinds", func(_ *policy.Options, p *p) {
			p.Labels = append(p.Labels, policy.Label{Label: "env", Values: []string{"x"}, Except: []string{"y"}})
		}, "policies[0].labels[1].label"},
		{"values and any", func(_ *policy.Options, p *p) {
			p.Labels = append(p.Labels, policy.Label{Label: "env", Values: []string{"x"}, Any: true})
		}, "policies[0].labels[1].label"},
		{"claim and values", func(_ *policy.Options, p *p) {
			p.Labels = append(p.Labels, policy.Label{Label: "env", Claim: "c", Values: []string{"x"}})
		}, "policies[0].labels[1].label"},
		{"any on another label", func(_ *policy.Options, p *p) { p.Labels = append(p.Labels, policy.Label{Label: "env", Any: true}) }, ""},

		{"except on the tenant label", func(_ *policy.Options, p *p) { p.Labels = []policy.Label{except("tenant_id", "x")} }, "policies[0].labels[0].except"},
		{"missing on the tenant label", func(_ *policy.Options, p *p) { p.Labels[0].Missing = true }, "policies[0].labels[0].missing"},
		{"missing with claim", func(_ *policy.Options, p *p) {
			p.Labels = append(p.Labels, policy.Label{Label: "env", Claim: "c", Missing: true})
		}, "policies[0].labels[1].missing"},
		{"missing with any", func(_ *policy.Options, p *p) {
			p.Labels = append(p.Labels, policy.Label{Label: "env", Any: true, Missing: true})
		}, "policies[0].labels[1].missing"},
		{"missing with values", func(_ *policy.Options, p *p) {
			p.Labels = append(p.Labels, policy.Label{Label: "env", Values: []string{"x"}, Missing: true})
		}, ""},
		{"allowed without claim", func(_ *policy.Options, p *p) { p.Labels[0].Allowed = []string{"acme"} }, "policies[0].labels[0].claim"},
		{"strip_prefix without claim", func(_ *policy.Options, p *p) { p.Labels[0].StripPrefix = "x" }, "policies[0].labels[0].claim"},
		{"no values", func(_ *policy.Options, p *p) { p.Labels[0].Values = []string{} }, "policies[0].labels[0].values"},
		{"a value that is none", func(_ *policy.Options, p *p) { p.Labels[0].Values = []string{"acme", "a\x00"} }, "policies[0].labels[0].values[1]"},
		{"20 values", func(_ *policy.Options, p *p) { p.Labels[0].Values = many(20, "t%d") }, ""},
		{"21 values", func(_ *policy.Options, p *p) { p.Labels[0].Values = many(21, "t%d") }, "policies[0].labels[0].values"},
		{"21 excluded values", func(_ *policy.Options, p *p) { p.Labels = append(p.Labels, except("env", many(21, "e%d")...)) }, "policies[0].labels[1].except"},
		{"21 allowed values", func(_ *policy.Options, p *p) {
			p.Labels[0] = claimed("c", func(l *policy.Label) { l.Allowed = many(21, "t%d") })
		}, "policies[0].labels[0].allowed"},
		{"an empty allowed", func(_ *policy.Options, p *p) {
			p.Labels[0] = claimed("c", func(l *policy.Label) { l.Allowed = []string{} })
		}, "policies[0].labels[0].allowed"},
		{"lists of more than 16 KiB", func(o *policy.Options, p *p) {
			o.MaxTenants, p.Labels[0].Values = 1000, many(100, strings.Repeat("x", 200)+"%d")
		}, "policies[0].labels"},

		{"a map of 10,000", func(_ *policy.Options, p *p) { p.Labels[0] = claimed("c", mapping(10_000)) }, ""},
		{"a map of 10,001", func(_ *policy.Options, p *p) { p.Labels[0] = claimed("c", mapping(10_001)) }, "policies[0].labels[0].map"},
		{"an empty map", func(_ *policy.Options, p *p) { p.Labels[0] = claimed("c", mapping(0)) }, "policies[0].labels[0].map"},
		{"a from twice", func(_ *policy.Options, p *p) {
			p.Labels[0] = claimed("c", mapping(2), func(l *policy.Label) { l.Map[1].From = l.Map[0].From })
		}, "policies[0].labels[0].map[1].from"},
		{"a map without from", func(_ *policy.Options, p *p) {
			p.Labels[0] = claimed("c", mapping(1), func(l *policy.Label) { l.Map[0].From = "" })
		}, "policies[0].labels[0].map[0].from"},
		{"a map to nothing", func(_ *policy.Options, p *p) {
			p.Labels[0] = claimed("c", mapping(1), func(l *policy.Label) { l.Map[0].To = nil })
		}, "policies[0].labels[0].map[0].to"},
		{"a map to a value that is none", func(_ *policy.Options, p *p) {
			p.Labels[0] = claimed("c", mapping(1), func(l *policy.Label) { l.Map[0].To = []string{" "} })
		}, "policies[0].labels[0].map[0].to[0]"},
		{"a map with a prefix", func(_ *policy.Options, p *p) {
			p.Labels[0] = claimed("c", mapping(1), func(l *policy.Label) { l.AddPrefix = "x" })
		}, "policies[0].labels[0].map"},

		{"a negative limit", func(_ *policy.Options, p *p) { p.Limits.MaxPoints = &minus }, "policies[0].limits.max_points"},
		{"no query bytes", func(_ *policy.Options, p *p) { p.Limits.MaxQueryBytes = &zero }, "policies[0].limits.max_query_bytes"},
		{"no query terms", func(_ *policy.Options, p *p) { p.Limits.MaxQueryTerms = &zero }, "policies[0].limits.max_query_terms"},
		{"a negative range", func(_ *policy.Options, p *p) { p.Limits.MaxRange = &ago }, "policies[0].limits.max_range"},
		{"a burst without rate", func(_ *policy.Options, p *p) { p.Limits.Burst = &three }, "policies[0].limits.burst"},
		{"a burst with the global rate", func(o *policy.Options, p *p) { o.Limits.RequestsPerSecond, p.Limits.Burst = 1, &three }, ""},

		{"all tenants", func(_ *policy.Options, p *p) { p.Labels[0] = policy.Label{Label: "tenant_id", Any: true} }, ""},
		{"all tenants without issuers", func(_ *policy.Options, p *p) {
			p.Issuers, p.Labels[0] = nil, policy.Label{Label: "tenant_id", Any: true}
		}, "policies[0].issuers"},
		{"all tenants without audit file", func(o *policy.Options, p *p) {
			o.Audited, p.Labels[0] = false, policy.Label{Label: "tenant_id", Any: true}
		}, "policies[0].labels"},
		{"all tenants where it is off", func(o *policy.Options, p *p) {
			o.Entries[0].AllTenants, p.Labels[0] = false, policy.Label{Label: "tenant_id", Any: true}
		}, "policies[0].labels"},
		{"all tenants where it is off for one audience", func(o *policy.Options, p *p) {
			o.Entries = append(o.Entries, policy.Entry{Issuer: idp, Audiences: []string{"other"}})
			p.Labels[0] = policy.Label{Label: "tenant_id", Any: true}
		}, "policies[0].labels"},
		{"all tenants for the audience where it is on", func(o *policy.Options, p *p) {
			o.Entries = append(o.Entries, policy.Entry{Issuer: idp, Audiences: []string{"other"}})
			p.Audiences, p.Labels[0] = []string{"metrics"}, policy.Label{Label: "tenant_id", Any: true}
		}, ""},
		{"only_when_named", func(_ *policy.Options, p *p) { p.OnlyWhenNamed = &yes }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := good()
			o := options(policy.Policy{})
			tt.change(&o, &p)
			o.Policies[0] = p
			r, err := policy.New(o)
			if tt.at == "" {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			if err == nil || r != nil {
				t.Fatal("taken")
			}
			if !strings.HasPrefix(err.Error(), tt.at+": ") || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one mistake at %s", err, tt.at)
			}
		})
	}
}

func mapping(n int) func(*policy.Label) {
	return func(l *policy.Label) {
		l.Map = make([]policy.Mapping, n)
		for i := range l.Map {
			l.Map[i] = policy.Mapping{From: fmt.Sprint(i), To: []string{fmt.Sprint("t", i%5)}}
		}
	}
}

func TestAllMistakesAreReportedAtOnce(t *testing.T) {
	a, b := good(), good()
	a.Name, a.Labels = "", []policy.Label{except("tenant_id", "x")}
	b.When = []policy.Condition{{}}
	_, err := policy.New(options(a, b))
	if err == nil {
		t.Fatal("taken")
	}
	for _, at := range []string{"policies[0].name: ", "policies[0].labels[0].except: ", "policies[1].when[0].claim: ", "policies[1].when[0].any_of: "} {
		if !strings.Contains(err.Error(), at) {
			t.Errorf("nothing at %sin\n%v", at, err)
		}
	}
}

func TestWarnings(t *testing.T) {
	missing := except("env", "prod")
	missing.Missing = true
	lead := []policy.Condition{{Claim: "role", AnyOf: []string{"lead"}}}
	claims := granting("claims", claimed("g"))
	regions := policy.Policy{Name: "regions", When: lead, Labels: []policy.Label{claimed("g"), values("region", "eu")}}
	eu := policy.Policy{Name: "eu", When: lead, Labels: []policy.Label{values("tenant_id", "acme"), values("region", "eu")}}
	us := policy.Policy{Name: "us", When: lead, Labels: []policy.Label{values("tenant_id", "globex"), values("region", "us")}}
	named := us
	named.OnlyWhenNamed = new(bool)
	*named.OnlyWhenNamed = true
	all := policy.Policy{Name: "all", Issuers: []string{idp}, Labels: []policy.Label{{Label: "tenant_id", Any: true}}}
	for _, tt := range []struct {
		name     string
		policies []policy.Policy
		want     []string // a part of each
	}{
		{"nothing to say", []policy.Policy{claims, regions, named}, nil},
		{"every token", []policy.Policy{good()}, []string{"p applies to every token"}},
		{"every token that names it", []policy.Policy{all}, []string{"all grants all tenants"}},
		{"missing beside except", []policy.Policy{{Name: "m", When: lead, Labels: []policy.Label{values("tenant_id", "a"), missing}}}, []string{"external label"}},
		{"two that cannot be joined", []policy.Policy{eu, us}, []string{"eu and us can apply to the same token"}},
		{"writing by another label", []policy.Policy{{Name: "w", When: lead, Scopes: []string{"read", "write"}, Labels: []policy.Label{values("tenant_id", "a"), values("env", "dev")}}}, []string{"w: what is written is confined to its tenants alone"}},
		{"writing for a tenant", []policy.Policy{{Name: "w", When: lead, Scopes: []string{"read", "write"}, Labels: []policy.Label{values("tenant_id", "a")}}}, nil},
		{"two that can", []policy.Policy{claims, granting("more", claimed("h"))}, nil},
		{"claims and a list", []policy.Policy{claims, eu}, []string{"claims and eu can apply"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := rules(t, tt.policies...).Warnings()
			if len(got) != len(tt.want) {
				t.Fatalf("got %q", got)
			}
			for i, want := range tt.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("got %q, want %s", got[i], want)
				}
			}
		})
	}
	t.Run("for different issuers", func(t *testing.T) {
		a, b := eu, us
		a.Issuers, b.Issuers = []string{idp}, []string{"https://b"}
		o := options(a, b)
		o.Entries = append(o.Entries, policy.Entry{Issuer: "https://b"})
		r, err := policy.New(o)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Warnings(); len(got) > 0 {
			t.Errorf("got %q", got)
		}
	})
}
