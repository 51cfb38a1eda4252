package auth

import (
	"errors"

	"github.com/promfence/promfence/auth/policy"
)

// decide fills in what a verified token's bearer may do, narrowed as they asked: by
// the policies, or as the tenants that the token names.
func (a *Authenticator) decide(id *Identity, is *issuer, claims object, n policy.Narrowing) *Error {
	by := a.byTenants
	if a.options.Policies != nil {
		by = a.byPolicies
	}
	if refusal := by(id, is, claims, n); refusal != nil {
		return refusal
	}
	names, all := id.Labels.Tenants()
	err := carries(a.options.TenantHeader, names)
	if all && a.options.TenantHeader != "" {
		err = errors.New("the upstream's header " + a.options.TenantHeader + " cannot say all tenants: choose with " + policy.TenantHeader)
	}
	if err != nil {
		return refuse(BadTenant, "the token's tenants cannot be used: %v", err)
	}
	return nil
}

func (a *Authenticator) byPolicies(id *Identity, is *issuer, claims object, n policy.Narrowing) *Error {
	d, err := a.options.Policies.Decide(is.token(claims), n)
	for _, l := range d.LeftOut {
		a.metrics.leftOut.WithLabelValues(l.Policy, l.Label).Add(float64(l.Values))
	}
	if err != nil {
		return refuse(BadPolicy, "%v", err)
	}
	id.Silences = d.Silences

	id.Labels, id.Policies, id.AllTenants, id.Writes, id.Limits, id.Bucket = d.Labels, d.Policies, d.AllTenants, d.Writes, d.Limits, d.Bucket
	return nil
}

func (a *Authenticator) byTenants(id *Identity, is *issuer, claims object, n policy.Narrowing) *Error {
	tenants, refusal := is.tenants(claims)
	if refusal != nil {
		return refusal
	}
	all, err := policy.ForTenants(a.options.TenantLabel, tenants.names...)
	if err != nil {
		return refuse(BadTenant, "the token's tenants cannot be used: %v", err)
	}
	if id.Labels, err = n.Tenants(all); err != nil {
		return refuse(BadPolicy, "%v", err)
	}
	id.Silences = id.Labels
	names, _ := id.Labels.Tenants()
	if id.Tenants, err = ParseTenants(names...); err != nil {
		return refuse(BadTenant, "the token's tenants cannot be used: %v", err)
	}
	id.Limits, id.Bucket = a.options.Limits.Resolved(), tenants.bucket()
	return nil
}
