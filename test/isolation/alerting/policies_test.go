package alerting_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/alertmanager"
	"github.com/promfence/promfence/test/harness/fence"
)

// policed is promfence with policies of two labels and of all tenants in front of the
// world's crowd.
func policed(t *testing.T, w *world) *fence.Fence {
	t.Helper()
	issuer, dir := authtest.NewIssuer(t), t.TempDir()
	file := filepath.Join(dir, "promfence.yaml")
	harness.WriteFile(t, file, `policies:
  - {name: web, when: [{claim: team, any_of: [web]}], labels: [{label: tenant_id, values: [acme]}, {label: job, values: [api, web]}], silences: write}
  - {name: lookers, when: [{claim: team, any_of: [lookers]}], labels: [{label: tenant_id, values: [acme]}]}
  - {name: operators, issuers: ["`+issuer.URL+`"], when: [{claim: team, any_of: [ops]}], labels: [{label: tenant_id, any: true}], silences: write}
`)
	f := fence.Start(t, append(fence.Trust(issuer), "UPSTREAM_URL="+harness.Answering(t).URL, "CONFIG="+file, "AUTH_ALLOW_ALL_TENANTS=true",
		"AUDIT_FILE="+filepath.Join(dir, "audit.json"), "ALERTMANAGER_URL="+w.crowd.URL, "ALERTMANAGER_SILENCES=write")...)
	f.Issuer = issuer
	return f
}

// names are those of the alerts in an answer.
func names(t *testing.T, r harness.Reply) []string {
	t.Helper()
	var all []struct{ Labels map[string]string }
	if err := json.Unmarshal([]byte(r.Body), &all); err != nil || r.Status != http.StatusOK {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	var found []string
	for _, a := range all {
		found = append(found, a.Labels["tenant_id"]+"/"+a.Labels["alertname"])
	}
	slices.Sort(found)
	return found
}

// A policy of two labels holds at Alertmanager for both, and so does narrowing for an
// operator who may see everything.
func TestPoliciesHoldAtAlertmanager(t *testing.T) {
	w := newWorld(t)
	f := policed(t, w)
	of := func(team string) string { return f.Issuer.Token(t, nil, map[string]any{"sub": "alice", "team": team}) }

	if got := names(t, ask(t, f, of("web"), http.MethodGet, "/alerts", nil)); !slices.Equal(got, []string{"acme/Down", "acme/Slow"}) {
		t.Errorf("the team sees %v", got)
	}
	if got := ask(t, f, of("web"), http.MethodGet, "/silences", nil); strings.TrimSpace(got.Body) != "[]" {
		t.Errorf("silences that match more than the team's alerts: %s", got.Body)
	}
	if got := ask(t, f, of("web"), http.MethodDelete, "/silence/"+w.own, nil); got.Status != http.StatusNotFound {
		t.Errorf("ending one of them: %d %s", got.Status, got.Body)
	}
	id := written(t, ask(t, f, of("web"), http.MethodPost, "/silences", alertmanager.NewSilence("the team's", alertmanager.Equal("alertname", "Down"))))
	found, _ := w.crowd.Silenced(t, id)
	for name, want := range map[string]string{"tenant_id": "acme", "job": "api|web", "alertname": "Down"} {
		if !slices.ContainsFunc(found.Matchers, func(m alertmanager.Matcher) bool { return m.Name == name && m.Value == want && m.IsEqual }) {
			t.Errorf("the team's silence has no %s=%q: %+v", name, want, found.Matchers)
		}
	}
	if got := ask(t, f, of("web"), http.MethodGet, "/silences", nil); !strings.Contains(got.Body, id) {
		t.Errorf("the team does not see its own silence: %s", got.Body)
	}
	for _, job := range []string{"disk|x", "canary", "nobody"} {
		got := ask(t, f, of("web"), http.MethodPost, "/silences", alertmanager.NewSilence("more", alertmanager.Equal("job", job)))
		if got.Status != http.StatusForbidden {
			t.Errorf("a silence of %s: %d %s", job, got.Status, got.Body)
		}
	}
	if got := ask(t, f, of("lookers"), http.MethodPost, "/silences", alertmanager.NewSilence("x", alertmanager.Equal("job", "api"))); got.Status != http.StatusForbidden {
		t.Errorf("a silence of somebody who may read: %d %s", got.Status, got.Body)
	}

	operator := func(tenant string, method, path string, body any) harness.Reply {
		return askAs(t, f, of("ops"), map[string]string{"X-Promfence-Policy": "operators", "X-Promfence-Tenant": tenant}, method, path, body)
	}
	if got := names(t, operator("", http.MethodGet, "/alerts", nil)); !slices.Contains(got, "globex/Down") || !slices.Contains(got, "acme/Full") {
		t.Errorf("the operator sees %v", got)
	}
	if got := names(t, operator("acme", http.MethodGet, "/alerts", nil)); !slices.Equal(got, []string{"acme/Down", "acme/Full", "acme/Slow"}) {
		t.Errorf("the operator, narrowed to acme, sees %v", got)
	}
	everywhere := alertmanager.NewSilence("of whom", alertmanager.Equal("alertname", "Down"))
	if got := operator("", http.MethodPost, "/silences", everywhere); got.Status != http.StatusBadRequest || !strings.Contains(got.Body, "tenant_id") {
		t.Errorf("a silence of all tenants: %d %s", got.Status, got.Body)
	}
	for _, header := range []string{"", "globex"} {
		s := alertmanager.NewSilence("of globex", alertmanager.Equal("alertname", "Down"))
		if header == "" {
			s.Matchers = append(s.Matchers, alertmanager.Equal("tenant_id", "globex"))
		}
		found, _ := w.crowd.Silenced(t, written(t, operator(header, http.MethodPost, "/silences", s)))
		if len(found.Matchers) != 2 || !slices.Contains(found.Matchers, alertmanager.Equal("tenant_id", "globex")) {
			t.Errorf("the operator's silence of globex, narrowed to %q: %+v", header, found.Matchers)
		}
	}
}
