package question_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/filter"
	"github.com/promfence/promfence/proxy/promql"
	"github.com/promfence/promfence/proxy/question"
	"github.com/promfence/promfence/proxy/upstream"
)

// client is who asks a server.
func client(t *testing.T, h http.HandlerFunc, o upstream.Options) *upstream.Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	var err error
	if o.URL, err = url.Parse(server.URL); err != nil {
		t.Fatal(err)
	}
	c := upstream.New(o)
	t.Cleanup(c.Close)
	return c
}

// caller is who may see these tenants.
func caller(t *testing.T, names ...string) *promql.Enforcer {
	t.Helper()
	l, err := policy.ForTenants("tenant_id", names...)
	if err != nil {
		t.Fatal(err)
	}
	e, err := new(promql.Enforcers).For(l)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestNamesAreAskedForEachTenantOnce(t *testing.T) {
	var mu sync.Mutex
	asked := map[string]int{}
	a := question.New(question.Options{Upstream: client(t, func(w http.ResponseWriter, r *http.Request) {
		selector := r.FormValue("match[]")
		mu.Lock()
		asked[selector]++
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"status":"success","data":["of_%s"]}`, strings.TrimSuffix(strings.TrimPrefix(selector, `{tenant_id="`), `"}`))
	}, upstream.Options{})})
	for range 2 {
		for _, tenant := range []string{"acme", "globex"} {
			names, err := a.View(t.Context(), "an-id", caller(t, tenant)).Names()
			if err != nil || len(names) != 1 || !names["of_"+tenant] {
				t.Errorf("%s has the names %v; %v", tenant, names, err)
			}
		}
	}
	if asked[`{tenant_id="acme"}`] != 1 || asked[`{tenant_id="globex"}`] != 1 || len(asked) != 2 {
		t.Errorf("asked %v", asked)
	}
}

// An error is no empty answer, and it is not kept.
func TestAQuestionWithoutAnAnswerIsAnError(t *testing.T) {
	const noSuch = `unsupported path requested: "/api/v1/targets/metadata"`
	for _, tt := range []struct {
		status       int
		text         string
		names, texts bool // there is an answer
	}{
		{200, `{"status":"success","data":[]}`, true, true},
		{200, `{"status":"error","data":[]}`, false, false},
		{200, `{"status":"success","data":[`, false, false},
		{404, "404 page not found", false, true},
		{400, noSuch, false, true},
		{400, `{"status":"error","errorType":"bad_data","error":"invalid match_target"}`, false, false},
		{500, noSuch, false, false},
		{204, "", false, false},
	} {
		t.Run(fmt.Sprintf("%d %s", tt.status, tt.text), func(t *testing.T) {
			var asked atomic.Int32
			a := question.New(question.Options{Upstream: client(t, func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tt.status)
				if tt.status != http.StatusNoContent {
					_, _ = io.WriteString(w, tt.text)
				}
			}, upstream.Options{})})
			v := a.View(t.Context(), "an-id", caller(t, "acme"))
			for range 2 {
				if _, err := v.Names(); (err == nil) != tt.names {
					t.Errorf("names: %v", err)
				}
				if _, err := v.Texts(); (err == nil) != tt.texts {
					t.Errorf("texts: %v", err)
				}
			}
			kept := map[bool]int32{true: 1, false: 2}
			if want := kept[tt.names] + kept[tt.texts]; asked.Load() != want {
				t.Errorf("asked %d times, want %d", asked.Load(), want)
			}
		})
	}
}

// What suppresses an alert is asked of Alertmanager, and only when somebody wants it.
func TestSuppressionIsAskedOfAlertmanager(t *testing.T) {
	var asked, fails atomic.Int32
	o := question.Options{Alertmanager: client(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		if fails.Load() > 0 {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = io.WriteString(w, "[]")
	}, upstream.Options{})}
	a := question.New(o)
	v := a.AlertingView(t.Context(), "an-id", caller(t, "acme"))
	if asked.Load() != 0 {
		t.Error("asked before anybody wanted to know")
	}
	for _, look := range []func() (filter.Names, error){v.SilenceIDs, v.Fingerprints, v.SilenceIDs} {
		if names, err := look(); err != nil || len(names) != 0 {
			t.Errorf("%v; %v", names, err)
		}
	}
	if asked.Load() != 2 {
		t.Errorf("asked %d times", asked.Load())
	}
	fails.Store(1)
	if _, err := a.AlertingView(t.Context(), "an-id", caller(t, "acme")).SilenceIDs(); err == nil {
		t.Error("an error of Alertmanager is an answer")
	}
}

// confined is a label policy of two tenants without prod.
func confined(t *testing.T) policy.Labels {
	t.Helper()
	rules, err := policy.New(policy.Options{
		TenantLabel: "tenant_id", MaxTenants: 2, Entries: []policy.Entry{{Issuer: "idp"}},
		Policies: []policy.Policy{{Name: "team", Labels: []policy.Label{{Label: "tenant_id", Values: []string{"acme", "globex"}}, {Label: "env", Except: []string{"prod"}}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := rules.Decide(policy.Token{Issuer: "idp"}, policy.Narrowing{})
	if err != nil {
		t.Fatal(err)
	}
	return d.Labels
}

func TestAnUpstreamMustBeSeenToHoldTheLabelPolicy(t *testing.T) {
	const (
		nothing = `{"status":"success","data":{"resultType":"vector","result":[]}}`
		series  = `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1"]}]}}`
	)
	for name, tt := range map[string]struct {
		acme, globex string
		status       int
		outcomes     string
	}{
		"held":                       {nothing, nothing, 200, "acme:held globex:held"},
		"leaked":                     {series, nothing, 200, "acme:leaked"},
		"leaked for another tenant":  {nothing, series, 200, "acme:held globex:leaked"},
		"an error":                   {nothing, nothing, 500, "acme:failed"},
		"an answer without a result": {`{"status":"success","data":{}}`, nothing, 200, "acme:failed"},
		"an answer that failed":      {`{"status":"error","data":{"result":[]}}`, nothing, 200, "acme:failed"},
		"no JSON":                    {"ok", nothing, 200, "acme:failed"},
	} {
		t.Run(name, func(t *testing.T) {
			var outcomes []string
			o := question.Options{LabelPolicy: true, Timeout: time.Minute, Probed: func(tenant, _ string, leaked bool, err error) {
				outcome := map[[2]bool]string{{false, true}: "held", {true, false}: "leaked", {false, false}: "failed"}[[2]bool{leaked, err == nil}]
				outcomes = append(outcomes, tenant+":"+outcome)
			}}
			o.Upstream = client(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tt.status)
				text := map[string]string{"acme": tt.acme, "globex": tt.globex}[r.Header.Get("X-Scope-OrgID")]
				if !strings.Contains(r.FormValue("query"), "prod") || !strings.Contains(r.Header.Get("X-Prom-Label-Policy"), "prod") {
					text = "this asks for nothing that is forbidden"
				}
				_, _ = io.WriteString(w, text)
			}, upstream.Options{TenantHeader: "X-Scope-OrgID", LabelPolicy: true})
			a := question.New(o)
			err := a.HoldsLabelPolicy(t.Context(), "an-id", confined(t))
			if got := strings.Join(outcomes, " "); got != tt.outcomes || (err == nil) != (name == "held") {
				t.Errorf("%s; %v", got, err)
			}
			before := len(outcomes)
			if _ = a.HoldsLabelPolicy(t.Context(), "an-id", confined(t)); len(outcomes) != before {
				t.Error("the same is asked at once again")
			}
		})
	}
}

// TestNoSuchPath holds what servers say of a path that they do not have.
func TestNoSuchPath(t *testing.T) {
	for text, want := range map[string]bool{
		`unsupported path requested: "/api/v1/targets/metadata"`:                                                                                                    true,
		`unsupported path requested: "/select/0/prometheus/api/v1/targets/metadata"` + "\n":                                                                         true,
		`remoteAddr: "10.0.0.1:53542"; requestURI: /api/v1/targets/metadata?match_target=%7B%7D; unsupported path requested: "/api/v1/targets/metadata"`:            true,
		`remoteAddr: "10.0.0.1:53542, X-Forwarded-For: 10.0.0.2"; requestURI: /p/api/v1/targets/metadata; unsupported path requested: "/p/api/v1/targets/metadata"`: true,
		`unsupported path requested: "/api/v1/query"`:                                                                                                               false,
		`cannot connect: unsupported path requested: "/api/v1/targets/metadata"`:                                                                                    false,
		`unsupported path requested: "/api/v1/targets/metadata" (storage is away)`:                                                                                  false,
		`{"status":"error","errorType":"bad_data","error":"invalid parameter"}`:                                                                                     false,
		"": false,
	} {
		if got := question.NoSuchPath(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
