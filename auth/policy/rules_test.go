package policy_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/auth/policy"
)

const idp = "https://idp.example.com"

// options are those of one issuer whose tokens may get all tenants.
func options(policies ...policy.Policy) policy.Options {
	return policy.Options{
		TenantLabel: "tenant_id", MaxTenants: 20, Policies: policies, Audited: true,
		Entries: []policy.Entry{{Issuer: idp, Audiences: []string{"metrics"}, AllTenants: true}},
	}
}

func rules(t *testing.T, policies ...policy.Policy) *policy.Rules {
	t.Helper()
	r, err := policy.New(options(policies...))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// token is a verified token with the claims.
func token(t testing.TB, claims string) policy.Token {
	t.Helper()
	c, err := policy.ParseClaims([]byte(claims))
	if err != nil {
		t.Fatalf("%s %v", claims, err)
	}
	return policy.Token{Issuer: idp, Audiences: []string{"metrics"}, AllTenants: true, Claims: c}
}

// narrowing is what the two headers ask for; "" is a header that is not sent.
func narrowing(t testing.TB, policies, tenants string) policy.Narrowing {
	t.Helper()
	line := func(s string) []string {
		if s == "" {
			return nil
		}
		return []string{s}
	}
	n, err := policy.ParseNarrowing(line(policies), line(tenants), 20)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// granting is a policy of the labels that applies to every token.
func granting(name string, labels ...policy.Label) policy.Policy {
	return policy.Policy{Name: name, Labels: labels}
}

func values(label string, vs ...string) policy.Label { return policy.Label{Label: label, Values: vs} }

func except(label string, vs ...string) policy.Label { return policy.Label{Label: label, Except: vs} }

func claimed(claim string, change ...func(*policy.Label)) policy.Label {
	l := policy.Label{Label: "tenant_id", Claim: claim}
	for _, c := range change {
		c(&l)
	}
	return l
}

// What a claim's value must be to name tenants.
func TestClaimsGrantValues(t *testing.T) {
	strip := func(l *policy.Label) { l.StripPrefix = "/tenants/" }
	add := func(l *policy.Label) { l.AddPrefix = "t-" }
	mapped := func(l *policy.Label) {
		l.Map = []policy.Mapping{{From: "1f0c", To: []string{"acme", "globex"}}, {From: "77aa", To: []string{"initech"}}}
	}
	allowed := func(vs ...string) func(*policy.Label) { return func(l *policy.Label) { l.Allowed = vs } }
	for _, tt := range []struct {
		name, claims string
		label        policy.Label
		want         string // "": no policy applies
	}{
		{"a string", `{"g":"acme"}`, claimed("g"), `{tenant_id="acme"}`},
		{"an integer", `{"g":42}`, claimed("g"), `{tenant_id="42"}`},
		{"a negative integer", `{"g":-42}`, claimed("g"), `{tenant_id="-42"}`},
		{"the largest integer", `{"g":9007199254740991}`, claimed("g"), `{tenant_id="9007199254740991"}`},
		{"an integer beyond", `{"g":9007199254740992}`, claimed("g"), ""},
		{"minus zero", `{"g":-0}`, claimed("g"), ""},
		{"a fraction", `{"g":1.0}`, claimed("g"), ""},
		{"an exponent", `{"g":1e3}`, claimed("g"), ""},
		{"a boolean", `{"g":true}`, claimed("g"), ""},
		{"null", `{"g":null}`, claimed("g"), ""},
		{"an object", `{"g":{"acme":1}}`, claimed("g"), ""},
		{"an array", `{"g":["globex","acme",7,"acme"]}`, claimed("g"), `{tenant_id=~"7|acme|globex"}`},
		{"an array with a boolean", `{"g":["acme",true]}`, claimed("g"), ""},
		{"an array with null", `{"g":["acme",null]}`, claimed("g"), ""},
		{"an array in an array", `{"g":[["acme"]]}`, claimed("g"), ""},
		{"an array with a fraction", `{"g":["acme",1.5]}`, claimed("g"), ""},
		{"an empty array", `{"g":[]}`, claimed("g"), ""},
		{"an empty string", `{"g":""}`, claimed("g"), ""},
		{"a name that is none beside one that is", `{"g":["acme"," ","b\u0000"]}`, claimed("g"), `{tenant_id="acme"}`},
		{"another case of the claim's name", `{"G":"acme"}`, claimed("g"), ""},
		{"a nested claim", `{"a":{"g":"acme"}}`, claimed("a.g"), `{tenant_id="acme"}`},
		{"a nested claim that is a string", `{"a":"g"}`, claimed("a.g"), ""},
		{"members of an object", `{"org":{"acme":{"id":1},"globex":{}}}`, claimed("org.*"), `{tenant_id=~"acme|globex"}`},
		{"members of no object", `{"org":["acme"]}`, claimed("org.*"), ""},
		{"a boolean for members", `{"org":true}`, claimed("org.*"), ""},
		{"a member named star", `{"org":{"*":"acme","x":"evil"}}`, claimed(`org."*"`), `{tenant_id="acme"}`},

		{"a prefix", `{"g":["/tenants/acme","/teams/x","/tenants/","tenants/y"]}`, claimed("g", strip), `{tenant_id="acme"}`},
		{"a prefix once only", `{"g":"/tenants//tenants/acme"}`, claimed("g", strip), `{tenant_id="/tenants/acme"}`},
		{"no value with the prefix", `{"g":["/teams/x"]}`, claimed("g", strip), ""},
		{"another prefix instead", `{"g":["/tenants/acme","/tenants/"]}`, claimed("g", strip, add), `{tenant_id="t-acme"}`},
		{"a map", `{"g":["1f0c","unknown","acme"]}`, claimed("g", mapped), `{tenant_id=~"acme|globex"}`},
		{"nothing in the map", `{"g":["acme"]}`, claimed("g", mapped), ""},
		{"allowed", `{"g":["acme","globex"]}`, claimed("g", allowed("acme", "initech")), `{tenant_id="acme"}`},
		{"allowed after the prefixes", `{"g":["/tenants/acme","/tenants/globex"]}`, claimed("g", strip, add, allowed("t-acme", "globex")), `{tenant_id="t-acme"}`},
		{"allowed after the map", `{"g":["1f0c"]}`, claimed("g", mapped, allowed("globex")), `{tenant_id="globex"}`},
		{"nothing allowed", `{"g":["globex"]}`, claimed("g", allowed("acme")), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := rules(t, granting("p", tt.label)).Decide(token(t, tt.claims), policy.Narrowing{})
			if d.Labels.String() != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("got %s, %v, want %s", d.Labels, err, tt.want)
			}
		})
	}
}

// When a policy applies.
func TestConditions(t *testing.T) {
	anyOf := func(claim string, vs ...string) policy.Condition { return policy.Condition{Claim: claim, AnyOf: vs} }
	present := func(claim string) policy.Condition { return policy.Condition{Claim: claim, Present: true} }
	for _, tt := range []struct {
		name, claims string
		when         []policy.Condition
		want         bool
	}{
		{"none", `{}`, nil, true},
		{"one of the values", `{"r":["dev","lead"]}`, []policy.Condition{anyOf("r", "analyst", "lead")}, true},
		{"none of the values", `{"r":["dev"]}`, []policy.Condition{anyOf("r", "analyst", "lead")}, false},
		{"another case", `{"r":["Lead"]}`, []policy.Condition{anyOf("r", "lead")}, false},
		{"a blank around", `{"r":["lead "]}`, []policy.Condition{anyOf("r", "lead")}, false},
		{"an integer", `{"r":7}`, []policy.Condition{anyOf("r", "7")}, true},
		{"true", `{"r":true}`, []policy.Condition{anyOf("r", "true")}, true},
		{"false", `{"r":false}`, []policy.Condition{anyOf("r", "false")}, true},
		{"the other boolean", `{"r":false}`, []policy.Condition{anyOf("r", "true")}, false},
		{"an array with a boolean", `{"r":["true",true]}`, []policy.Condition{anyOf("r", "true")}, false},
		{"no claim", `{}`, []policy.Condition{anyOf("r", "lead")}, false},
		{"both hold", `{"r":"lead","s":"x"}`, []policy.Condition{anyOf("r", "lead"), anyOf("s", "x")}, true},
		{"the second does not", `{"r":"lead","s":"y"}`, []policy.Condition{anyOf("r", "lead"), anyOf("s", "x")}, false},
		{"the first does not", `{"r":"dev","s":"x"}`, []policy.Condition{anyOf("r", "lead"), anyOf("s", "x")}, false},
		{"present", `{"r":["x"]}`, []policy.Condition{present("r")}, true},
		{"not present", `{}`, []policy.Condition{present("r")}, false},
		{"present and empty", `{"r":[]}`, []policy.Condition{present("r")}, false},
		{"an empty string is nothing", `{"r":""}`, []policy.Condition{present("r")}, false},
		{"a boolean is no value", `{"r":true}`, []policy.Condition{present("r")}, false},
		{"an array that holds an object has no values", `{"r":["x",{}]}`, []policy.Condition{present("r")}, false},
		{"a member's name", `{"r":{"lead":{}}}`, []policy.Condition{anyOf("r.*", "lead")}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := granting("p", values("tenant_id", "acme"))
			p.When = tt.when
			_, err := rules(t, p).Decide(token(t, tt.claims), policy.Narrowing{})
			if (err == nil) != tt.want {
				t.Errorf("got %v, want %t", err, tt.want)
			}
		})
	}
}

func TestFixedLabels(t *testing.T) {
	missing := func(l policy.Label) policy.Label { l.Missing = true; return l }
	for want, labels := range map[string][]policy.Label{
		`{tenant_id="acme",env!~"prod|"}`:              {except("env", "prod"), values("tenant_id", "acme")},
		`{tenant_id="acme",env!="prod"}`:               {missing(except("env", "prod")), values("tenant_id", "acme")},
		`{tenant_id="acme",env=~"dev|"}`:               {missing(values("env", "dev")), values("tenant_id", "acme")},
		`{tenant_id="acme",env="dev",region=~"eu|us"}`: {values("region", "us", "eu"), values("tenant_id", "acme"), values("env", "dev")},
		`{tenant_id="acme"}`:                           {{Label: "env", Any: true}, values("tenant_id", "acme")},
		`{tenant_id=~"a|b"}`:                           {values("tenant_id", "b", "a", "b")},
	} {
		d, err := rules(t, granting("p", labels...)).Decide(token(t, `{}`), policy.Narrowing{})
		if err != nil || d.Labels.String() != want {
			t.Errorf("got %s, %v, want %s", d.Labels, err, want)
		}
	}
}

func TestAPolicyIsForItsIssuersAndAudiences(t *testing.T) {
	o := options(
		policy.Policy{Name: "p", Issuers: []string{idp}, Audiences: []string{"metrics"}, Labels: []policy.Label{values("tenant_id", "acme")}},
		policy.Policy{Name: "q", Issuers: []string{"https://b"}, Labels: []policy.Label{values("tenant_id", "globex")}},
	)
	o.Entries = append(o.Entries, policy.Entry{Issuer: "https://b"}, policy.Entry{Issuer: idp, Audiences: []string{"logs", "traces"}})
	r, err := policy.New(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		issuer, audience, want string
	}{
		{idp, "metrics", "p"}, {idp, "logs", ""}, {"https://b", "metrics", "q"}, {"https://b", "", "q"}, {"https://c", "metrics", ""}, {"", "", ""},
	} {
		d, err := r.Decide(policy.Token{Issuer: tt.issuer, Audiences: []string{tt.audience}}, policy.Narrowing{})
		if strings.Join(d.Policies, ",") != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s for %s: got %v, %v, want %s", tt.issuer, tt.audience, d.Policies, err, tt.want)
		}
	}
}

func TestWhatTheProviderLeftOutIsSaid(t *testing.T) {
	r := rules(t, granting("p", claimed("groups")))
	for claims, said := range map[string]bool{
		`{"_claim_names":{"groups":"src1"}}`: true,
		`{"hasgroups":true}`:                 true,
		`{"_claim_names":{"roles":"src1"}}`:  false,
		`{"groups":[]}`:                      false,
	} {
		_, err := r.Decide(token(t, claims), policy.Narrowing{})
		if err == nil || strings.Contains(err.Error(), "too many") != said {
			t.Errorf("%s: %v", claims, err)
		}
	}
}

// Every value of a claim that is not used is counted by policy and label.
func TestWhatIsLeftOutIsCounted(t *testing.T) {
	r := rules(t,
		granting("p", claimed("g", func(l *policy.Label) { l.StripPrefix = "/t/" }), policy.Label{Label: "region", Claim: "r", Allowed: []string{"eu"}}),
		granting("q", claimed("g", func(l *policy.Label) { l.StripPrefix = "/none/" })),
	)
	d, err := r.Decide(token(t, `{"g":["/t/acme","/u/x","/u/y"],"r":["eu","us"]}`), policy.Narrowing{})
	if err != nil || d.Labels.String() != `{tenant_id="acme",region="eu"}` {
		t.Fatalf("got %s, %v", d.Labels, err)
	}
	if diff := cmp.Diff([]policy.LeftOutCount{{"p", "tenant_id", 2}, {"p", "region", 1}, {"q", "tenant_id", 3}}, d.LeftOut); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	if d, err := r.Decide(token(t, `{"g":"/u/x","r":"eu"}`), policy.Narrowing{}); err == nil || len(d.LeftOut) != 2 {
		t.Errorf("refused, and counted %v, %v", d.LeftOut, err)
	}
}

func TestSeveralPolicies(t *testing.T) {
	r := rules(t,
		granting("a", values("tenant_id", "acme"), values("region", "eu")),
		granting("b", values("tenant_id", "acme"), values("region", "us")),
	)
	d, err := r.Decide(token(t, `{}`), policy.Narrowing{})
	if err != nil || d.Labels.String() != `{tenant_id="acme",region=~"eu|us"}` || !slices.Equal(d.Policies, []string{"a", "b"}) {
		t.Errorf("got %s by %q, %v", d.Labels, d.Policies, err)
	}
}

func TestPoliciesThatCannotBeJoinedAreNamed(t *testing.T) {
	var policies []policy.Policy
	for i := range 12 {
		policies = append(policies, granting(fmt.Sprintf("p%02d", i), values("tenant_id", fmt.Sprint("t", i)), values("region", fmt.Sprint("r", i))))
	}
	_, err := rules(t, policies...).Decide(token(t, `{}`), policy.Narrowing{})
	if err == nil || !strings.Contains(err.Error(), "p00, p01, p02, p03, p04, p05, p06, p07, p08, p09 and 2 more") || !strings.Contains(err.Error(), policy.PolicyHeader) {
		t.Errorf("got %v", err)
	}
}

func TestTheOutcomeIsBounded(t *testing.T) {
	var many, long []string
	for i := range 21 {
		many = append(many, fmt.Sprintf("%q", fmt.Sprint("t", i)))
	}
	for i := range 100 {
		long = append(long, fmt.Sprintf("%q", fmt.Sprint(i)+strings.Repeat("x", 200)))
	}
	r := rules(t, granting("p", claimed("g")))
	if _, err := r.Decide(token(t, `{"g":[`+strings.Join(many, ",")+`]}`), policy.Narrowing{}); err == nil || !strings.Contains(err.Error(), "more than 20") {
		t.Errorf("21 tenants: %v", err)
	}
	if d, err := r.Decide(token(t, `{"g":[`+strings.Join(many, ",")+`]}`), narrowing(t, "", "t7")); err != nil || d.Labels.String() != `{tenant_id="t7"}` {
		t.Errorf("one of 21 tenants: %s, %v", d.Labels, err)
	}
	o := options(granting("p", claimed("g")))
	o.MaxTenants = 1000
	wide, err := policy.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wide.Decide(token(t, `{"g":[`+strings.Join(long, ",")+`]}`), policy.Narrowing{}); err == nil || !strings.Contains(err.Error(), "longer than 16384 bytes") {
		t.Errorf("20 KiB of tenants: %v", err)
	}
}

func TestAllTenants(t *testing.T) {
	operators := policy.Policy{
		Name: "operators", Issuers: []string{idp}, When: []policy.Condition{{Claim: "groups", AnyOf: []string{"sre"}}},
		Labels: []policy.Label{{Label: "tenant_id", Any: true}},
	}
	r := rules(t, operators, granting("teams", claimed("tenants")))
	both := `{"groups":["sre"],"tenants":["acme","all"]}`
	for _, tt := range []struct {
		name, claims, policies, tenants string
		want                            string
		all                             bool
	}{
		{"not named", both, "", "", `{tenant_id=~"acme|all"}`, false},
		{"named", both, "operators", "", `{tenant_id!=""}`, true},
		{"named together", both, "operators,teams", "", `{tenant_id!=""}`, true},
		{"narrowed", both, "operators", "globex", `{tenant_id="globex"}`, true},
		{"a tenant named all", both, "operators", "all", `{tenant_id="all"}`, true},
		{"nothing else applies", `{"groups":["sre"]}`, "", "", "", false},
		{"not an operator", `{"tenants":["acme"]}`, "operators", "", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := r.Decide(token(t, tt.claims), narrowing(t, tt.policies, tt.tenants))
			if d.Labels.String() != tt.want || (err == nil) != (tt.want != "") || d.AllTenants != tt.all {
				t.Errorf("got %s, %v, all %t", d.Labels, err, d.AllTenants)
			}
			if _, all := d.Labels.Tenants(); all != (tt.want == `{tenant_id!=""}`) {
				t.Errorf("Tenants() says all: %t", all)
			}
		})
	}
	t.Run("the entry does not allow it", func(t *testing.T) {
		tok := token(t, both)
		tok.AllTenants = false
		if d, err := r.Decide(tok, narrowing(t, "operators", "")); err == nil {
			t.Errorf("got %s", d.Labels)
		}
	})
	t.Run("named by default only", func(t *testing.T) {
		always := operators
		always.OnlyWhenNamed = new(bool)
		d, err := rules(t, always).Decide(token(t, both), policy.Narrowing{})
		if err != nil || d.Labels.String() != `{tenant_id!=""}` {
			t.Errorf("got %s, %v", d.Labels, err)
		}
	})
	t.Run("all tenants and one named all have different keys", func(t *testing.T) {
		a, _ := r.Decide(token(t, both), narrowing(t, "operators", ""))
		b, _ := r.Decide(token(t, both), narrowing(t, "operators", "all"))
		if a.Labels.Key() == b.Labels.Key() || a.Labels.Key() == "" {
			t.Errorf("both have the key %q", a.Labels.Key())
		}
	})
}

// The index leaves out no policy that applies.
func TestTheIndexChangesNothing(t *testing.T) {
	var policies []policy.Policy
	kinds := []func(i int) policy.Policy{
		func(i int) policy.Policy {
			p := granting("", values("tenant_id", fmt.Sprint("t", i)))
			p.When = []policy.Condition{{Claim: "g", AnyOf: []string{fmt.Sprint("g", i), fmt.Sprint("g", i+1)}}}
			return p
		},
		func(i int) policy.Policy {
			p := granting("", values("tenant_id", fmt.Sprint("t", i)))
			p.When = []policy.Condition{{Claim: "h", Present: true}, {Claim: "b", AnyOf: []string{"true"}}}
			return p
		},
		func(i int) policy.Policy {
			return granting("", claimed("g", func(l *policy.Label) { l.Map = []policy.Mapping{{From: fmt.Sprint("g", i), To: []string{"m"}}} }))
		},
		func(i int) policy.Policy {
			return granting("", claimed("g", func(l *policy.Label) { l.Allowed = []string{fmt.Sprint("g", i)} }))
		},
		func(i int) policy.Policy {
			return granting("", claimed("g", func(l *policy.Label) { l.StripPrefix, l.Allowed = "g", []string{fmt.Sprint(i)} }))
		},
		func(int) policy.Policy {
			return granting("", claimed("g", func(l *policy.Label) { l.AddPrefix = "x" }))
		},
	}
	for i := range 30 {
		p := kinds[i%len(kinds)](i)
		p.Name = fmt.Sprintf("p%02d", i)
		policies = append(policies, p)
	}
	r := rules(t, policies...)
	applied := map[string]bool{}
	for i := range 31 {
		for _, claims := range []string{`{"g":"g%d"}`, `{"g":["g%d","g3","g99"],"b":true}`, `{"h":["x"],"b":true,"g":"g%d"}`, `{"h":"g%d"}`} {
			if strings.Contains(claims, "%d") {
				claims = fmt.Sprintf(claims, i)
			}
			got, gotErr := r.Decide(token(t, claims), policy.Narrowing{})
			want, wantErr := r.DecideWithoutIndex(token(t, claims), policy.Narrowing{})
			if !slices.Equal(got.Policies, want.Policies) || fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
				t.Errorf("%s: got %q, %v, want %q, %v", claims, got.Policies, gotErr, want.Policies, wantErr)
			}
			for _, name := range got.Policies {
				applied[name] = true
			}
		}
	}
	if len(applied) < len(policies) {
		t.Errorf("only %d of %d policies ever applied", len(applied), len(policies))
	}
}

func TestExplain(t *testing.T) {
	named := granting("named", values("tenant_id", "x"))
	named.OnlyWhenNamed = new(bool)
	*named.OnlyWhenNamed = true
	leads := granting("leads", values("tenant_id", "y"))
	leads.When = []policy.Condition{{Claim: "r", AnyOf: []string{"lead"}}}
	r := rules(t, granting("teams", claimed("g", func(l *policy.Label) { l.StripPrefix = "/t/" })), named, leads)
	verdicts, d, err := r.Explain(token(t, `{"g":["/t/acme","/u/x"]}`), policy.Narrowing{})
	if err != nil || d.Labels.String() != `{tenant_id="acme"}` {
		t.Fatalf("got %s, %v", d.Labels, err)
	}
	want := []policy.Verdict{
		{Name: "leads", Why: "the claim r holds none of lead"},
		{Name: "named", Applies: true, Grants: `{tenant_id="x"}`, Why: "only_when_named, and X-Promfence-Policy does not name it"},
		{Name: "teams", Applies: true, Grants: `{tenant_id="acme"}`, LeftOut: []policy.LeftOut{
			{Label: "tenant_id", Value: "/u/x", Why: errors.New("does not begin with strip_prefix")},
		}},
	}
	texts := cmp.Transformer("text", func(err error) string { return err.Error() })
	if diff := cmp.Diff(want, verdicts, texts); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
}
