package filter_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/auth/policy"
)

// granted is the label policy that a policy of these labels makes of any token.
func granted(tb testing.TB, all bool, labels ...policy.Label) policy.Labels {
	tb.Helper()
	always := false
	r, err := policy.New(policy.Options{
		TenantLabel: "tenant_id", MaxTenants: 20, Audited: true, Entries: []policy.Entry{{Issuer: "i", AllTenants: true}},
		Policies: []policy.Policy{{Name: "p", Issuers: []string{"i"}, OnlyWhenNamed: &always, Labels: labels}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	d, err := r.Decide(policy.Token{Issuer: "i", AllTenants: all, Claims: policy.Claims{}}, policy.Narrowing{})
	if err != nil {
		tb.Fatal(err)
	}
	return d.Labels
}

// The label policies of these tests, by what they say.
func policies(tb testing.TB) map[string]policy.Labels {
	acme := policy.Label{Label: "tenant_id", Values: []string{"acme"}}
	return map[string]policy.Labels{
		"acme's shop":               granted(tb, false, acme, policy.Label{Label: "namespace", Values: []string{"shop"}}),
		"acme's shop, or none":      granted(tb, false, acme, policy.Label{Label: "namespace", Values: []string{"shop"}, Missing: true}),
		"acme's, but for prod":      granted(tb, false, acme, policy.Label{Label: "namespace", Except: []string{"prod"}}),
		"acme's, but prod, or none": granted(tb, false, acme, policy.Label{Label: "namespace", Except: []string{"prod"}, Missing: true}),
		"everybody's":               granted(tb, true, policy.Label{Label: "tenant_id", Any: true}),
		"everybody's shop":          granted(tb, true, policy.Label{Label: "tenant_id", Any: true}, policy.Label{Label: "namespace", Values: []string{"shop"}}),
	}
}

// worlds are label sets of elements.
var worlds = []string{
	`{"tenant_id":"acme","namespace":"shop"}`, `{"tenant_id":"acme","namespace":"prod"}`, `{"tenant_id":"acme","namespace":"web"}`, `{"tenant_id":"acme"}`, `{"tenant_id":"acme","namespace":""}`,
	`{"tenant_id":"beta","namespace":"shop"}`, `{"tenant_id":"beta"}`, `{"namespace":"shop"}`, `{"tenant_id":"","namespace":"shop"}`, `{}`,
}

// An element is shown if and only if its labels match the whole label policy.
func TestElementsAreShownByTheWholeLabelPolicy(t *testing.T) {
	for name, l := range policies(t) {
		for row, around := range map[string]string{
			"alerts": `{"alerts":[%s]}`, "targets": `{"activeTargets":[%s]}`, "targets/metadata": `[%s]`, "query_exemplars": `[%s]`,
		} {
			var elements, want []string
			for i, set := range worlds {
				member := map[string]string{"targets/metadata": "target", "query_exemplars": "seriesLabels"}[row]
				if member == "" {
					member = "labels"
				}
				for _, element := range []string{fmt.Sprintf(`{"%s":%s,"n":%d}`, member, set, i), fmt.Sprintf(`{"n":%d,"%s":%s}`, i, member, set)} {
					elements = append(elements, element)
					if matches(t, l, set) {
						want = append(want, element)
					}
				}
			}
			got, err := filtered(t, row, data(fmt.Sprintf(around, strings.Join(elements, ","))), view{Labels: l})
			if diff := cmp.Diff(data(fmt.Sprintf(around, strings.Join(want, ","))), got); err != nil || diff != "" {
				t.Errorf("%s, %s: %v %s", name, row, err, diff)
			}
			if len(want) == 0 {
				t.Errorf("%s sees nothing", name)
			}
		}
	}
}

// matches asks the label policy itself.
func matches(t *testing.T, l policy.Labels, set string) bool {
	t.Helper()
	var labels map[string]string
	if err := json.Unmarshal([]byte(set), &labels); err != nil {
		t.Fatal(err)
	}
	return l.Allows(func(label string) string { return labels[label] })
}

// A rule is shown wholly if it carries each enforced label, and in part where one
// that it lacks is allowed to be missing. A shared rule may lack them all.
func TestRulesByTheLabelsThatTheyCarry(t *testing.T) {
	const (
		whole = "wholly"
		part  = "in part"
	)
	for _, tt := range []struct {
		policy string
		shared bool
		want   map[string]string // by the rule's labels; what is not named is hidden
	}{
		{"acme's shop", false, map[string]string{worlds[0]: whole}},
		{"acme's shop, or none", false, map[string]string{worlds[0]: whole, worlds[3]: part, worlds[4]: part}},
		{"acme's, but for prod", false, map[string]string{worlds[0]: whole, worlds[2]: whole}},
		{"acme's, but prod, or none", false, map[string]string{worlds[0]: whole, worlds[2]: whole, worlds[3]: part, worlds[4]: part}},
		{"everybody's", false, map[string]string{worlds[0]: whole, worlds[1]: whole, worlds[2]: whole, worlds[3]: whole, worlds[4]: whole, worlds[5]: whole, worlds[6]: whole}},
		{"everybody's shop", false, map[string]string{worlds[0]: whole, worlds[5]: whole}},
		{"acme's shop", true, map[string]string{worlds[0]: whole, worlds[7]: part, worlds[9]: part}},
		{"acme's, but for prod", true, map[string]string{worlds[0]: whole, worlds[2]: whole, worlds[7]: part, worlds[9]: part}},
		{"acme's shop, or none", true, map[string]string{worlds[0]: whole, worlds[3]: part, worlds[4]: part, worlds[7]: part, worlds[9]: part}},
		{"everybody's shop", true, map[string]string{worlds[0]: whole, worlds[5]: whole, worlds[7]: part, worlds[9]: part}},
	} {
		l := policies(t)[tt.policy]
		for _, last := range []bool{false, true} {
			var rules, want []string
			for _, set := range worlds {
				rule := func(alerts []string, end string) string {
					members := []string{`"state":"firing"`, `"labels":` + set, `"alerts":[` + strings.Join(alerts, ",") + `]`, end}
					if last {
						members = []string{members[0], members[2], members[3], members[1]}
					}
					return "{" + strings.Join(members, ",") + "}"
				}
				all, shown := alertsOf(t, l)
				const evaluated, unknown = `"health":"err","evaluationTime":1`, `"health":"unknown","evaluationTime":0`
				rules = append(rules, rule(all, evaluated))
				switch tt.want[set] {
				case whole:
					want = append(want, rule(shown, evaluated))
				case part:
					want = append(want, rule(shown, unknown))
				}
			}
			got, err := filtered(t, "rules", groups(group("g", rules...)), view{Labels: l, SharedRules: tt.shared})
			if diff := cmp.Diff(groups(group("g", want...)), got); err != nil || diff != "" {
				t.Errorf("%s, shared %v, labels last %v: %v %s", tt.policy, tt.shared, last, err, diff)
			}
		}
	}
}

// alertsOf are alerts of all worlds, and those that match the label policy.
func alertsOf(t *testing.T, l policy.Labels) (all, shown []string) {
	for _, set := range worlds {
		alert := `{"labels":` + set + `,"state":"firing"}`
		all = append(all, alert)
		if matches(t, l, set) {
			shown = append(shown, alert)
		}
	}
	return all, shown
}

// Whatever the label set, a reader that takes the last of two names, as most do,
// finds that what is shown matches the label policy.
func FuzzElementsByPolicy(f *testing.F) {
	for _, set := range worlds {
		f.Add(set, true)
		f.Add(strings.Replace(set, "tenant_id", `ten\u0061nt_id`, 1), false)
		f.Add(strings.Replace(set, "{", `{"namespace":"shop",`, 1), false)
		f.Add(strings.Replace(set, `"prod"`, `"`+strings.Repeat("prod", 400)+`"`, 1), true)
	}
	all := policies(f)
	f.Fuzz(func(t *testing.T, set string, last bool) {
		element := `{"n":1,"labels":` + set + `}`
		if !last {
			element = `{"labels":` + set + `,"n":1}`
		}
		for name, l := range all {
			var out strings.Builder
			if filters["alerts"](&out, strings.NewReader(data(`{"alerts":[`+element+`]}`)), view{Labels: l}) != nil {
				continue
			}
			var got struct {
				Data struct {
					Alerts []struct{ Labels map[string]any }
				}
			}
			if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
				t.Fatal(err)
			}
			for _, alert := range got.Data.Alerts {
				if !l.Allows(func(label string) string { text, _ := alert.Labels[label].(string); return text }) {
					t.Errorf("%s sees %s", name, out.String())
				}
			}
		}
	})
}

// A value that is longer than any that a policy lists is another one, also where
// it begins like one that is listed.
func TestALongValueIsNoneThatIsListed(t *testing.T) {
	all := policies(t)
	for value, want := range map[string]bool{"prod": false, "web": true, "prod" + strings.Repeat("x", 5000): true, `prod\u0078` + strings.Repeat("x", 5000): true} {
		element := `{"labels":{"tenant_id":"acme","namespace":"` + value + `"}}`
		got, err := filtered(t, "alerts", data(`{"alerts":[`+element+`]}`), view{Labels: all["acme's, but for prod"]})
		if err != nil || strings.Contains(got, "acme") != want {
			t.Errorf("%.20s: %v %.200s", value, err, got)
		}
		got, err = filtered(t, "alerts", data(`{"alerts":[`+strings.Replace(element, "prod", "shop", 1)+`]}`), view{Labels: all["acme's shop"]})
		if err != nil || strings.Contains(got, "acme") != (value == "prod") {
			t.Errorf("%.20s: %v %.200s", value, err, got)
		}
	}
}

// What carries no tenant is nobody's, and counts and dropped targets stay hidden,
// also from who sees all tenants.
func TestAllTenantsSeeNoCounts(t *testing.T) {
	got, err := filtered(t, "targets", data(`{"activeTargets":[{"labels":{"job":"MARKER"}},{"labels":{"tenant_id":"MARK"}}],"droppedTargets":[`+ownTarget+`],"droppedTargetCounts":{"MARKER":1}}`), view{Labels: policies(t)["everybody's"]})
	if want := data(`{"activeTargets":[{"labels":{"tenant_id":"MARK"}}],"droppedTargets":[],"droppedTargetCounts":{}}`); err != nil || got != want {
		t.Errorf("%v %s", err, got)
	}
}
