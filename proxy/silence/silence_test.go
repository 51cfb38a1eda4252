package silence_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/alertmanager/pkg/labels"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/silence"
)

var limits = silence.Limits{Matchers: 20, Bytes: 1024, Duration: 30 * 24 * time.Hour}

func tenants(t testing.TB, names ...string) policy.Labels {
	t.Helper()
	l, err := policy.ForTenants("tenant_id", names...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// body is a silence with these matchers, as JSON.
func body(matchers string) []byte {
	return []byte(`{"matchers":[` + matchers + `],"startsAt":"2026-11-29T00:00:00Z","endsAt":"2026-11-29T02:00:00Z","createdBy":"mallory","comment":"c"}`)
}

type sent struct {
	Matchers  []struct{ Name, Value string } `json:"matchers"`
	CreatedBy string                         `json:"createdBy"`
	Comment   string                         `json:"comment"`
}

func TestASilenceIsConfinedToOneTenant(t *testing.T) {
	const job, acme = `{"name":"job","value":"shop","isRegex":false}`, `{"name":"tenant_id","value":"acme","isRegex":false,"isEqual":true}`
	for name, tt := range map[string]struct {
		l        policy.Labels
		matchers string
		status   int    // of the refusal; 0 = none
		holds    string // of what is sent
	}{
		"no tenant named":                    {tenants(t, "acme"), job, 0, `{"name":"tenant_id","value":"acme","isRegex":false,"isEqual":true}`},
		"the own tenant named":               {tenants(t, "acme"), job + "," + acme, 0, acme},
		"one of several named":               {tenants(t, "acme", "beta"), job + "," + acme, 0, acme},
		"one of several as a plain pattern":  {tenants(t, "acme", "beta"), job + `,{"name":"tenant_id","value":"(acme)","isRegex":true}`, 0, acme},
		"several tenants, none named":        {tenants(t, "acme", "beta"), job, 400, "tenant_id="},
		"several tenants in one pattern":     {tenants(t, "acme", "beta"), job + `,{"name":"tenant_id","value":"acme|beta","isRegex":true}`, 400, "tenant_id="},
		"another tenant":                     {tenants(t, "acme"), job + `,{"name":"tenant_id","value":"globex","isRegex":false}`, 403, "more than you may see"},
		"another tenant beside the own":      {tenants(t, "acme"), job + "," + acme + `,{"name":"tenant_id","value":"globex","isRegex":false}`, 403, "more"},
		"a pattern that fits more":           {tenants(t, "acme"), job + `,{"name":"tenant_id","value":"acme.*","isRegex":true}`, 403, "more"},
		"a pattern that fits others, too":    {tenants(t, "acme"), job + `,{"name":"tenant_id","value":"acme|globex","isRegex":true}`, 403, "more"},
		"a pattern without regard to case":   {tenants(t, "acme"), job + `,{"name":"tenant_id","value":"(?i)acme","isRegex":true}`, 403, "more"},
		"a class":                            {tenants(t, "acme"), job + `,{"name":"tenant_id","value":"acm[e]","isRegex":true}`, 403, "more"},
		"an empty alternative":               {tenants(t, "acme"), job + `,{"name":"tenant_id","value":"acme|","isRegex":true}`, 403, "more"},
		"the missing label":                  {tenants(t, "acme"), job + `,{"name":"tenant_id","value":"","isRegex":false}`, 403, "more"},
		"everybody but one":                  {tenants(t, "acme"), job + `,{"name":"tenant_id","value":"globex","isRegex":false,"isEqual":false}`, 403, "more"},
		"not the own, negated":               {tenants(t, "acme"), job + `,{"name":"tenant_id","value":"acme","isRegex":false,"isEqual":false}`, 403, "more"},
		"nobody's policy":                    {policy.Labels{}, job, 403, "nothing"},
		"no matcher":                         {tenants(t, "acme"), "", 400, "matchers"},
		"a member that nobody knows":         {tenants(t, "acme"), job + `],"x":[`, 400, "unknown field"},
		"two silences":                       {tenants(t, "acme"), job + `],"startsAt":"2026-11-29T00:00:00Z","endsAt":"2026-11-29T01:00:00Z","createdBy":"","comment":""}{"matchers":[` + job, 400, "followed"},
		"a pattern that is costly":           {tenants(t, "acme"), `{"name":"job","value":"` + strings.Repeat(`\\pL{100}`, 20) + `","isRegex":true}`, 400, "costly"},
		"a name that is not in ASCII passes": {tenants(t, "acme"), `{"name":"büro.größe","value":"ä|b","isRegex":true}`, 0, `"name":"büro.größe","value":"ä|b","isRegex":true`},
	} {
		t.Run(name, func(t *testing.T) {
			out, _, err := limits.Narrow(body(tt.matchers), tt.l, "alice")
			if tt.status != 0 {
				e, ok := errors.AsType[*apierr.Error](err)
				if !ok || e.Status != tt.status || !strings.Contains(e.Message, tt.holds) || out != nil {
					t.Fatalf("%s, %v, want %d with %q", out, err, tt.status, tt.holds)
				}
				return
			}
			if err != nil || !strings.Contains(string(out), tt.holds) {
				t.Fatalf("%s, %v, want %s", out, err, tt.holds)
			}
			var s sent
			if err := json.Unmarshal(out, &s); err != nil || s.CreatedBy != "alice" || s.Comment != "c" {
				t.Errorf("%+v, %v", s, err)
			}
			if !silence.Belongs(out, tt.l) || silence.Belongs(out, tenants(t, "globex")) {
				t.Error("what was written is not its author's alone")
			}
		})
	}
}

func TestASilenceNeedsAnAuthorTimesAndAnID(t *testing.T) {
	acme := tenants(t, "acme")
	good := string(body(`{"name":"job","value":"shop","isRegex":false}`))
	for name, tt := range map[string]struct {
		body, subject string
		status        int
	}{
		"no subject":               {good, "", 403},
		"the end before the start": {strings.Replace(good, "02:00", "00:00", 1), "alice", 400},
		"longer than is allowed":   {strings.Replace(good, "2026-11-29T02", "2027-11-29T02", 1), "alice", 400},
		"an id that is a path":     {strings.Replace(good, "{", `{"id":"../alerts",`, 1), "alice", 400},
		"a comment that is huge":   {strings.Replace(good, `"c"`, `"`+strings.Repeat("c", 2000)+`"`, 1), "alice", 400},
		"text that is not UTF-8":   {strings.Replace(good, `"c"`, "\"\xff\"", 1), "alice", 400},
		"no JSON":                  {"filter=x", "alice", 400},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := limits.Narrow([]byte(tt.body), acme, tt.subject)
			if e, ok := errors.AsType[*apierr.Error](err); !ok || e.Status != tt.status {
				t.Errorf("%v, want %d", err, tt.status)
			}
		})
	}
	if _, id, err := limits.Narrow([]byte(strings.Replace(good, "{", `{"id":"0f9c2a44-0000-4000-8000-00000000abcd",`, 1)), acme, "alice"); err != nil || id != "0f9c2a44-0000-4000-8000-00000000abcd" {
		t.Errorf("replacing: %q, %v", id, err)
	}
}

func TestASilenceIsVisibleWhenItCanMatchNothingElse(t *testing.T) {
	acme := tenants(t, "acme", "beta")
	for matchers, want := range map[string]bool{
		`{"name":"tenant_id","value":"acme","isRegex":false}`:                                                            true,
		`{"name":"tenant_id","value":"acme|beta","isRegex":true}`:                                                        true,
		`{"name":"tenant_id","value":"acme|globex","isRegex":true}`:                                                      false,
		`{"name":"tenant_id","value":"globex","isRegex":false}`:                                                          false,
		`{"name":"tenant_id","value":"acme","isRegex":false,"isEqual":false}`:                                            false,
		`{"name":"alertname","value":"Down","isRegex":false}`:                                                            false,
		`{"name":"tenant_id","value":"acme","isRegex":false},{"name":"tenant_id","value":".*","isRegex":true}`:           true,
		`{"name":"tenant_id","value":"acme","isRegex":false},{"name":"job","value":"x","isRegex":false,"isEqual":false}`: true,
		`{"name":"TENANT_ID","value":"acme","isRegex":false}`:                                                            false,
		`{"name":"tenant_id","value":".+","isRegex":true}`:                                                               false,
		`{"name":"tenant_id","value":"ac\\.me","isRegex":true}`:                                                          false,
		`{"name":"tenant_id","value":"\\x61cme","isRegex":true}`:                                                         false,
		`{"name":"tenant_id","value":"acme|(beta|globex)","isRegex":true}`:                                               false,
		`{"name":"tenant_id","value":"(acme)|(globex)","isRegex":true}`:                                                  false,
		`{"name":"tenant_id","value":"","isRegex":true}`:                                                                 false,
	} {
		if got := silence.Belongs(body(matchers), acme); got != want {
			t.Errorf("%s: visible is %v", matchers, got)
		}
	}
	if silence.Belongs([]byte(`{}`), acme) || silence.Belongs(nil, acme) || silence.Belongs(body(`{"name":"tenant_id","value":"acme","isRegex":false}`), policy.Labels{}) {
		t.Error("what says nothing is visible")
	}
	// An operator in a tenant's name stands for itself only behind a backslash.
	for pattern, want := range map[string]bool{`a.b`: false, `a\\.b`: true} {
		if got := silence.Belongs(body(`{"name":"tenant_id","value":"`+pattern+`","isRegex":true}`), tenants(t, "a.b")); got != want {
			t.Errorf("%s for the tenant a.b: visible is %v", pattern, got)
		}
	}
}

func TestFiltersAreSpelledAfreshBesideThePolicys(t *testing.T) {
	for sent, want := range map[string]string{
		`alertname=Down`:     `alertname="Down"`,
		`alertname="Down"`:   `alertname="Down"`,
		`"büro"=~"a|b"`:      `büro=~"a|b"`,
		` job != "x" `:       `job!="x"`,
		`tenant_id="globex"`: `tenant_id="globex"`, // beside acme's: empty
		`tenant_id=~".*"`:    `tenant_id=~".*"`,
		`a="x\"y"`:           `a="x\"y"`,
		`alertname`:          "",
		`{a="b"}`:            `a="b"`,
		`a="b",c="d"`:        "",
		`a=~"` + strings.Repeat(`\\pL{100}`, 40) + `"`: "",
		`a=` + strings.Repeat("x", 3000):               "",
	} {
		got, err := limits.Filters([]string{sent}, tenants(t, "acme"))
		if want == "" {
			if e, ok := errors.AsType[*apierr.Error](err); !ok || e.Status != 400 {
				t.Errorf("%.60s: %q, %v", sent, got, err)
			}
			continue
		}
		if diff := cmp.Diff([]string{want, `tenant_id="acme"`}, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", sent, err, diff)
		}
	}
	if got, err := limits.Filters(nil, tenants(t, "a|b", "c")); err != nil || len(got) != 1 || got[0] != `tenant_id=~"a\\|b|c"` {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := limits.Filters(make([]string, 21), tenants(t, "a")); err == nil {
		t.Error("21 filters pass")
	}
}

// Whatever is sent: nothing passes, or what passes silences nobody else's alert.
func FuzzNarrow(f *testing.F) {
	for _, m := range []string{
		`{"name":"tenant_id","value":"acme|beta","isRegex":true}`, `{"name":"tenant_id","value":"acme","isRegex":false,"isEqual":false}`,
		`{"name":"job","value":".*","isRegex":true},{"name":"tenant_id","value":"(?:beta)","isRegex":true}`,
	} {
		f.Add(string(body(m)))
	}
	world := []string{"", "acme", "beta", "globex", "acme2", "Acme", "a", "acme|beta", "."}
	f.Fuzz(func(t *testing.T, sent string) {
		l := tenants(t, "acme", "beta")
		out, _, err := limits.Narrow([]byte(sent), l, "alice")
		if err != nil {
			return
		}
		var s struct{ Matchers []*labels.Matcher }
		if err := json.Unmarshal(out, &s); err != nil {
			return // Alertmanager cannot read it either
		}
		for _, tenant := range world {
			matches := true
			for _, m := range s.Matchers {
				if m.Name == "tenant_id" {
					matches = matches && m.Matches(tenant)
				}
			}
			if matches && !l.Allows(func(string) string { return tenant }) {
				t.Errorf("%s silences %q by %s", sent, tenant, fmt.Sprint(s.Matchers))
			}
		}
	})
}
