// Package alerting_test attacks Alertmanager's part of promfence: a real one behind
// it, with alerts and silences of two tenants and of nobody.
package alerting_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/alertmanager"
	"github.com/promfence/promfence/test/harness/fence"
)

// canary is in every text of others: who is shown it sees what is not theirs.
const canary = "canary"

const configuration = `
route:
  receiver: nobodys-canary
  group_by: [alertname]
  group_wait: 1s
  routes:
    - {matchers: ['tenant_id="acme"'], receiver: acme-mail, mute_time_intervals: [never]}
    - {matchers: ['tenant_id="globex"'], receiver: globex-canary}
receivers: [{name: nobodys-canary}, {name: acme-mail}, {name: globex-canary}]
time_intervals: [{name: never, time_intervals: [{years: ['2001']}]}]
inhibit_rules:
  - {source_matchers: ['alertname="Down"'], target_matchers: ['alertname="Slow"'], equal: [tenant_id]}
`

// A world is an Alertmanager with everybody's alerts and silences, and one with
// nothing but acme's.
type world struct {
	crowd, alone *alertmanager.Alertmanager
	fence, quiet *fence.Fence // in front of each
	globex, own  string       // a silence of globex, and one of acme, in the crowd
	operators    string       // and one of nobody's
}

func newWorld(t *testing.T, settings ...string) *world {
	t.Helper()
	w := &world{crowd: alertmanager.Start(t, configuration), alone: alertmanager.Start(t, configuration)}
	for _, a := range []*alertmanager.Alertmanager{w.crowd, w.alone} {
		for _, labels := range []alertmanager.Labels{
			{"alertname": "Down", "job": "api", "tenant_id": "acme"},
			{"alertname": "Slow", "job": "web", "tenant_id": "acme", "büro.größe": "groß"},
			{"alertname": "Full", "job": "disk|x", "tenant_id": "acme"},
		} {
			a.Alert(t, labels, "acme's own")
		}
		w.own = a.Silence(t, alertmanager.NewSilence("acme's own", alertmanager.Equal("tenant_id", "acme"), alertmanager.Equal("alertname", "Full")))
	}
	for _, labels := range []alertmanager.Labels{
		{"alertname": "Down", "job": "api", "tenant_id": "globex", canary: canary},
		{"alertname": canary, "job": "api", "tenant_id": "globex"},
		{"alertname": "Slow", "job": canary},
		{"alertname": "Down", "job": canary, "tenant_id": "acme2"},
		{"alertname": "Down", "job": canary, "tenant_id": "ACME"},
		{"alertname": "Down", "job": canary, "Tenant_id": "acme"},
		{"alertname": "Down", "job": canary, "tenant_id": "acme|globex"},
	} {
		w.crowd.Alert(t, labels, canary)
	}
	w.own = silences(t, w.crowd)["acme's own"]
	w.globex = w.crowd.Silence(t, alertmanager.NewSilence(canary, alertmanager.Equal("tenant_id", "globex"), alertmanager.Equal("alertname", "Down")))
	w.operators = w.crowd.Silence(t, alertmanager.NewSilence(canary+" of an operator", alertmanager.Equal("job", canary)))
	w.crowd.Silence(t, alertmanager.NewSilence(canary+" of both", alertmanager.Matcher{Name: "tenant_id", Value: "acme|globex", IsRegex: true, IsEqual: true}, alertmanager.Equal("job", "none")))
	w.crowd.Silence(t, alertmanager.NewSilence(canary+" of all but globex", alertmanager.Matcher{Name: "tenant_id", Value: "globex", IsEqual: false}, alertmanager.Equal("job", "none")))
	prometheus := harness.Answering(t)
	w.fence = fence.Before(t, prometheus.URL, append([]string{"ALERTMANAGER_URL=" + w.crowd.URL, "ALERTMANAGER_SILENCES=write"}, settings...)...)
	w.quiet = fence.Before(t, prometheus.URL, append([]string{"ALERTMANAGER_URL=" + w.alone.URL, "ALERTMANAGER_SILENCES=write"}, settings...)...)
	for _, a := range []*alertmanager.Alertmanager{w.crowd, w.alone} {
		settle(t, a)
	}
	return w
}

// settle waits until no alert is unprocessed, and each is in its group.
func settle(t *testing.T, a *alertmanager.Alertmanager) {
	t.Helper()
	a.Await(t, func() error {
		var alerts []struct{ Status struct{ State string } }
		var groups []struct{ Alerts []any }
		if err := json.Unmarshal(a.Send(t, http.MethodGet, "/api/v2/alerts", nil), &alerts); err != nil {
			return err
		}
		if err := json.Unmarshal(a.Send(t, http.MethodGet, "/api/v2/alerts/groups", nil), &groups); err != nil {
			return err
		}
		grouped := 0
		for _, g := range groups {
			grouped += len(g.Alerts)
		}
		for _, one := range alerts {
			if one.Status.State == "unprocessed" || grouped < len(alerts) {
				return errUnsettled
			}
		}
		return nil
	})
}

// silences are the ids of all by their comment.
func silences(t *testing.T, a *alertmanager.Alertmanager) map[string]string {
	t.Helper()
	var all []struct{ ID, Comment string }
	if err := json.Unmarshal(a.Send(t, http.MethodGet, "/api/v2/silences", nil), &all); err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for _, s := range all {
		ids[s.Comment] = s.ID
	}
	return ids
}

// ask sends a request with acme's token.
func (w *world) ask(t *testing.T, method, path string, body any) harness.Reply {
	t.Helper()
	return ask(t, w.fence, w.token(t, "acme"), method, path, body)
}

// token is one with a subject.
func (w *world) token(t *testing.T, tenant any) string {
	t.Helper()
	return w.fence.Issuer.Token(t, tenant, map[string]any{"sub": "alice"})
}

// ask sends a request below Alertmanager's path: a body that is no text as JSON.
func ask(t *testing.T, f *fence.Fence, token, method, path string, body any) harness.Reply {
	t.Helper()
	return askAs(t, f, token, nil, method, path, body)
}

// askAs is ask with more headers; an empty one is none.
func askAs(t *testing.T, f *fence.Fence, token string, headers map[string]string, method, path string, body any) harness.Reply {
	t.Helper()
	text, isText := body.(string)
	if !isText && body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, f.URL+"/alertmanager/api/v2"+path, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if text != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+token)
	for name, value := range headers {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	return harness.Do(t, req)
}

// filters spells filter parameters.
func filters(path string, all ...string) string {
	return path + "?" + url.Values{"filter": all}.Encode()
}

// spelled leaves out what differs between two servers with the same: ids and times
// of writing.
func spelled(t *testing.T, body string, ids map[string]string) string {
	t.Helper()
	for comment, id := range ids {
		body = strings.ReplaceAll(body, id, "id of "+comment)
	}
	var v any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		return body
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, member := range v {
				if name == "updatedAt" || v["createdBy"] != nil && (name == "startsAt" || name == "endsAt") {
					v[name] = time.Time{}
				}
				walk(member)
			}
		case []any:
			for _, element := range v {
				walk(element)
			}
		}
	}
	walk(v)
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", " ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
