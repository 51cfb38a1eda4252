package alerting_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/test/harness/fence"
)

var errUnsettled = errors.New("alerts are not grouped yet")

// readings are requests that read, good ones and bad ones.
func readings() []string {
	all := []string{"/status", "/receivers"}
	for _, path := range []string{"/alerts", "/alerts/groups", "/silences"} {
		all = append(all, path, path+"?active=false", path+"?active=yes", path+"?active=true&active=false", path+"?unknown=1",
			filters(path, `alertname="Down"`), filters(path, `alertname=~"Down|canary"`), filters(path, `job!="x"`, `job!~"y.*"`),
			filters(path, `tenant_id="globex"`), filters(path, `tenant_id=~".*"`), filters(path, `tenant_id!="acme"`), filters(path, `tenant_id=""`),
			filters(path, `"büro.größe"="groß"`), filters(path, `büro.größe="groß"`), filters(path, `{alertname="Down"}`),
			filters(path, `alertname`), filters(path, `alertname="a",job="b"`), filters(path, `alertname=~"("`), filters(path, `job="disk|x"`), filters(path, `job=disk|x`),
			filters(path, `job="\x64isk|x"`), filters(path, `job="a\"b"`), filters(path, "job=\"\x00\""), filters(path, "job=\"\xff\""), filters(path, ""))
	}
	for _, path := range []string{"/alerts", "/alerts/groups"} {
		all = append(all, path+"?receiver=acme-mail", path+"?receiver=.*", path+"?receiver=globex-canary", path+"?receiver=(", path+"?silenced=false", path+"?inhibited=false")
	}
	return append(all, "/silences?expired=false", "/silences?pending=false&active=true")
}

// Whatever is asked: the answer is what it would be if Alertmanager held nobody
// else's alerts and silences.
func TestAnswersAreThoseOfAnAlertmanagerWithoutTheOthers(t *testing.T) {
	w := newWorld(t)
	crowd, alone := silences(t, w.crowd), silences(t, w.alone)
	shown := 0
	for _, path := range readings() {
		got := ask(t, w.fence, w.token(t, "acme"), http.MethodGet, path, nil)
		want := ask(t, w.quiet, w.quiet.Issuer.Token(t, "acme", map[string]any{"sub": "alice"}), http.MethodGet, path, nil)
		if got.Status != want.Status {
			t.Errorf("%s: %d, alone %d", path, got.Status, want.Status)
			continue
		}
		if strings.Contains(got.Body, "acme's own") {
			shown++
		}
		if got.Status >= http.StatusInternalServerError || strings.Contains(strings.ReplaceAll(got.Body, "~\"Down|canary\"", ""), canary) {
			t.Errorf("%s: %d %s", path, got.Status, got.Body)
		}
		if diff := cmp.Diff(spelled(t, want.Body, alone), spelled(t, got.Body, crowd)); diff != "" {
			t.Errorf("%s (-alone +crowd):\n%s", path, diff)
		}
	}
	if t.Logf("%d of %d answers show acme's own", shown, len(readings())); shown < 30 {
		t.Error("want 30 of them to")
	}
}

// The positive control: acme sees all that is its own.
func TestAcmeSeesItsAlertsAndSilences(t *testing.T) {
	w := newWorld(t)
	for path, holds := range map[string][]string{
		"/alerts":           {`"alertname":"Down"`, `"alertname":"Slow"`, `"büro.größe":"groß"`, `"silencedBy":["` + w.own + `"]`, `"state":"suppressed"`, `"name":"acme-mail"`},
		"/alerts/groups":    {`"alertname":"Down"`, `"labels":{"alertname":"Slow"}`, `"receiver":{"name":"acme-mail"}`},
		"/silences":         {`"comment":"acme's own"`, `"createdBy":"somebody"`},
		"/silence/" + w.own: {`"comment":"acme's own"`},
		"/receivers":        {`[{"name":"acme-mail"}]`},
		"/status":           {`"versionInfo":{"branch":""`, `"status":"ready"`, `"original":""`},
		filters("/alerts", `"büro.größe"="groß"`): {`"alertname":"Slow"`},
	} {
		got := w.ask(t, http.MethodGet, path, nil)
		for _, part := range holds {
			if got.Status != http.StatusOK || !strings.Contains(got.Body, part) {
				t.Errorf("%s: %d lacks %s: %s", path, got.Status, part, got.Body)
			}
		}
	}
	var inhibited int
	for _, part := range strings.Split(w.ask(t, http.MethodGet, "/alerts", nil).Body, `"inhibitedBy":["`)[1:] {
		if part != "" {
			inhibited++
		}
	}
	if inhibited != 1 {
		t.Errorf("%d alerts name what inhibits them, want Slow by acme's own Down", inhibited)
	}
	other := fence.Before(t, w.crowd.URL, "ALERTMANAGER_URL="+w.crowd.URL)
	if got := ask(t, other, other.Token(t, "globex"), http.MethodGet, "/alerts", nil); !strings.Contains(got.Body, canary) {
		t.Errorf("globex does not see its own, so that the canaries are none: %s", got.Body)
	}
}
