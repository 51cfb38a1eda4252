package alerting_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/alertmanager"
)

// written is the id of a silence that was written.
func written(t *testing.T, r harness.Reply) string {
	t.Helper()
	var made struct {
		SilenceID string `json:"silenceID"`
	}
	if err := json.Unmarshal([]byte(r.Body), &made); r.Status != http.StatusOK || err != nil || made.SilenceID == "" {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	return made.SilenceID
}

// Creating, changing and ending a silence: the control of all attacks.
func TestAcmeWritesItsOwnSilences(t *testing.T) {
	w := newWorld(t)
	s := alertmanager.NewSilence("new disks", alertmanager.Equal("job", "api"))
	s.CreatedBy = "mallory"
	id := written(t, w.ask(t, http.MethodPost, "/silences", s))
	found, state := w.crowd.Silenced(t, id)
	if state != "active" || found.CreatedBy != "alice" || found.Comment != "new disks" || len(found.Matchers) != 2 {
		t.Errorf("%+v is %s", found, state)
	}
	s.ID, s.Comment = id, "newer disks"
	if again := written(t, w.ask(t, http.MethodPost, "/silences", s)); again != id {
		t.Logf("changed under the id %s", again)
		id = again
	}
	if found, _ := w.crowd.Silenced(t, id); found.Comment != "newer disks" {
		t.Errorf("%+v", found)
	}
	// Matchers never change under an id: another silence takes the place.
	s.ID, s.Matchers = id, []alertmanager.Matcher{alertmanager.Equal("job", "web")}
	other := written(t, w.ask(t, http.MethodPost, "/silences", s))
	before, state := w.crowd.Silenced(t, id)
	if other == id || state != "expired" || before.Matchers[0].Value == "web" {
		t.Errorf("the silence with other matchers is %s, the one before %+v is %s", other, before, state)
	}
	if got := w.ask(t, http.MethodDelete, "/silence/"+other, nil); got.Status != http.StatusOK || got.Body != "" {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if _, state := w.crowd.Silenced(t, other); state != "expired" {
		t.Errorf("an ended silence is %s", state)
	}
	for _, path := range []string{"/alerts", "/silences"} {
		if got := w.ask(t, http.MethodGet, path, nil); strings.Contains(got.Body, canary) {
			t.Errorf("%s: %s", path, got.Body)
		}
	}
}

// Somebody else's silence is one that does not exist: in status and text.
func TestASilenceOfOthersIsNone(t *testing.T) {
	w := newWorld(t)
	all := silences(t, w.crowd)
	none := "00000000-0000-4000-8000-000000000000"
	change := func(id string) alertmanager.Silence {
		s := alertmanager.NewSilence("mine", alertmanager.Equal("alertname", "Down"))
		s.ID = id
		return s
	}
	sameAs := func(method, path string, body any, want harness.Reply) {
		t.Helper()
		got := w.ask(t, method, path, body)
		if got.Status != http.StatusNotFound || got.Body != want.Body {
			t.Errorf("%s %s: %d %s\nwant %s", method, path, got.Status, got.Body, want.Body)
		}
	}
	before := string(w.crowd.Send(t, http.MethodGet, "/api/v2/silences", nil))
	for comment, id := range all {
		if !strings.HasPrefix(comment, canary) {
			continue
		}
		for _, spelled := range []string{id, strings.ToUpper(id)} {
			sameAs(http.MethodGet, "/silence/"+spelled, nil, w.ask(t, http.MethodGet, "/silence/"+none, nil))
			sameAs(http.MethodDelete, "/silence/"+spelled, nil, w.ask(t, http.MethodDelete, "/silence/"+none, nil))
			sameAs(http.MethodPost, "/silences", change(spelled), w.ask(t, http.MethodPost, "/silences", change(none)))
		}
	}
	if after := string(w.crowd.Send(t, http.MethodGet, "/api/v2/silences", nil)); after != before {
		t.Errorf("silences changed\n from %s\n to   %s", before, after)
	}
}

// What would silence more than acme's alerts is refused, and nothing is written.
func TestNobodyElsesAlertIsSilenced(t *testing.T) {
	w := newWorld(t)
	job := alertmanager.Equal("job", "api")
	tenant := func(value string, regex, equal bool) []alertmanager.Matcher {
		return []alertmanager.Matcher{job, {Name: "tenant_id", Value: value, IsRegex: regex, IsEqual: equal}}
	}
	before := w.crowd.Count(t)
	for name, matchers := range map[string][]alertmanager.Matcher{
		"another tenant": tenant("globex", false, true), "another tenant's pattern": tenant("globex", true, true),
		"any": tenant(".*", true, true), "any that is there": tenant(".+", true, true), "one more": tenant("acme|globex", true, true),
		"a prefix": tenant("acme.?", true, true), "any case": tenant("(?i)acme", true, true), "a class": tenant("[a-z]+", true, true),
		"not globex": tenant("globex", false, false), "not acme": tenant("acme", false, false), "not a pattern": tenant("x", true, false),
		"none": tenant("", false, true), "perhaps none": tenant("acme|", true, true), "an escape": tenant(`\x61cme|globex`, true, true),
		"both, one by one": append(tenant("acme", false, true), alertmanager.Equal("tenant_id", "globex")),
		"own and any":      append(tenant("acme", false, true), alertmanager.Matcher{Name: "tenant_id", Value: ".*", IsRegex: true, IsEqual: true}),
	} {
		s := alertmanager.NewSilence(name, matchers...)
		if got := w.ask(t, http.MethodPost, "/silences", s); got.Status != http.StatusForbidden {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	long := alertmanager.NewSilence("long", job)
	long.EndsAt = long.StartsAt.Add(31 * 24 * time.Hour)
	many := alertmanager.NewSilence("many")
	for i := range 200 {
		many.Matchers = append(many.Matchers, alertmanager.Equal(fmt.Sprint("label", i), "x"))
	}
	for name, body := range map[string]any{
		"too long": long, "too many": many, "huge": strings.Repeat("x", 2<<20), "no JSON": "{", "null": "null", "a list": "[]", "nothing": "{}",
		"two":            spell(t, alertmanager.NewSilence("two", job)) + spell(t, alertmanager.NewSilence("two", job)),
		"unknown member": strings.Replace(spell(t, alertmanager.NewSilence("x", job)), "{", `{"updatedBy":"x",`, 1),
		"costly":         alertmanager.NewSilence("costly", job, alertmanager.Matcher{Name: "a", Value: strings.Repeat(`(\pL{100}){9}`, 9), IsRegex: true, IsEqual: true}),
		"no pattern":     alertmanager.NewSilence("none", job, alertmanager.Matcher{Name: "a", Value: "(", IsRegex: true, IsEqual: true}),
		"odd id":         strings.Replace(spell(t, alertmanager.NewSilence("x", job)), "{", `{"id":"../alerts",`, 1),
	} {
		if got := w.ask(t, http.MethodPost, "/silences", body); got.Status != http.StatusBadRequest && got.Status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	if after := w.crowd.Count(t); after != before {
		t.Errorf("%d silences, before there were %d", after, before)
	}
	// Members that come twice or in other letters: what is written is acme's alone.
	odd := strings.Replace(spell(t, alertmanager.NewSilence("odd", job)), "{", `{"matchers":[{"name":"tenant_id","value":"globex","isRegex":false,"isEqual":true},{"name":"x","value":".*","isRegex":true,"isEqual":false}],"Matchers":[],`, 1)
	if got := w.ask(t, http.MethodPost, "/silences", odd); got.Status == http.StatusOK {
		found, _ := w.crowd.Silenced(t, written(t, got))
		if len(found.Matchers) != 2 || found.Matchers[1] != alertmanager.Equal("tenant_id", "acme") || found.Matchers[0] != job {
			t.Errorf("%+v", found)
		}
	}
}

func spell(t *testing.T, s alertmanager.Silence) string {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestOneOfSeveralTenantsMustBeNamed(t *testing.T) {
	w := newWorld(t)
	both := w.token(t, []string{"acme", "beta"})
	s := alertmanager.NewSilence("both", alertmanager.Equal("job", "api"))
	if got := ask(t, w.fence, both, http.MethodPost, "/silences", s); got.Status != http.StatusBadRequest || !strings.Contains(got.Body, "tenant_id=") {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	s.Matchers = append(s.Matchers, alertmanager.Equal("tenant_id", "beta"))
	if found, _ := w.crowd.Silenced(t, written(t, ask(t, w.fence, both, http.MethodPost, "/silences", s))); len(found.Matchers) != 2 {
		t.Errorf("%+v", found)
	}
	nobody := w.fence.Issuer.Token(t, "acme", map[string]any{"sub": nil})
	if got := ask(t, w.fence, nobody, http.MethodPost, "/silences", s); got.Status != http.StatusForbidden {
		t.Errorf("without sub: %d %s", got.Status, got.Body)
	}
}

// Between the look at a silence and its end nothing slips: while globex changes its
// own silence again and again, acme ends none of it.
func TestNothingSlipsBetweenLookAndAct(t *testing.T) {
	w := newWorld(t)
	var theirs atomic.Value // globex's silence: it gets another id with other matchers
	theirs.Store(w.globex)
	acme, mine := w.token(t, "acme"), w.own
	stop := make(chan struct{})
	var attackers sync.WaitGroup
	for range 4 {
		attackers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				s := alertmanager.NewSilence("stolen", alertmanager.Equal("alertname", "Full"))
				for _, s.ID = range []string{mine, theirs.Load().(string)} {
					ask(t, w.fence, acme, http.MethodPost, "/silences", s)
				}
				ask(t, w.fence, acme, http.MethodDelete, "/silence/"+s.ID, nil)
			}
		})
	}
	for i := range 40 {
		s := alertmanager.NewSilence(fmt.Sprint(canary, i), alertmanager.Equal("tenant_id", "globex"), alertmanager.Equal("alertname", fmt.Sprint("Down", i%2)))
		s.ID = theirs.Load().(string)
		id := w.crowd.Silence(t, s)
		theirs.Store(id)
		if found, state := w.crowd.Silenced(t, id); state != "active" || found.Comment != s.Comment || !slices.Contains(found.Matchers, s.Matchers[0]) || !slices.Contains(found.Matchers, s.Matchers[1]) {
			t.Fatalf("globex's silence is %s: %+v", state, found)
		}
	}
	close(stop)
	attackers.Wait()
	var all []struct {
		alertmanager.Silence
		Status struct{ State string }
	}
	if err := json.Unmarshal(w.crowd.Send(t, http.MethodGet, "/api/v2/silences", nil), &all); err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.CreatedBy == "alice" && !slices.Contains(s.Matchers, alertmanager.Equal("tenant_id", "acme")) {
			t.Errorf("alice wrote %+v", s)
		}
	}
}
