package auth

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/promfence/promfence/auth/policy"
)

// A Tenant is one tenant's name, exactly as the token spelled it. Only
// [ParseTenant] makes one; the zero value stands for nobody and is refused
// wherever a Tenant is taken.
type Tenant struct{ name string }

// ParseTenant takes a name by the rules of [policy.CheckValue]. The error names the
// rule, never the value.
func ParseTenant(s string) (Tenant, error) {
	if err := policy.CheckValue(s); err != nil {
		return Tenant{}, err
	}
	return Tenant{name: s}, nil
}

// String returns the name, byte for byte; "" for the zero value.
func (t Tenant) String() string { return t.name }

// Tenants is the set of tenants that a caller may read: never empty, sorted,
// without duplicates. Only [NewTenants] and [ParseTenants] make one. The zero
// value holds nobody and matches nothing.
type Tenants struct {
	names []string
	key   string
}

// NewTenants makes the set of the given tenants. It is an error to give none,
// or a zero Tenant.
func NewTenants(ts ...Tenant) (Tenants, error) {
	if len(ts) == 0 {
		return Tenants{}, errors.New("no tenant")
	}
	names := make([]string, len(ts))
	for i, t := range ts {
		if t.name == "" {
			return Tenants{}, errors.New("a tenant without a name")
		}
		names[i] = t.name
	}
	slices.Sort(names)
	names = slices.Compact(names)

	// The length before each name keeps {"a","b"} and {"a1:b"} apart.
	var key strings.Builder
	for _, n := range names {
		key.WriteString(strconv.Itoa(len(n)))
		key.WriteByte(':')
		key.WriteString(n)
	}
	return Tenants{names: slices.Clip(names), key: key.String()}, nil
}

// ParseTenants is [ParseTenant] for each name and [NewTenants] for the result.
func ParseTenants(names ...string) (Tenants, error) {
	ts := make([]Tenant, len(names))
	for i, n := range names {
		t, err := ParseTenant(n)
		if err != nil {
			return Tenants{}, fmt.Errorf("tenant %d of %d %w", i+1, len(names), err)
		}
		ts[i] = t
	}
	return NewTenants(ts...)
}

// Names returns the names in order, in a slice of the caller's own; nil for the
// zero value.
func (t Tenants) Names() []string { return slices.Clone(t.names) }

// Has reports whether name is in the set, byte for byte.
func (t Tenants) Has(name string) bool { return slices.Contains(t.names, name) }

// Key is an unambiguous spelling of the set for keys of caches; "" for the zero
// value. It is computed once, when the set is made.
func (t Tenants) Key() string { return t.key }

// bucket is a key of a fixed length: it is kept for long, and with each narrowing of a
// token.
func (t Tenants) bucket() string {
	hash := sha256.Sum256([]byte(t.key))
	return string(hash[:])
}

// IsZero reports whether the set is the zero value, which allows nothing.
func (t Tenants) IsZero() bool { return len(t.names) == 0 }

// An Identity is what a verified token says about its bearer.
type Identity struct {
	// Subject is the claim "sub", and "" if there is none. It is the caller's
	// own text: for logs, not for decisions.
	Subject string
	// Issuer is the configured issuer whose key verified the token.
	Issuer string
	// Tenants is whom the caller may read as, where no policies say what they may see.
	Tenants Tenants
	// Labels is what the caller may see.
	Labels policy.Labels
	// Silences is what the caller may silence at Alertmanager, where silences may be
	// written; the zero value is nothing.
	Silences policy.Labels
	// Policies are the names of the policies that say so, sorted; nil without any.
	Policies []string
	// AllTenants says that one of them grants all tenants, even if the caller asked
	// for fewer.
	AllTenants bool
	// Writes says that the policies let gateways pass writing requests, too.
	Writes bool
	// Limits bound the caller's requests. Bucket is the key by which those of a time
	// are counted: it does not depend on what the caller asked for.
	Limits policy.Limits
	Bucket string
	// Expires is the claim "exp". With a leeway the token is taken until that
	// much later.
	Expires time.Time
}
