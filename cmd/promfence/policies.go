package main

import (
	"errors"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/config"
)

// newRules makes what tokens are held against, or says what is wrong with the
// policies; nil without any.
func newRules(cfg *config.Config) (*policy.Rules, []config.Mistake) {
	if len(cfg.Policies) == 0 {
		return nil, nil
	}
	o := policy.Options{
		TenantLabel: cfg.Tenancy.Label, MaxTenants: cfg.Tenancy.MaxTenants,
		Limits: policyLimits(cfg.Limits), Audited: cfg.Audit.File != "",
	}
	if a := cfg.Auth; a.Issuer != "" {
		o.Entries = append(o.Entries, policy.Entry{Issuer: a.Issuer, Audiences: a.Audience, AllTenants: a.AllowAllTenants})
	}
	for _, is := range cfg.Auth.Issuers {
		o.Entries = append(o.Entries, policy.Entry{Issuer: is.Issuer, Audiences: is.Audience, AllTenants: is.AllowAllTenants})
	}
	for _, p := range cfg.Policies {
		o.Policies = append(o.Policies, policyOf(p))
	}
	rules, err := policy.New(o)
	var wrong []config.Mistake
	if mistakes, ok := errors.AsType[policy.Mistakes](err); ok {
		for _, m := range mistakes {
			wrong = append(wrong, config.Mistake{Key: m.At, Want: m.Want})
		}
	} else if err != nil {
		wrong = append(wrong, config.Mistake{Key: "policies", Want: err.Error()})
	}
	return rules, wrong
}

func policyOf(p config.Policy) policy.Policy {
	out := policy.Policy{
		Name: p.Name, Issuers: p.Issuers, Audiences: p.Audiences, OnlyWhenNamed: p.OnlyWhenNamed, Limits: policy.LimitSettings(p.Limits),
		Silences: p.Silences, Scopes: p.Scopes,
	}
	for _, c := range p.When {
		out.When = append(out.When, policy.Condition(c))
	}
	for _, l := range p.Labels {
		label := policy.Label{
			Label: l.Label, Claim: l.Claim, StripPrefix: l.StripPrefix, AddPrefix: l.AddPrefix, Allowed: l.Allowed,
			Values: l.Values, Except: l.Except, Missing: l.Missing, Any: l.Any,
		}
		if l.Map != nil {
			label.Map = make([]policy.Mapping, len(l.Map))
		}
		for i, m := range l.Map {
			label.Map[i] = policy.Mapping(m)
		}
		out.Labels = append(out.Labels, label)
	}
	return out
}

func policyLimits(l config.Limits) policy.Limits {
	return policy.Limits{
		RequestsPerSecond: l.RequestsPerSecond, Burst: l.Burst, ConcurrentRequests: l.ConcurrentRequests,
		MaxRange: l.MaxRange, MaxPoints: l.MaxPoints, MaxQueryBytes: l.MaxQueryBytes, MaxQueryTerms: l.MaxQueryTerms,
	}
}
