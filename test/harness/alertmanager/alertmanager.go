// Package alertmanager gives tests a real Alertmanager to stand behind promfence.
package alertmanager

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/promfence/promfence/test/harness/gobuild"
	"github.com/promfence/promfence/test/harness/upstream"
)

// An Alertmanager is a running server, gone when its test ends.
type Alertmanager struct {
	*upstream.Process

	URL string // http://127.0.0.1:PORT, without a slash at the end
}

// Start runs an Alertmanager with this configuration until the test ends.
func Start(t testing.TB, config string) *Alertmanager {
	t.Helper()
	binary, err := gobuild.Alertmanager(t.Context(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "alertmanager.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &Alertmanager{Process: upstream.Spawn(t, exec.Command(binary,
		"--config.file="+file, "--storage.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:0",
		"--cluster.listen-address=", "--log.format=json"))}
	a.Await(t, a.listens)
	a.Await(t, func() error { return upstream.Ready(t.Context(), a.URL) })
	return a
}

var listening = regexp.MustCompile(`"msg":"Listening on".*"address":"([^"]+)"`)

// listens takes the address from the log, as a Prometheus's.
func (a *Alertmanager) listens() error {
	said := listening.FindStringSubmatch(a.Log())
	if said == nil {
		return errors.New("it does not listen")
	}
	a.URL = "http://" + said[1]
	return nil
}

// Labels are names and values of labels or annotations.
type Labels map[string]string

// Alert sends an alert that fires for an hour, with an annotation.
func (a *Alertmanager) Alert(t testing.TB, labels Labels, summary string) {
	t.Helper()
	a.Send(t, http.MethodPost, "/api/v2/alerts", []map[string]any{{
		"labels": labels, "annotations": Labels{"summary": summary},
		"startsAt": Begin, "endsAt": time.Now().Add(time.Hour).UTC().Truncate(time.Hour).Add(2 * time.Hour),
	}})
}

// Begin is when all alerts begin.
var Begin = time.Now().UTC().Truncate(time.Hour)

// A Matcher is one of a silence.
type Matcher struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	IsRegex bool   `json:"isRegex"`
	IsEqual bool   `json:"isEqual"`
}

// Equal is a matcher for one value.
func Equal(name, value string) Matcher { return Matcher{name, value, false, true} }

// A Silence is one to be written.
type Silence struct {
	ID        string    `json:"id,omitempty"`
	Matchers  []Matcher `json:"matchers"`
	StartsAt  time.Time `json:"startsAt"`
	EndsAt    time.Time `json:"endsAt"`
	CreatedBy string    `json:"createdBy"`
	Comment   string    `json:"comment"`
}

// NewSilence is a silence of an hour, which begins now.
func NewSilence(comment string, matchers ...Matcher) Silence {
	now := time.Now().UTC()
	return Silence{Matchers: matchers, StartsAt: now, EndsAt: now.Add(time.Hour), CreatedBy: "somebody", Comment: comment}
}

// Silence writes a silence and returns its id.
func (a *Alertmanager) Silence(t testing.TB, s Silence) string {
	t.Helper()
	var made struct {
		SilenceID string `json:"silenceID"`
	}
	if err := json.Unmarshal(a.Send(t, http.MethodPost, "/api/v2/silences", s), &made); err != nil || made.SilenceID == "" {
		t.Fatalf("no silenceID: %v", err)
	}
	return made.SilenceID
}

// Silenced reads a silence as Alertmanager has it: its matchers, its author and
// whether it is active.
func (a *Alertmanager) Silenced(t testing.TB, id string) (s Silence, state string) {
	t.Helper()
	var found struct {
		Silence
		Status struct{ State string }
	}
	if err := json.Unmarshal(a.Send(t, http.MethodGet, "/api/v2/silence/"+id, nil), &found); err != nil {
		t.Fatal(err)
	}
	return found.Silence, found.Status.State
}

// Count is how many silences there are.
func (a *Alertmanager) Count(t testing.TB) int {
	t.Helper()
	var all []Silence
	if err := json.Unmarshal(a.Send(t, http.MethodGet, "/api/v2/silences", nil), &all); err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// Send asks the server itself.
func (a *Alertmanager) Send(t testing.TB, method, path string, body any) []byte {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	if body == nil {
		text = nil
	}
	req, err := http.NewRequestWithContext(t.Context(), method, a.URL+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %d %s, %v", method, path, resp.StatusCode, answer, err)
	}
	return answer
}
