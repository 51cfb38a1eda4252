package policy

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The headers by which a caller asks to see less.
const (
	// PolicyHeader chooses among the policies that apply.
	PolicyHeader = "X-Promfence-Policy"
	// TenantHeader chooses among the tenants that may be seen.
	TenantHeader = "X-Promfence-Tenant"
)

// A Narrowing is a caller's wish to see less than they may. The zero value asks for
// nothing. Only [ParseNarrowing] makes another one.
type Narrowing struct {
	policies, tenants []string // sorted, without duplicates; empty: not narrowed
	key               string
}

// ParseNarrowing reads the lines of both headers: names separated by commas, bytes
// outside of [A-Za-z0-9_.-] percent-encoded. What could be read in two ways, or
// would narrow to nothing, is an error, because a narrowing that was lost on the way
// would show more.
func ParseNarrowing(policies, tenants []string, most int) (n Narrowing, err error) {
	if n.policies, err = parseNames(policies, most); err != nil {
		return Narrowing{}, fmt.Errorf("%s: %w", PolicyHeader, err)
	}
	if n.tenants, err = parseNames(tenants, most); err != nil {
		return Narrowing{}, fmt.Errorf("%s: %w", TenantHeader, err)
	}
	if n.IsZero() {
		return n, nil
	}
	var b strings.Builder
	b.WriteString(strconv.Itoa(len(n.policies)))
	b.WriteByte(';')
	for _, name := range slices.Concat(n.policies, n.tenants) {
		appendSized(&b, name)
	}
	n.key = b.String()
	return n, nil
}

// parseNames reads the names in a header's lines; none, if it was not sent.
func parseNames(lines []string, most int) ([]string, error) {
	if len(lines) == 0 {
		return nil, nil
	}
	if len(lines) > 1 {
		return nil, errors.New("want it on one line")
	}
	if strings.Count(lines[0], ",") >= most {
		return nil, fmt.Errorf("want at most %d names", most)
	}
	var names []string
	for text := range strings.SplitSeq(lines[0], ",") {
		name, ok := decodeName(strings.Trim(text, " \t"))
		if !ok {
			return nil, errors.New("want names separated by commas, and bytes other than letters, digits, _ . - percent-encoded")
		}
		if err := CheckValue(name); err != nil {
			return nil, fmt.Errorf("a name %w", err)
		}
		names = append(names, name)
	}
	sorted := unique(names)
	if len(sorted) < len(names) {
		return nil, errors.New("want each name once")
	}
	return sorted, nil
}

// decodeName undoes the percent-encoding. It takes no byte as it stands that another
// reader might take for a separator or an escape.
func decodeName(s string) (string, bool) {
	if len(s) > 3*maxValueBytes {
		return "", false
	}
	name := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case isNameByte(c):
			name = append(name, c)
		case c == '%' && i+2 < len(s):
			b, err := hex.DecodeString(s[i+1 : i+3])
			if err != nil {
				return "", false
			}
			name = append(name, b[0])
			i += 2
		default:
			return "", false
		}
	}
	return string(name), true
}

// isNameByte reports a byte that needs no encoding.
func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-'
}

// IsZero reports whether the caller asked for nothing.
func (n Narrowing) IsZero() bool { return len(n.policies) == 0 && len(n.tenants) == 0 }

// Key is an unambiguous spelling for keys of caches; "" for the zero value.
func (n Narrowing) Key() string { return n.key }

var (
	errNotYourTenant = errors.New(TenantHeader + " names a tenant that the token does not let you see")
	errNotYourPolicy = errors.New(PolicyHeader + " names a policy that does not apply to the token")
)

// Tenants narrows a label policy of tenants that were named one by one, where there
// are no policies to choose from.
func (n Narrowing) Tenants(l Labels) (Labels, error) {
	switch m, ok := l.on(l.tenant); {
	case !ok || m.Negative || len(l.matchers) != 1:
		return Labels{}, errors.New("no tenants named one by one")
	case len(n.policies) > 0:
		return Labels{}, errNotYourPolicy
	case len(n.tenants) == 0:
		return l, nil
	case slices.ContainsFunc(n.tenants, func(name string) bool { return !m.Allows(name) }):
		return Labels{}, errNotYourTenant
	}
	return ForTenants(l.tenant, n.tenants...)
}

// choose returns the grants that the caller named, or those that need not be named.
func (n Narrowing) choose(grants []grant) ([]grant, error) {
	var chosen []grant
	for _, g := range grants {
		if len(n.policies) == 0 && !g.rule.onlyWhenNamed || slices.Contains(n.policies, g.rule.name) {
			chosen = append(chosen, g)
		}
	}
	if len(n.policies) > len(chosen) { // names are unique on both sides
		return nil, errNotYourPolicy
	}
	return chosen, nil
}

// narrow returns what the grants allow of the tenants that the caller named. Grants
// without any of them are left out.
func (n Narrowing) narrow(tenantLabel string, grants []grant) ([]box, error) {
	var boxes []box
	outside := slices.Clone(n.tenants) // tenants that no grant has
	for _, g := range grants {
		if len(n.tenants) == 0 {
			boxes = append(boxes, g.box)
			continue
		}
		mine := g.box.on(tenantLabel)
		left := filter(n.tenants, mine.Allows)
		if len(left) == 0 {
			continue
		}
		outside = slices.DeleteFunc(outside, mine.Allows)
		narrowed := slices.DeleteFunc(slices.Clone(g.box), func(m Matcher) bool { return m.Label == tenantLabel })
		boxes = append(boxes, newBox(append(narrowed, Matcher{Label: tenantLabel, Values: left})))
	}
	if len(outside) > 0 {
		return nil, errNotYourTenant
	}
	return boxes, nil
}

// filter returns the values that keep takes, in a slice of its own.
func filter(values []string, keep func(string) bool) (kept []string) {
	for _, v := range values {
		if keep(v) {
			kept = append(kept, v)
		}
	}
	return kept
}
