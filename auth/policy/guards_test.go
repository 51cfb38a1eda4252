package policy_test

import (
	"testing"

	"github.com/promfence/promfence/auth/policy"
)

// What could be read as more than was meant is no label policy, whoever asks for it.
func TestNoLabelPolicyIsMadeOf(t *testing.T) {
	acme := policy.Matcher{Label: "tenant_id", Values: []string{"acme"}}
	for name, ms := range map[string][]policy.Matcher{
		"nothing":                  nil,
		"another label":            {{Label: "env", Values: []string{"dev"}}},
		"everything":               {{Label: "tenant_id", Negative: true, Missing: true}},
		"an empty set":             {acme, {Label: "env"}},
		"no tenant":                {{Label: "tenant_id"}},
		"series without a tenant":  {{Label: "tenant_id", Values: []string{"acme"}, Missing: true}},
		"only those":               {{Label: "tenant_id", Missing: true}},
		"two matchers on a label":  {acme, {Label: "env", Values: []string{"a"}}, {Label: "env", Values: []string{"b"}}},
		"two matchers on tenants":  {acme, {Label: "tenant_id", Values: []string{"beta"}}},
		"two that are far apart":   {{Label: "env", Values: []string{"a"}}, acme, {Label: "env", Values: []string{"a"}}},
		"one of two that is empty": {acme, {Label: "env", Values: []string{"a"}}, {Label: "env"}},
	} {
		if l, err := policy.NewLabels("tenant_id", ms...); err == nil || !l.IsZero() {
			t.Errorf("%s: %s, %v", name, l, err)
		}
	}
	l, err := policy.NewLabels("tenant_id", policy.Matcher{Label: "env", Values: []string{"a"}}, acme)
	if err != nil || l.String() != `{tenant_id="acme",env="a"}` {
		t.Errorf("%s, %v", l, err)
	}
}

func TestKeysHoldTheSizesOfTheirParts(t *testing.T) {
	seen := map[string]policy.Labels{}
	for _, ms := range [][]policy.Matcher{
		{{Label: "tenant_id", Values: []string{"a", "b:c"}}},
		{{Label: "tenant_id", Values: []string{"a:b", "c"}}},
		{{Label: "env", Values: []string{"x:tenant_id:=1;:a"}}, {Label: "tenant_id", Values: []string{"b"}}},
		{{Label: "env", Values: []string{"x"}}, {Label: "tenant_id", Values: []string{"a:b"}}},
		{{Label: "env", Values: []string{"x"}}, {Label: "tenant_id", Values: []string{"a", "b"}}},
	} {
		l, err := policy.NewLabels("tenant_id", ms...)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[l.Key()]; ok {
			t.Errorf("%s and %s have one key", other, l)
		}
		seen[l.Key()] = l
	}
}

// Two readers could read these in two ways.
func TestClaimsAreReadStrictly(t *testing.T) {
	for name, text := range map[string]string{
		"a member twice": `{"groups":["a"],"groups":["b"]}`, "invalid UTF-8": "{\"groups\":\"a\xff\"}", "null": "null",
		"an array": `["a"]`, "a text": `"a"`, "nothing": "", "two objects": `{}{}`, "an inner member twice": `{"a":{"b":1,"b":2}}`,
	} {
		if c, err := policy.ParseClaims([]byte(text)); err == nil {
			t.Errorf("%s: %v", name, c)
		}
	}
	if c, err := policy.ParseClaims([]byte(`{"a":1,"A":2}`)); err != nil || len(c) != 2 {
		t.Errorf("%v, %v", c, err)
	}
}
