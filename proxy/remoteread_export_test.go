package proxy

import "github.com/promfence/promfence/auth"

// ScopeReadRequest narrows one body, with a budget of its own.
func ScopeReadRequest(body []byte, label string, tenants auth.Tenants, onConflict string, limits Limits) ([]byte, error) {
	m, err := newTenantMatcher(label, tenants, onConflict)
	if err != nil {
		return nil, err
	}
	return scopeReadRequest(body, m, &budget{limits: limits})
}
