package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Policy is one entry of policies. The meaning of each field is the Doc of its row
// in [PolicySettings]. A list that is not nil was given.
type Policy struct {
	Name          string            `mapstructure:"name"`
	Issuers       []string          `mapstructure:"issuers"`
	Audiences     []string          `mapstructure:"audiences"`
	When          []PolicyCondition `mapstructure:"when"`
	OnlyWhenNamed *bool             `mapstructure:"only_when_named"`
	Labels        []PolicyLabel     `mapstructure:"labels"`
	Silences      string            `mapstructure:"silences"`
	Scopes        []string          `mapstructure:"scopes"`
	Limits        PolicyLimits      `mapstructure:"limits"`
}

// PolicyCondition is one entry of a policy's when.
type PolicyCondition struct {
	Claim   string   `mapstructure:"claim"`
	AnyOf   []string `mapstructure:"any_of"`
	Present bool     `mapstructure:"present"`
}

// PolicyLabel is one entry of a policy's labels.
type PolicyLabel struct {
	Label       string          `mapstructure:"label"`
	Claim       string          `mapstructure:"claim"`
	StripPrefix string          `mapstructure:"strip_prefix"`
	AddPrefix   string          `mapstructure:"add_prefix"`
	Map         []PolicyMapping `mapstructure:"map"`
	Allowed     []string        `mapstructure:"allowed"`
	Values      []string        `mapstructure:"values"`
	Except      []string        `mapstructure:"except"`
	Missing     bool            `mapstructure:"missing"`
	Any         bool            `mapstructure:"any"`
}

// PolicyMapping is one entry of a label's map.
type PolicyMapping struct {
	From string   `mapstructure:"from"`
	To   []string `mapstructure:"to"`
}

// PolicyLimits are a policy's limits; nil is the global one.
type PolicyLimits struct {
	RequestsPerSecond  *int           `mapstructure:"requests_per_second"`
	Burst              *int           `mapstructure:"burst"`
	ConcurrentRequests *int           `mapstructure:"concurrent_requests"`
	MaxRange           *time.Duration `mapstructure:"max_range"`
	MaxPoints          *int           `mapstructure:"max_points"`
	MaxQueryBytes      *int           `mapstructure:"max_query_bytes"`
	MaxQueryTerms      *int           `mapstructure:"max_query_terms"`
}

// PolicySettings is what one entry of policies may hold.
var PolicySettings = []Setting{
	{"name", "", "Required. Its name in the header `X-Promfence-Policy`, in log and audit: 1 to 64 letters, digits, `_`, `.` and `-`.", nil},
	{"issuers", []string{}, "It is for tokens of these issuers only. Required with more than one issuer, and for all tenants.", nil},
	{"audiences", []string{}, "It is for tokens with one of these audiences only.", nil},
	{"when", []PolicyCondition{}, "Conditions, all of which must hold. None: it applies to every token of its issuers.", nil},
	{"only_when_named", false, "It applies only to requests whose `X-Promfence-Policy` names it. Not set: false, and true with `any` on the tenant label.", nil},
	{"labels", []PolicyLabel{}, "Required. What may be seen, one entry for each label, that of `tenancy.label` among them. A series must be allowed by every entry.", nil},
	{"silences", "read", "`write`: whom it applies to may write silences of what it lets them see, where `alertmanager.silences` is `write`.", oneOf("read", "write")},
	{"scopes", []string{}, "What a gateway may ask the decision endpoint for: `[read]`, which is the default, or `[read, write]`. Of several policies all must have `write`.", nil},
	{"limits", PolicyLimits{}, "Limits in the place of the global ones.", nil},
}

// PolicyConditionSettings is what one entry of a policy's when may hold.
var PolicyConditionSettings = []Setting{
	{"claim", "", "Required. Where the values stand, as `auth.tenant_claim`.", nil},
	{"any_of", []string{}, "The claim must have one of these values, byte for byte.", nil},
	{"present", false, "`true` instead of `any_of`: the claim must have a value.", nil},
}

// PolicyLabelSettings is what one entry of a policy's labels may hold.
var PolicyLabelSettings = []Setting{
	{"label", "", "Required. The label's name. One of `claim`, `values`, `except` and `any` says which of its values may be seen.", nil},
	{"claim", "", "Those in this claim. If there are none left, the policy does not apply.", nil},
	{"strip_prefix", "", "Taken off each of the claim's values; values without it are left out.", nil},
	{"add_prefix", "", "Put before what is left.", nil},
	{"map", []PolicyMapping{}, "Instead of both prefixes: what each of the claim's values stands for; others are left out.", nil},
	{"allowed", []string{}, "Of the outcome, only these.", nil},
	{"values", []string{}, "These.", nil},
	{"except", []string{}, "All but these. Not on the tenant label.", nil},
	{"missing", false, "With `values` or `except`: series without the label, too. Not on the tenant label.", nil},
	{"any", false, "`true`: every value. On the tenant label: all tenants, which needs `issuers`, `allow_all_tenants` and `audit.file`.", nil},
}

// PolicyMapSettings is what one entry of a label's map may hold.
var PolicyMapSettings = []Setting{
	{"from", "", "Required. A value of the claim.", nil},
	{"to", []string{}, "Required. The values of the label that it stands for.", nil},
}

// PolicyLimitSettings is what a policy's limits may hold.
var PolicyLimitSettings = []Setting{
	{"requests_per_second", 0, "As `limits.requests_per_second`. This and the next two come from all policies that apply, whichever is chosen.", notNegative},
	{"burst", 0, "As `limits.burst`.", notNegative},
	{"concurrent_requests", 0, "As `limits.concurrent_requests`.", notNegative},
	{"max_range", time.Duration(0), "As `limits.max_range`. Of several policies the largest counts.", notNegative},
	{"max_points", 0, "As `limits.max_points`.", notNegative},
	{"max_query_bytes", 0, "As `limits.max_query_bytes`.", positive},
	{"max_query_terms", 0, "As `limits.max_query_terms`.", positive},
}

// policyTables are the tables of rows below policies, with a heading for each.
var policyTables = []struct {
	heading string
	rows    []Setting
}{
	{"Each entry of `policies`", PolicySettings},
	{"Each entry of a policy's `when`", PolicyConditionSettings},
	{"Each entry of a policy's `labels`", PolicyLabelSettings},
	{"Each entry of a label's `map`", PolicyMapSettings},
	{"A policy's `limits`", PolicyLimitSettings},
}

// policies reads the list of policies. Mistakes in what they mean are found where
// they are held against tokens.
func policies(g given) (any, error) {
	return policyTable(g.name, g.raw, PolicySettings)
}

// policyTable reads a list of tables.
func policyTable(name string, raw any, rows []Setting) ([]map[string]any, error) {
	entries, ok := raw.([]any)
	if !ok {
		return nil, fmt.Errorf("%s: want a list of tables, in the file of --config", name)
	}
	var errs []error
	tables := make([]map[string]any, len(entries))
	for i, entry := range entries {
		var err error
		tables[i], err = policyEntry(fmt.Sprintf("%s[%d]", name, i), entry, rows)
		errs = append(errs, err)
	}
	return tables, errors.Join(errs...)
}

// policyEntry reads one table. What is not there stays out.
func policyEntry(name string, entry any, rows []Setting) (map[string]any, error) {
	given, ok := entry.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s: want a table of %s", name, strings.Join(keys(rows), ", "))
	}
	var errs []error
	table := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		i := slices.IndexFunc(rows, func(s Setting) bool { return s.Key == key })
		if i < 0 {
			errs = append(errs, fmt.Errorf("%s.%s: no such setting%s", name, key, Suggest(key, keys(rows))))
			continue
		}
		var err error
		table[key], err = rows[i].policyMember(name+"."+key, given[key])
		errs = append(errs, err)
	}
	return table, errors.Join(errs...)
}

// policyMember reads one member of a table.
func (s Setting) policyMember(name string, raw any) (any, error) {
	switch s.Default.(type) {
	case []PolicyCondition:
		return policyTable(name, raw, PolicyConditionSettings)
	case []PolicyLabel:
		return policyTable(name, raw, PolicyLabelSettings)
	case []PolicyMapping:
		return policyTable(name, raw, PolicyMapSettings)
	case PolicyLimits:
		return policyEntry(name, raw, PolicyLimitSettings)
	case []string:
		// A text with commas is a list in a variable only: here it would be one name.
		if _, ok := raw.([]any); !ok {
			return nil, fmt.Errorf("%s: want a list", name)
		}
	}
	v, want := convert(raw, s.Default)
	if want == "" && s.check != nil {
		want = s.check(v)
	}
	if want != "" {
		return nil, fmt.Errorf("%s: %s", name, want)
	}
	return v, nil
}

// besidePolicies refuses the settings that policies replace.
func (c *Config) besidePolicies(refuse func(key, want string)) {
	const want = "want no such line beside policies, which say whose data a token may see; for a fixed tenant write a policy with issuers and values"
	if c.Auth.TenantClaim != defaultTenantClaim {
		refuse("auth.tenant_claim", want)
	}
	for i, is := range c.Auth.Issuers {
		if is.TenantClaim != "" {
			refuse(fmt.Sprintf("%s[%d].tenant_claim", issuersKey, i), want)
		}
		if is.Tenant != "" {
			refuse(fmt.Sprintf("%s[%d].tenant", issuersKey, i), want)
		}
	}
}

// written turns policies into what their file holds, without what is not set.
func written(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer:
		return written(v.Elem())
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = written(v.Index(i))
		}
		return list
	case reflect.Struct:
		table := map[string]any{}
		for i := range v.NumField() {
			if f := v.Field(i); !f.IsZero() {
				table[v.Type().Field(i).Tag.Get("mapstructure")] = written(f)
			}
		}
		return table
	}
	if d, ok := reflect.TypeAssert[time.Duration](v); ok {
		return short(d)
	}
	return v.Interface()
}
