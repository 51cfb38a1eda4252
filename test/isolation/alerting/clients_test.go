package alerting_test

import (
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/alertmanager"
	"github.com/promfence/promfence/test/harness/gobuild"
)

// amtool reads and writes with the caller's token, and sees nobody else's.
func TestAmtoolWorksThroughPromfence(t *testing.T) {
	w := newWorld(t)
	binary, err := gobuild.Amtool(t.Context(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	harness.WriteFile(t, filepath.Join(dir, "token"), w.token(t, "acme"))
	harness.WriteFile(t, filepath.Join(dir, "http.yml"), "authorization: {type: Bearer, credentials_file: token}\n")
	amtool := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), binary, append(args, "--alertmanager.url="+w.fence.URL+"/alertmanager", "--http.config.file="+filepath.Join(dir, "http.yml"))...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if strings.Contains(string(out), canary) {
			t.Errorf("amtool %v: %s", args, out)
		}
		return string(out), err
	}
	for _, tt := range []struct {
		args  []string
		holds string
	}{
		{[]string{"alert", "query"}, "Down"},
		{[]string{"alert", "query", "-o", "json", "alertname=Down"}, `"Down"`},
		{[]string{"silence", "query"}, w.own},
		{[]string{"silence", "query", "-o", "extended"}, "acme's own"},
	} {
		if out, err := amtool(tt.args...); err != nil || !strings.Contains(out, tt.holds) {
			t.Errorf("amtool %v: %v, lacks %s: %s", tt.args, err, tt.holds, out)
		}
	}
	out, err := amtool("silence", "add", "alertname=Down", "--comment=by amtool", "--author=mallory", "--duration=2h")
	id := strings.TrimSpace(out)
	if err != nil || id == "" {
		t.Fatalf("%v: %s", err, out)
	}
	found, state := w.crowd.Silenced(t, id)
	if state != "active" || found.CreatedBy != "alice" || len(found.Matchers) != 2 {
		t.Errorf("%+v is %s", found, state)
	}
	if out, err := amtool("silence", "update", "--comment=changed", id); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := amtool("silence", "expire", id); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := amtool("silence", "expire", w.globex); err == nil {
		t.Errorf("globex's silence is ended: %s", out)
	}
	if _, state := w.crowd.Silenced(t, w.globex); state != "active" {
		t.Errorf("globex's silence is %s", state)
	}
	if out, err := amtool("silence", "add", "tenant_id=globex", "alertname=Down", "--comment=c"); err == nil {
		t.Errorf("globex's alerts are silenced: %s", out)
	}
}

// What Grafana's data source (implementation Prometheus) and Karma ask, by their
// documented requests, is answered.
func TestGrafanaAndKarmaWorkThroughPromfence(t *testing.T) {
	w := newWorld(t)
	for path, holds := range map[string]string{
		"/status": `"versionInfo"`, // both, to find out who answers
		"/alerts/groups?silenced=true&inhibited=true&active=true": `"Down"`,       // Grafana's alert groups
		filters("/alerts", "alertname=Down"):                      `"Down"`,       // its silence's preview
		"/silences":                                               `"acme's own"`, // both
		"/alerts/groups":                                          `"Slow"`,       // Karma
		"/receivers":                                              `"acme-mail"`,
	} {
		if got := w.ask(t, http.MethodGet, path, nil); got.Status != http.StatusOK || !strings.Contains(got.Body, holds) || strings.Contains(got.Body, canary) {
			t.Errorf("%s: %d %s", path, got.Status, got.Body)
		}
	}
	// Both write with the user's name as the author, Grafana changes by the id.
	s := alertmanager.NewSilence("created by Grafana", alertmanager.Equal("alertname", "Down"), alertmanager.Equal("tenant_id", "acme"))
	s.ID = written(t, w.ask(t, http.MethodPost, "/silences", s))
	s.Comment = "changed by Grafana"
	id := written(t, w.ask(t, http.MethodPost, "/silences", s))
	if got := w.ask(t, http.MethodGet, "/silence/"+id, nil); !strings.Contains(got.Body, "changed by Grafana") {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if got := w.ask(t, http.MethodDelete, "/silence/"+id, nil); got.Status != http.StatusOK {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	// What they might ask beside that does not exist.
	for _, path := range []string{"/alerts/", "/alerts//groups", "/silence/..%2falerts", "/silence/%2e%2e", "/silence/" + w.own + "/", "/silence/" + w.own + "%2f", "/alert%73", "/../../metrics", "/config", "/../v1/alerts"} {
		if got := w.ask(t, http.MethodGet, path, nil); got.Status != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, got.Status, got.Body)
		}
	}
	if got := w.ask(t, http.MethodPost, "/alerts", "[]"); got.Status != http.StatusNotFound {
		t.Errorf("POST /alerts: %d %s", got.Status, got.Body)
	}
}
