package filter_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/proxy/filter"
)

// filtered runs a filter and returns what it wrote.
func filtered(t *testing.T, name, answer string, v view) (string, error) {
	t.Helper()
	var out strings.Builder
	err := filters[name](&out, strings.NewReader(answer), v)
	if err != nil && json.Valid([]byte(out.String())) {
		t.Errorf("failed with %v after a complete answer: %s", err, out.String())
	}
	if strings.Contains(out.String(), "MARKER") {
		t.Errorf("somebody else's data in %s", out.String())
	}
	return out.String(), err
}

// data wraps a data value in the envelope of a success.
func data(value string) string { return `{"status":"success","data":` + value + `}` }

func groups(gs ...string) string { return data(`{"groups":[` + strings.Join(gs, ",") + `]}`) }

const (
	ownRule    = `{"name":"r","query":"up","labels":{"tenant_id":"acme"},"health":"ok","evaluationTime":0.5,"lastEvaluation":"2026-01-01T00:00:00Z","type":"recording"}`
	betaRule   = `{"name":"MARKER","query":"MARKER","labels":{"tenant_id":"beta-MARKER"},"health":"ok","evaluationTime":0.25,"lastError":"MARKER","type":"recording"}`
	sharedRule = `{"state":"firing","name":"Down","query":"up == 0","duration":60,"keepFiringFor":0,"labels":{"severity":"page"},"annotations":{"a":"b"},` +
		`"alerts":[{"labels":{"tenant_id":"beta-MARKER"},"state":"firing","value":"1"},{"labels":{"tenant_id":"acme"},"state":"pending","value":"1e+00","keepFiringSince":"x"}],` +
		`"health":"err","lastError":"MARKER","evaluationTime":0.125,"lastEvaluation":"2026-01-01T00:00:00Z","lastSamples":"MARKER","type":"alerting"}`
	sharedRuleShown = `{"state":"pending","name":"Down","query":"up == 0","duration":60,"keepFiringFor":0,"labels":{"severity":"page"},"annotations":{"a":"b"},` +
		`"alerts":[{"labels":{"tenant_id":"acme"},"state":"pending","value":"1e+00","keepFiringSince":"x"}],` +
		`"health":"unknown","evaluationTime":0,"lastEvaluation":"0001-01-01T00:00:00Z","type":"alerting"}`
)

func group(name string, rules ...string) string {
	return `{"name":"` + name + `","file":"f","rules":[` + strings.Join(rules, ",") + `]}`
}

func TestFilterRules(t *testing.T) {
	for _, tt := range []struct {
		name         string
		answer, want string
		shared       bool
		params       string
		tenants      []string
	}{
		{
			name:   "a tenant's rule is copied member for member, unknown fields and odd numbers included",
			answer: groups(group("g", `{ "labels" : {"tenant_id":"acme"}, "x":{"deep":[1e400,-0.0,"\u003c\u00e9"]},"name":"n","evaluationTime":1E2 }`)),
			want:   groups(group("g", `{"labels":{"tenant_id":"acme"},"x":{"deep":[1e400,-0.0,"\u003c\u00e9"]},"name":"n","evaluationTime":1E2}`)),
		},
		{
			name:   "others' rules and groups without a visible rule are not shown",
			answer: groups(group("MARKER", betaRule), group("g", betaRule, ownRule, betaRule), group("MARKER")),
			want:   groups(group("g", ownRule)),
		},
		{
			name:   "no visible rule at all is an empty list",
			answer: groups(group("MARKER", betaRule)),
			want:   groups(),
		},
		{name: "an empty list stays one", answer: groups(), want: groups()},
		{name: "a null list stays one", answer: data(`{"groups":null}`), want: data(`{"groups":null}`)},
		{
			name: "of a group and the envelope only named fields pass",
			answer: `{"status":"success","MARKER":1,"data":{"MARKER":[{}],"groups":[{"name":"g","MARKER":{"a":1},"file":"f","rules":[` + ownRule +
				`],"interval":60,"limit":0,"lastEvaluation":"2026-01-01T00:00:00Z","partialResponseStrategy":"WARN","sourceTenants":["MARKER"]}],"totals":"MARKER"},"infos":["MARKER"]}`,
			want: data(`{"groups":[{"name":"g","file":"f","rules":[` + ownRule + `],"interval":60,"limit":0,"lastEvaluation":"2026-01-01T00:00:00Z","partialResponseStrategy":"WARN"}]}`),
		},
		{
			name:   "a group's evaluation time is that of the visible rules",
			answer: data(`{"groups":[{"name":"g","file":"f","rules":[` + ownRule + `,` + betaRule + `,` + ownRule + `],"evaluationTime":77.7,"interval":60}]}`),
			want:   data(`{"groups":[{"name":"g","file":"f","rules":[` + ownRule + `,` + ownRule + `],"interval":60,"evaluationTime":1}]}`),
		},
		{
			name:   "fields after the rules, and rules first",
			answer: data(`{"groups":[{"rules":[` + ownRule + `],"name":"g","file":"f"},{"rules":[` + betaRule + `],"name":"MARKER","file":"MARKER"}]}`),
			want:   data(`{"groups":[{"rules":[` + ownRule + `],"name":"g","file":"f"}]}`),
		},
		{
			name:    "each of several tenants is shown",
			answer:  groups(group("g", ownRule, betaRule, strings.ReplaceAll(ownRule, "acme", "other"))),
			want:    groups(group("g", ownRule, strings.ReplaceAll(ownRule, "acme", "other"))),
			tenants: []string{"other", "acme"},
		},
		{
			name: "the name must be equal byte for byte",
			answer: groups(group("g", strings.ReplaceAll(betaRule, "beta-MARKER", "Acme"), strings.ReplaceAll(betaRule, "beta-MARKER", "acme "),
				strings.ReplaceAll(betaRule, "beta-MARKER", ""), strings.ReplaceAll(betaRule, "tenant_id", "Tenant_id"))),
			want: groups(),
		},
		{
			name:   "escapes in names and values are read as what they mean",
			answer: groups(group("g", `{"l\u0061bels":{"tenant\u005fid":"\u0061cme"}}`)),
			want:   groups(group("g", `{"l\u0061bels":{"tenant\u005fid":"\u0061cme"}}`)),
		},
		{
			name:   "alerts of others inside a tenant's rule are not shown, and its state speaks of the rest",
			answer: groups(group("g", `{"state":"firing","labels":{"tenant_id":"acme"},"alerts":[{"labels":{"tenant_id":"MARKER"},"state":"firing"},{"labels":{},"annotations":{"x":"MARKER"}}],"n":1}`)),
			want:   groups(group("g", `{"state":"inactive","labels":{"tenant_id":"acme"},"alerts":[],"n":1}`)),
		},
		{name: "shared rules are hidden by default", answer: groups(group("g", sharedRule)), want: groups()},
		{
			name:   "a shared rule shows what was written and the tenant's alerts only",
			answer: groups(group("g", sharedRule, betaRule)), want: groups(group("g", sharedRuleShown)), shared: true,
		},
		{
			name: "a shared rule without own alerts is inactive", shared: true,
			answer: groups(group("g", `{"state":"firing","labels":{},"alerts":[{"labels":{"tenant_id":"MARKER"},"state":"firing"}]}`)),
			want:   groups(group("g", `{"state":"inactive","labels":{},"alerts":[]}`)),
		},
		{
			name: "a shared rule fires when one of the tenant's alerts does", shared: true,
			answer: groups(group("g", `{"state":"firing","labels":{},"alerts":[{"labels":{"tenant_id":"acme"},"state":"firing"},{"labels":{"tenant_id":"acme"},"state":"pending"}]}`)),
			want:   groups(group("g", `{"state":"firing","labels":{},"alerts":[{"labels":{"tenant_id":"acme"},"state":"firing"},{"labels":{"tenant_id":"acme"},"state":"pending"}]}`)),
		},
		{
			name: "a shared rule that was never evaluated stays unknown", shared: true,
			answer: groups(group("g", `{"state":"unknown","labels":null,"alerts":[]}`)),
			want:   groups(group("g", `{"state":"unknown","labels":null,"alerts":[]}`)),
		},
		{
			name: "a shared rule whose alerts were left out upstream tells no state", shared: true,
			answer: groups(group("g", `{"state":"firing","alerts":null}`)),
			want:   groups(group("g", `{"state":"unknown","alerts":null}`)),
		},
		{
			name: "a shared recording rule is shown", shared: true,
			answer: groups(group("g", `{"name":"r","query":"up","labels":{},"health":"ok","evaluationTime":3,"lastEvaluation":"2026-01-01T00:00:00Z","type":"recording"}`)),
			want:   groups(group("g", `{"name":"r","query":"up","labels":{},"health":"unknown","evaluationTime":0,"lastEvaluation":"0001-01-01T00:00:00Z","type":"recording"}`)),
		},
		{
			name: "a rule with an empty tenant label is not shared", shared: true,
			answer: groups(group("g", strings.ReplaceAll(betaRule, "beta-MARKER", ""))), want: groups(),
		},
		{
			name: "excluded alerts leave the state", shared: true, params: "exclude_alerts=TRUE",
			answer: groups(group("g", sharedRule, `{"state":"firing","labels":{"tenant_id":"acme"},"alerts":[{"labels":{"tenant_id":"acme"},"state":"firing"}]}`)),
			want: groups(group("g", strings.Replace(sharedRuleShown, `[{"labels":{"tenant_id":"acme"},"state":"pending","value":"1e+00","keepFiringSince":"x"}]`, "null", 1),
				`{"state":"firing","labels":{"tenant_id":"acme"},"alerts":null}`)),
		},
		{
			name:   "an upstream's warnings become a fixed sentence",
			answer: `{"warnings":["MARKER 10.0.0.1"],"data":{"groups":[]},"status":"success"}`,
			want:   `{"status":"success","data":{"groups":[]},"warnings":["the upstream warned that this answer may be incomplete"]}`,
		},
		{name: "no warnings are none", answer: `{"status":"success","data":{"groups":[]},"warnings":[]}`, want: groups()},
		{name: "an empty token upstream is none", answer: data(`{"groups":[],"groupNextToken":""}`), want: groups()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := acme(t)
			v.SharedRules = tt.shared
			if tt.tenants != nil {
				v.Labels = labels(t, tt.tenants...)
			}
			v.Params, _ = url.ParseQuery(tt.params)
			got, err := filtered(t, "rules", tt.answer, v)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFilterRulesPages(t *testing.T) {
	token := func(name string) string {
		sum := sha256.Sum256([]byte("f;" + name))
		return hex.EncodeToString(sum[:])
	}
	answer := groups(group("MARKER0", betaRule), group("g1", ownRule), group("MARKER1", betaRule), group("MARKER2", betaRule),
		group("g2", ownRule), group("g3", betaRule, ownRule), group("MARKER3", betaRule))
	page := func(next string, names ...string) string {
		var gs []string
		for _, name := range names {
			gs = append(gs, group(name, ownRule))
		}
		if next != "" {
			next = `,"groupNextToken":"` + token(next) + `"`
		}
		return data(`{"groups":[` + strings.Join(gs, ",") + `]` + next + `}`)
	}
	for name, tt := range map[string]struct{ params, want string }{
		"the first page names the tenant's own next group": {"group_limit=1", page("g2", "g1")},
		"a middle page":              {"group_limit=1&group_next_token=" + token("g2"), page("g3", "g2")},
		"the last page has no token": {"group_limit=1&group_next_token=" + token("g3"), page("", "g3")},
		"hidden groups do not count": {"group_limit=3", page("", "g1", "g2", "g3")},
		"a page of two":              {"group_limit=2", page("g3", "g1", "g2")},
		"a large limit":              {"group_limit=2147483647", page("", "g1", "g2", "g3")},
	} {
		t.Run(name, func(t *testing.T) {
			v := acme(t)
			v.Params, _ = url.ParseQuery(tt.params)
			got, err := filtered(t, "rules", answer, v)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	for name, tok := range map[string]string{"a token of another tenant's group": token("MARKER1"), "a token that never was": "nonsense"} {
		t.Run(name+" is refused before anything is written", func(t *testing.T) {
			v := acme(t)
			v.Params = url.Values{"group_limit": {"1"}, "group_next_token": {tok}}
			got, err := filtered(t, "rules", answer, v)
			want := `invalid parameter "group_next_token": invalid group_next_token '` + tok + `'. were rule groups changed?`
			if err == nil || err.Error() != want || status(err) != http.StatusBadRequest || got != "" {
				t.Errorf("wrote %q, %v", got, err)
			}
		})
	}
	t.Run("an upstream whose groups tell their names last cannot be paged", func(t *testing.T) {
		v := acme(t)
		v.Params = url.Values{"group_limit": {"1"}}
		_, err := filtered(t, "rules", groups(`{"rules":[`+ownRule+`],"name":"g","file":"f"}`), v)
		wantBadAnswer(t, err)
	})
}

// TestCheckRulesParams holds the texts of Prometheus v0.315.0 (web/api/v1).
func TestCheckRulesParams(t *testing.T) {
	for params, want := range map[string]string{
		"":                                 "",
		"group_limit=5":                    "",
		"group_limit=5&group_next_token=x": "",
		"exclude_alerts=true":              "",
		"exclude_alerts=T":                 "",
		"group_next_token=x":               `invalid parameter "group_next_token": group_limit needs to be present in order to paginate over the groups`,
		"group_limit=0":                    `invalid parameter "group_limit": group_limit needs to be greater than 0`,
		"group_limit=-1":                   `invalid parameter "group_limit": group_limit needs to be greater than 0`,
		"group_limit=x":                    `invalid parameter "group_limit": group_limit needs to be a valid number: strconv.ParseInt: parsing "x": invalid syntax`,
		"group_limit=2147483648":           `invalid parameter "group_limit": group_limit needs to be a valid number: strconv.ParseInt: parsing "2147483648": value out of range`,
		"exclude_alerts=maybe":             `invalid parameter "exclude_alerts": error converting exclude_alerts: strconv.ParseBool: parsing "maybe": invalid syntax`,
	} {
		values, err := url.ParseQuery(params)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := (filter.View{Params: values}).CheckRules(); err != nil {
			got = err.Error()
			if status(err) != http.StatusBadRequest {
				t.Errorf("%s: status %d", params, status(err))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", params, diff)
		}
	}
}
