package scope_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/promql"
	"github.com/promfence/promfence/proxy/scope"
)

const id = "0f9c2a44-0000-4000-8000-0000000000ac"

// by is an input of a caller who may see acme and beta, and silence acme.
func by(t *testing.T, subject string, body string) scope.Input {
	t.Helper()
	sees, err := policy.ForTenants("tenant_id", "acme", "beta")
	if err != nil {
		t.Fatal(err)
	}
	e, err := new(promql.Enforcers).For(sees)
	if err != nil {
		t.Fatal(err)
	}
	silences, err := policy.ForTenants("tenant_id", "acme")
	if err != nil {
		t.Fatal(err)
	}
	return scope.Input{Enforcer: e, Body: []byte(body), ID: id, Silences: silences, Author: subject, Longest: 1 << 60}
}

func held(tenant string) []byte {
	return []byte(`{"id":"` + id + `","matchers":[{"name":"tenant_id","value":"` + tenant + `","isRegex":false,"isEqual":true}]}`)
}

func TestASilenceIsSentOnlyAfterItWasSeen(t *testing.T) {
	const posted = `{"matchers":[{"name":"job","value":"x","isRegex":false}],"startsAt":"2026-11-29T00:00:00Z","endsAt":"2026-11-29T01:00:00Z"`
	for name, tt := range map[string]struct {
		rule   scope.Writing
		body   string
		unseen string
	}{
		"a new one":      {scope.PostedSilence(), posted + "}", ""},
		"a replaced one": {scope.PostedSilence(), posted + `,"id":"` + id + `"}`, id},
		"an ended one":   {scope.EndedSilence(), "", id},
	} {
		req, err := tt.rule.Narrow(by(t, "alice", tt.body))
		if err != nil || req.Unseen() != tt.unseen || req.IsZero() {
			t.Errorf("%s: %v, %q is to be seen", name, err, req.Unseen())
			continue
		}
		// The caller sees beta's silences, and may not change them.
		for _, tenant := range []string{"beta", "globex", ""} {
			if r, err := req.Seen(held(tenant)); err == nil || !r.IsZero() {
				t.Errorf("%s: sent although it is of %q", name, tenant)
			}
		}
		if tt.unseen == "" {
			continue
		}
		if r, err := req.Seen(held("acme")); err != nil || r.Unseen() != "" || r.IsZero() {
			t.Errorf("%s: the caller's own is not sent: %v", name, err)
		}
	}
}

func TestWhoMayNotWriteASilence(t *testing.T) {
	nobody := by(t, "alice", "{}")
	nobody.Silences = policy.Labels{}
	noPath := by(t, "alice", "")
	noPath.ID = "../alerts"
	for name, tt := range map[string]struct {
		rule   scope.Writing
		in     scope.Input
		status int
	}{
		"no right":         {scope.PostedSilence(), nobody, http.StatusForbidden},
		"no right to end":  {scope.EndedSilence(), nobody, http.StatusForbidden},
		"no sub":           {scope.PostedSilence(), by(t, "", "{}"), http.StatusForbidden},
		"no sub to end":    {scope.EndedSilence(), by(t, "", ""), http.StatusForbidden},
		"an id of a path":  {scope.EndedSilence(), noPath, http.StatusNotFound},
		"a rule of no one": {scope.Writing{}, by(t, "alice", "{}"), http.StatusInternalServerError},
	} {
		req, err := tt.rule.Narrow(tt.in)
		if e, ok := errors.AsType[*apierr.Error](err); !ok || e.Status != tt.status || !req.IsZero() {
			t.Errorf("%s: %v, want %d", name, err, tt.status)
		}
	}
}

func TestFiltersOfAlertsAreNarrowedAndThoseOfSilencesAreNot(t *testing.T) {
	in := by(t, "", "")
	in.Params = scope.Params{{Name: "filter", Value: "job=x"}, {Name: "active", Value: "false"}}
	for name, tt := range map[string]struct {
		rule scope.Unnarrowed
		want []string
	}{
		"alerts":   {scope.AlertFilters(), []string{`job="x"`, `tenant_id=~"acme|beta"`}},
		"silences": {scope.SilenceFilters(), []string{`job="x"`}},
	} {
		req, err := tt.rule.Narrow(in)
		if err != nil || !req.NeedsFilter() {
			t.Errorf("%s: %v, needs a filter: %t", name, err, req.NeedsFilter())
			continue
		}
		if _, wrong := req.Param("unknown"); wrong {
			t.Errorf("%s: an unknown parameter", name)
		}
		want := "active=false"
		for _, f := range tt.want {
			want += "&filter=" + url.QueryEscape(f)
		}
		if got := req.Form(); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
