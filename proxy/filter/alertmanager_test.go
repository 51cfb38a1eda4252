package filter_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/filter"
)

func TestAlertmanagersAnswersAreFiltered(t *testing.T) {
	collectSeldom(t)
	acme, err := policy.ForTenants("tenant_id", "acme")
	if err != nil {
		t.Fatal(err)
	}
	own := filter.View{
		Labels:       acme,
		SilenceIDs:   func() (filter.Names, error) { return filter.Names{"own": true}, nil },
		Fingerprints: func() (filter.Names, error) { return filter.Names{"f1": true}, nil },
	}
	const (
		theirs     = `{"labels":{"tenant_id":"globex"},"status":{"state":"strange"},"receivers":7}`
		mine       = `{"labels":{"tenant_id":"acme"},"fingerprint":"f1","x":1,"receivers":[{"name":"b","x":1},{"name":"a"}],"status":{"state":"suppressed","silencedBy":["own","theirs"],"inhibitedBy":["f1","f2"],"mutedBy":["night"],"x":1}}`
		shown      = `{"labels":{"tenant_id":"acme"},"fingerprint":"f1","receivers":[{"name":"b"},{"name":"a"}],"status":{"inhibitedBy":["f1"],"mutedBy":["night"],"silencedBy":["own"],"state":"suppressed"}}`
		mySilence  = `{"id":"own","matchers":[{"name":"tenant_id","value":"acme","isRegex":false}]}`
		theSilence = `{"id":"theirs","matchers":[{"name":"tenant_id","value":"acme","isRegex":false,"isEqual":false}]}`
		twice      = `{"id":"theirs","matchers":[{"name":"tenant_id","value":"globex","value":"acme","isRegex":false}]}`
		otherCase  = `{"id":"theirs","matchers":[{"name":"tenant_id","Value":"acme","isRegex":false,"value":"globex"}]}`
	)
	huge := `{"labels":{"tenant_id":"globex"},"x":"` + strings.Repeat("x", 9<<20) + `"}`
	for name, tt := range map[string]struct {
		filter   filter.Filter
		in, want string // "": the answer is refused
	}{
		"alerts":                          {filter.View.ActiveAlerts, "[" + theirs + "," + mine + "]\n", "[" + shown + "]"},
		"no alerts":                       {filter.View.ActiveAlerts, "[]", "[]"},
		"somebody else's huge alert":      {filter.View.ActiveAlerts, "[" + huge + "," + mine + "]", "[" + shown + "]"},
		"alerts that are no list":         {filter.View.ActiveAlerts, `{"status":"success","data":[]}`, ""},
		"an alert cut in two":             {filter.View.ActiveAlerts, "[" + mine[:50], ""},
		"something behind the alerts":     {filter.View.ActiveAlerts, "[][]", ""},
		"an own alert in a strange state": {filter.View.ActiveAlerts, "[" + strings.Replace(mine, "suppressed", "stranger", 1) + "]", ""},
		"a tenant twice":                  {filter.View.ActiveAlerts, `[{"labels":{"tenant_id":"globex","tenant_id":"acme"}}]`, ""},
		"groups": {
			filter.View.AlertGroups, `[{"alerts":[` + theirs + `],"labels":{},"receiver":{"name":"theirs"},"routeLabels":{}},{"labels":{"job":"x"},"alerts":[` + mine + "," + theirs + "," + mine + `],"receiver":{"name":"r"},"routeLabels":{"x":"y"},"z":1}]`,
			`[{"alerts":[` + shown + "," + shown + `],"labels":{"job":"x"},"receiver":{"name":"r"},"routeLabels":{}}]`,
		},
		"receivers":                    {filter.View.Receivers, "[" + mine + "," + theirs + "," + mine + "]", `[{"name":"a"},{"name":"b"}]`},
		"silences":                     {filter.View.Silences, "[" + theSilence + "," + mySilence + "," + twice + "," + otherCase + `,7,{}]`, "[" + mySilence + "]"},
		"somebody else's huge silence": {filter.View.Silences, "[" + huge + "," + mySilence + "]", "[" + mySilence + "]"},
		"a silence":                    {filter.View.Silence, mySilence, mySilence},
		"somebody else's silence":      {filter.View.Silence, theSilence, ""},
		"the status":                   {filter.View.ServerStatus, `{"versionInfo":{"version":"1\"2","x":{}},"config":{"original":"x"}}`, `{"cluster":{"peers":[],"status":"ready"},"config":{"original":""},"uptime":"1970-01-01T00:00:00.000Z","versionInfo":{"branch":"","buildDate":"","buildUser":"","goVersion":"","revision":"","version":"1\"2"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			err := tt.filter(own, &out, strings.NewReader(tt.in))
			if tt.want == "" {
				if err == nil {
					t.Errorf("%.300s passes", out.String())
				}
				return
			}
			if err != nil || out.String() != tt.want {
				t.Errorf("%v %.2000s\nwant %s", err, out.String(), tt.want)
			}
			if err := tt.filter(filter.View{}, io.Discard, strings.NewReader(tt.in)); err == nil {
				t.Error("a view of nothing is filled")
			}
		})
	}
	if err := own.Silence(io.Discard, strings.NewReader(theSilence)); !isNotFound(err) {
		t.Errorf("somebody else's silence: %v", err)
	}
	var out strings.Builder
	if err := (filter.View{Labels: acme}).ActiveAlerts(&out, strings.NewReader("["+mine+"]")); err != nil || strings.Contains(out.String(), "own") {
		t.Errorf("who does not know which ids are the identity's: %s, %v", out.String(), err)
	}
	silences, err := own.ReadSilences(strings.NewReader("[" + theSilence + "," + mySilence + "]"))
	if err != nil || len(silences) != 1 || !silences["own"] {
		t.Errorf("silences: %v, %v", silences, err)
	}
	fingerprints, err := own.ReadFingerprints(strings.NewReader("[" + theirs + "," + mine + "]"))
	if err != nil || len(fingerprints) != 1 || !fingerprints["f1"] {
		t.Errorf("fingerprints: %v, %v", fingerprints, err)
	}
}

func isNotFound(err error) bool {
	e, ok := errors.AsType[*apierr.Error](err)
	return ok && e.Status == 404
}
