package policy_test

import (
	"testing"

	"github.com/promfence/promfence/auth/policy"
)

// Whoever may see more than they may silence silences only the latter.
func TestSilencesAreWrittenByThePoliciesThatSaySo(t *testing.T) {
	writing := func(p policy.Policy) policy.Policy { p.Silences = policy.SilencesWrite; return p }
	pair := []policy.Policy{granting("reads", values("tenant_id", "acme")), writing(granting("writes", values("tenant_id", "globex")))}
	fenced := []policy.Policy{
		writing(granting("a", values("tenant_id", "acme"), values("ns", "x"))), writing(granting("b", values("tenant_id", "globex"), values("ns", "y"))),
		granting("c", values("tenant_id", "acme", "globex"), values("ns", "x", "y")),
	}
	for name, tt := range map[string]struct {
		policies          []policy.Policy
		chosen, tenants   string
		labels, mayChange string
	}{
		"none says so":                   {pair[:1], "", "", `{tenant_id="acme"}`, ""},
		"all say so":                     {pair[1:], "", "", `{tenant_id="globex"}`, `{tenant_id="globex"}`},
		"one of two":                     {pair, "", "", `{tenant_id=~"acme|globex"}`, `{tenant_id="globex"}`},
		"the other was chosen":           {pair, "reads", "", `{tenant_id="acme"}`, ""},
		"narrowed to what may be read":   {pair, "", "acme", `{tenant_id="acme"}`, ""},
		"narrowed to both":               {pair, "", "acme,globex", `{tenant_id=~"acme|globex"}`, ""},
		"narrowed to what may be silent": {pair, "", "globex", `{tenant_id="globex"}`, `{tenant_id="globex"}`},
		"those that say so do not join":  {fenced, "", "", `{tenant_id=~"acme|globex",ns=~"x|y"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := rules(t, tt.policies...).Decide(token(t, `{}`), narrowing(t, tt.chosen, tt.tenants))
			if err != nil {
				t.Fatal(err)
			}
			if got := d.Labels.String(); got != tt.labels {
				t.Errorf("may see %s, want %s", got, tt.labels)
			}
			if got := d.Silences.String(); got != tt.mayChange {
				t.Errorf("may silence %s, want %s", got, tt.mayChange)
			}
		})
	}
}
