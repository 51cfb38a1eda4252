package proxy_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/proxy"
	"github.com/promfence/promfence/proxy/alerting"
)

// Silences of the Alertmanager below, by whose they are.
const (
	acmesSilence    = "0f9c2a44-0000-4000-8000-0000000000ac"
	strangers       = "0f9c2a44-0000-4000-8000-0000000000ff"
	nobodys         = "0f9c2a44-0000-4000-8000-000000000000"
	newSilence      = "0f9c2a44-0000-4000-8000-00000000beef"
	strangersFinger = "5741ab1e57ab1e00"
)

func silenceJSON(id, matchers string) string {
	return `{"id":"` + id + `","status":{"state":"active"},"updatedAt":"2026-11-29T00:00:00.000Z","annotations":{},"comment":"c","createdBy":"x","endsAt":"2026-11-29T02:00:00.000Z","matchers":[` + matchers + `],"startsAt":"2026-11-29T00:00:00.000Z","canary":"stranger"}`
}

func matcherJSON(name, value string) string {
	return `{"isEqual":true,"isRegex":false,"name":"` + name + `","value":"` + value + `"}`
}

var heldSilences = map[string]string{
	acmesSilence: silenceJSON(acmesSilence, matcherJSON("job", "shop")+","+matcherJSON("tenant_id", "acme")),
	strangers:    silenceJSON(strangers, matcherJSON("job", "stranger")+","+matcherJSON("tenant_id", "stranger")),
	nobodys:      silenceJSON(nobodys, matcherJSON("alertname", "stranger")),
}

func alertJSON(tenant, name, status string) string {
	return `{"annotations":{"summary":"` + name + `"},"endsAt":"2026-11-29T02:00:00.000Z","fingerprint":"` + hex.EncodeToString([]byte(tenant + "0000")[:4]) + `","receivers":[{"name":"` + tenant + `-pager","integrations":"stranger"}],"startsAt":"2026-11-29T00:00:00.000Z","status":` + status +
		`,"updatedAt":"2026-11-29T00:00:00.000Z","generatorURL":"http://x","labels":{"alertname":"` + name + `","tenant_id":"` + tenant + `"},"canary":"stranger"}`
}

func status(state, silencedBy, inhibitedBy string) string {
	return `{"inhibitedBy":[` + inhibitedBy + `],"mutedBy":[],"silencedBy":[` + silencedBy + `],"state":"` + state + `"}`
}

var heldAlerts = []string{
	alertJSON("stranger", "Theirs", status("suppressed", `"`+strangers+`"`, "")),
	alertJSON("acme", "Down", status("suppressed", `"`+strangers+`","`+acmesSilence+`"`, `"`+strangersFinger+`","`+hex.EncodeToString([]byte("acme"))+`"`)),
	alertJSON("", "Nobodys stranger", status("active", "", "")),
}

// An am is an Alertmanager that holds what is above, and notes what it is asked.
type am struct {
	*httptest.Server
	mu      sync.Mutex
	asked   []asked
	changes func(w http.ResponseWriter, r *http.Request) bool // answers in its place
}

func (a *am) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	a.asked = append(a.asked, asked{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, string(body), r.Header.Clone()})
	changes := a.changes
	a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	id, byID := strings.CutPrefix(r.URL.Path, "/api/v2/silence/")
	switch held := heldSilences[id]; {
	case changes != nil && changes(w, r):
	case byID && held == "":
		w.WriteHeader(http.StatusNotFound)
	case byID && r.Method == http.MethodDelete:
		w.Header().Del("Content-Type")
	case byID:
		_, _ = io.WriteString(w, held)
	case r.URL.Path == "/api/v2/silences" && r.Method == http.MethodPost:
		_, _ = io.WriteString(w, `{"silenceID":"`+newSilence+`","canary":"stranger"}`)
	case r.URL.Path == "/api/v2/silences":
		_, _ = fmt.Fprintf(w, "[%s,%s,%s]\n", heldSilences[strangers], heldSilences[acmesSilence], heldSilences[nobodys])
	case r.URL.Path == "/api/v2/alerts":
		_, _ = fmt.Fprintf(w, "[%s]\n", strings.Join(heldAlerts, ","))
	case r.URL.Path == "/api/v2/alerts/groups":
		_, _ = fmt.Fprintf(w, `[{"alerts":[%s],"labels":{"alertname":"stranger"},"receiver":{"name":"stranger"},"routeLabels":{}},{"alerts":[%s],"labels":{},"receiver":{"name":"mixed"},"routeLabels":{"x":"stranger"},"y":"stranger"}]`, heldAlerts[0], strings.Join(heldAlerts, ","))
	case r.URL.Path == "/api/v2/status":
		_, _ = io.WriteString(w, `{"cluster":{"name":"stranger","peers":[{"address":"stranger:9094","name":"stranger"}],"status":"settling"},"config":{"original":"stranger"},"uptime":"2026-11-29T00:00:00.000Z","versionInfo":{"branch":"stranger","buildDate":"stranger","buildUser":"stranger","goVersion":"stranger","revision":"stranger","version":"0.35.0"}}`)
	default:
		http.NotFound(w, r)
	}
}

// Asked returns what was asked since the last call.
func (a *am) Asked() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []string
	for _, q := range a.asked {
		query, _ := url.QueryUnescape(q.Query)
		all = append(all, strings.TrimSpace(strings.Join([]string{q.Method, q.Path, query}, " ")))
	}
	a.asked = nil
	return all
}

func newAlertingFence(t *testing.T, change func(*proxy.Options)) (*fence, *am) {
	t.Helper()
	a := &am{}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	target, err := url.Parse(a.URL)
	if err != nil {
		t.Fatal(err)
	}
	return newFence(t, func(o *proxy.Options) {
		o.Alertmanager = &alerting.Options{URL: target, Timeout: 5 * time.Second, Write: true, MaxSilence: 30 * 24 * time.Hour}
		if change != nil {
			change(o)
		}
	}), a
}

func TestAlertingRowsShowOnlyTheCallersOwn(t *testing.T) {
	f, a := newAlertingFence(t, nil)
	acmes := `{"annotations":{"summary":"Down"},"endsAt":"2026-11-29T02:00:00.000Z","fingerprint":"61636d65","receivers":[{"name":"acme-pager"}],"startsAt":"2026-11-29T00:00:00.000Z",` +
		`"status":{"inhibitedBy":["61636d65"],"mutedBy":[],"silencedBy":["` + acmesSilence + `"],"state":"suppressed"},"updatedAt":"2026-11-29T00:00:00.000Z","generatorURL":"http://x","labels":{"alertname":"Down","tenant_id":"acme"}}`
	silence := strings.Replace(heldSilences[acmesSilence], `,"canary":"stranger"`, "", 1)
	const filtered, questions = `filter=tenant_id="acme"`, `GET /api/v2/silences`
	for path, tt := range map[string]struct {
		want  string
		asked []string
	}{
		"/alerts?filter=alertname%3DDown&silenced=false": {"[" + acmes + "]", []string{
			"GET /api/v2/alerts silenced=false&filter=alertname=\"Down\"&" + filtered, "GET /api/v2/alerts " + filtered, questions,
		}},
		"/alerts/groups": {`[{"alerts":[` + acmes + `],"labels":{},"receiver":{"name":"mixed"},"routeLabels":{}}]`, []string{
			"GET /api/v2/alerts/groups " + filtered, "GET /api/v2/alerts " + filtered, questions,
		}},
		"/silences?filter=job%3D%22shop%22&expired=false": {"[" + silence + "]", []string{`GET /api/v2/silences expired=false&filter=job="shop"`}},
		"/silence/" + acmesSilence:                        {silence, []string{"GET /api/v2/silence/" + acmesSilence}},
		"/receivers":                                      {`[{"name":"acme-pager"}]`, []string{"GET /api/v2/alerts " + filtered}},
		"/status": {`{"cluster":{"peers":[],"status":"ready"},"config":{"original":""},"uptime":"1970-01-01T00:00:00.000Z","versionInfo":{"branch":"","buildDate":"","buildUser":"","goVersion":"","revision":"","version":"0.35.0"}}`, []string{
			"GET /api/v2/status",
		}},
	} {
		resp, body := f.Get(t, "/alertmanager/api/v2"+path)
		if resp.StatusCode != http.StatusOK || body != tt.want {
			t.Errorf("%s: %d %s\nwant %s", path, resp.StatusCode, body, tt.want)
		}
		if diff := cmp.Diff(tt.asked, a.Asked()); diff != "" {
			t.Errorf("%s: Alertmanager was asked (-want +got) %s", path, diff)
		}
	}
	if asked := f.Asked(); asked != nil {
		t.Errorf("Prometheus was asked %v", asked)
	}
}

// What is somebody else's looks to the last byte as what does not exist.
func TestASilenceOfOthersDoesNotExist(t *testing.T) {
	f, a := newAlertingFence(t, nil)
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		answers := map[string]bool{}
		for _, id := range []string{strangers, nobodys, newSilence} {
			resp, body := f.Do(t, f.Request(t, method, "/alertmanager/api/v2/silence/"+id, ""))
			wantError(t, resp, body, http.StatusNotFound, "not_found", "no such silence")
			answers[body] = true
		}
		if len(answers) != 1 {
			t.Errorf("%s: %v", method, answers)
		}
	}
	for _, asked := range a.Asked() {
		if !strings.HasPrefix(asked, "GET ") {
			t.Errorf("Alertmanager was asked %s", asked)
		}
	}
	resp, body := f.Do(t, f.Request(t, http.MethodDelete, "/alertmanager/api/v2/silence/"+acmesSilence, ""))
	if want := []string{"GET /api/v2/silence/" + acmesSilence, "DELETE /api/v2/silence/" + acmesSilence}; resp.StatusCode != http.StatusOK || body != "" || !slices.Equal(a.Asked(), want) {
		t.Errorf("the own one: %d %s", resp.StatusCode, body)
	}
}

// postSilence sends a silence with these members beside the times.
func postSilence(t *testing.T, f *fence, members string) (answered, string) {
	t.Helper()
	r := f.Request(t, http.MethodPost, "/alertmanager/api/v2/silences", `{`+members+`,"startsAt":"2026-11-29T00:00:00Z","endsAt":"2026-11-29T02:00:00Z","createdBy":"mallory","comment":"c"}`)
	r.Header.Set("Content-Type", "application/json")
	return f.Do(t, r)
}

func TestASilenceIsWrittenForItsAuthor(t *testing.T) {
	f, a := newAlertingFence(t, nil)
	job := `"matchers":[` + matcherJSON("job", "shop") + `]`
	resp, body := postSilence(t, f, job)
	if resp.StatusCode != http.StatusOK || body != `{"silenceID":"`+newSilence+`"}` || resp.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	a.mu.Lock()
	sent := a.asked[0]
	a.mu.Unlock()
	var got struct {
		Matchers  []map[string]any
		CreatedBy string
	}
	if err := json.Unmarshal([]byte(sent.Body), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Matchers) != 2 || got.Matchers[1]["value"] != "acme" || got.CreatedBy == "mallory" || got.CreatedBy == "" || sent.Header.Get("Content-Type") != "application/json" || sent.Header.Get("Authorization") != "" {
		t.Errorf("Alertmanager was sent %v", sent)
	}
	a.Asked()
	for name, tt := range map[string]struct {
		members string
		status  int
		asked   []string
	}{
		"replacing the own":          {`"id":"` + acmesSilence + `",` + job, 200, []string{"GET /api/v2/silence/" + acmesSilence, "POST /api/v2/silences"}},
		"replacing a stranger's":     {`"id":"` + strangers + `",` + job, 404, []string{"GET /api/v2/silence/" + strangers}},
		"replacing nobody's":         {`"id":"` + nobodys + `",` + job, 404, []string{"GET /api/v2/silence/" + nobodys}},
		"replacing what is not":      {`"id":"` + newSilence + `",` + job, 404, []string{"GET /api/v2/silence/" + newSilence}},
		"another id in other case":   {`"ID":"` + strangers + `",` + job, 404, []string{"GET /api/v2/silence/" + strangers}},
		"an id that is a path":       {`"id":"../alerts",` + job, 400, nil},
		"silencing a stranger":       {`"matchers":[` + matcherJSON("tenant_id", "stranger") + `]`, 403, nil},
		"a member that nobody knows": {`"x":1,` + job, 400, nil},
	} {
		resp, body := postSilence(t, f, tt.members)
		if asked := a.Asked(); resp.StatusCode != tt.status || !slices.Equal(asked, tt.asked) {
			t.Errorf("%s: %d %s; asked %v", name, resp.StatusCode, body, asked)
		}
	}
	for name, contentType := range map[string]string{"a form": "application/x-www-form-urlencoded", "none": "", "text": "text/plain"} {
		r := f.Request(t, http.MethodPost, "/alertmanager/api/v2/silences", "{}")
		r.Header.Set("Content-Type", contentType)
		if resp, body := f.Do(t, r); resp.StatusCode != http.StatusUnsupportedMediaType {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
	}
	r := f.Request(t, http.MethodPost, "/alertmanager/api/v2/silences", `{"comment":"`+strings.Repeat("x", 70<<10)+`"}`)
	r.Header.Set("Content-Type", "application/json")
	if resp, body := f.Do(t, r); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a huge one: %d %s", resp.StatusCode, body)
	}
}

func TestWritingNeedsTheSettingAndASubject(t *testing.T) {
	f, a := newAlertingFence(t, func(o *proxy.Options) { o.Alertmanager.Write = false })
	job := `"matchers":[` + matcherJSON("job", "shop") + `]`
	resp, body := postSilence(t, f, job)
	wantError(t, resp, body, http.StatusForbidden, "forbidden", "not write")
	resp, body = f.Do(t, f.Request(t, http.MethodDelete, "/alertmanager/api/v2/silence/"+acmesSilence, ""))
	wantError(t, resp, body, http.StatusForbidden, "forbidden", "not write")
	f, b := newAlertingFence(t, nil)
	nameless := f.Issuer.Token(t, "acme", map[string]any{"sub": nil})
	for method, path := range map[string]string{http.MethodPost: "/silences", http.MethodDelete: "/silence/" + acmesSilence} {
		r := f.Request(t, method, "/alertmanager/api/v2"+path, "")
		if method == http.MethodPost {
			r = f.Request(t, method, "/alertmanager/api/v2"+path, `{`+job+`,"startsAt":"2026-11-29T00:00:00Z","endsAt":"2026-11-29T02:00:00Z"}`)
			r.Header.Set("Content-Type", "application/json")
		}
		r.Header.Set("Authorization", "Bearer "+nameless)
		resp, body := f.Do(t, r)
		wantError(t, resp, body, http.StatusForbidden, "forbidden", "no sub")
	}
	if asked := append(a.Asked(), b.Asked()...); asked != nil {
		t.Errorf("Alertmanager was asked %v", asked)
	}
}

// The record of a change is there before the change, with the hash of what was sent.
func TestAChangeIsOnRecordBeforeItIsMade(t *testing.T) {
	audit := &lockedBuffer{}
	f, a := newAlertingFence(t, func(o *proxy.Options) { o.Audit = bufferAudit{audit} })
	var before string
	a.changes = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet {
			before = audit.String()
		}
		return false
	}
	sent := `{"matchers":[` + matcherJSON("job", "shop") + `],"startsAt":"2026-11-29T00:00:00Z","endsAt":"2026-11-29T02:00:00Z","comment":"c"}`
	r := f.Request(t, http.MethodPost, "/alertmanager/api/v2/silences", sent)
	r.Header.Set("Content-Type", "application/json")
	if resp, body := f.Do(t, r); resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	if sum := sha256.Sum256([]byte(sent)); !strings.Contains(before, hex.EncodeToString(sum[:])) || !strings.Contains(before, `"decision":"allowed"`) {
		t.Errorf("before the silence was sent there was %s", before)
	}
	if resp, body := f.Do(t, f.Request(t, http.MethodDelete, "/alertmanager/api/v2/silence/"+acmesSilence, "")); resp.StatusCode != http.StatusOK || !strings.Contains(before, `"silence":"`+acmesSilence+`"`) {
		t.Errorf("%d %s; before the silence was ended there was %s", resp.StatusCode, body, before)
	}
	broken, c := newAlertingFence(t, func(o *proxy.Options) { o.Audit = brokenAudit{} })
	resp, body := postSilence(t, broken, `"matchers":[`+matcherJSON("job", "shop")+`]`)
	wantError(t, resp, body, http.StatusServiceUnavailable, "unavailable", "record")
	if asked := c.Asked(); asked != nil {
		t.Errorf("Alertmanager was asked %v", asked)
	}
}

type bufferAudit struct{ *lockedBuffer }

func (b bufferAudit) Append(line []byte) func() error {
	return func() error { _, err := b.Write(line); return err }
}

type brokenAudit struct{}

func (brokenAudit) Append([]byte) func() error {
	return func() error { return io.ErrShortWrite }
}

func TestAlertingPathsThatDoNotExist(t *testing.T) {
	f, a := newAlertingFence(t, nil)
	for _, path := range []string{
		"", "/", "/api/v2", "/api/v1/alerts", "/api/v2/alerts/", "/api/v2//alerts", "/api/v2/./alerts", "/api/v2/%61lerts", "/api/v2/silence",
		"/api/v2/silence/", "/api/v2/silence/x", "/api/v2/silence/../alerts", "/api/v2/silence/%2e%2e%2falerts", "/api/v2/silence/" + acmesSilence + "/",
		"/api/v2/silence/" + acmesSilence + "%2f", "/api/v2/silence/%30" + acmesSilence[1:], "/api/v2/silence/" + acmesSilence + "%00", "/-/reload", "/metrics", "/debug/pprof/", "/api/v2/alerts/groups/x",
	} {
		resp, body := f.Get(t, "/alertmanager"+path)
		wantError(t, resp, body, http.StatusNotFound, "not_found", "")
	}
	for path, methods := range map[string]string{"/alerts": "GET", "/silences": "GET, POST", "/silence/" + acmesSilence: "GET, DELETE", "/status": "GET", "/receivers": "GET"} {
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
			if strings.Contains(methods, method) {
				continue
			}
			resp, body := f.Do(t, f.Request(t, method, "/alertmanager/api/v2"+path, ""))
			wantError(t, resp, body, http.StatusNotFound, "not_found", "no such endpoint")
		}
	}
	if asked := a.Asked(); asked != nil {
		t.Errorf("Alertmanager was asked %v", asked)
	}
	without := newFence(t, nil)
	for _, row := range proxy.Routes {
		if !row.Alerting() {
			continue
		}
		for _, method := range row.Methods {
			resp, body := without.Do(t, without.Request(t, method, strings.Replace(row.Base+row.Path, "{id}", acmesSilence, 1), ""))
			wantError(t, resp, body, http.StatusNotFound, "not_found", "no such endpoint")
		}
	}
}

// A text of Alertmanager's speaks of everybody's silences.
func TestErrorsOfAlertmanagerAreInOurWords(t *testing.T) {
	f, a := newAlertingFence(t, nil)
	for status, want := range map[int]int{400: 400, 401: 502, 403: 502, 500: 500, 302: 502, 204: 204} {
		a.changes = func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(status)
			if status != http.StatusNoContent {
				_, _ = io.WriteString(w, `{"status":"error","errorType":"bad_data","error":"stranger: exceeded maximum number of silences"}`)
			}
			return true
		}
		for _, path := range []string{"/alerts", "/silences", "/silence/" + acmesSilence, "/status"} {
			resp, body := f.Get(t, "/alertmanager/api/v2"+path)
			if resp.StatusCode != want || strings.Contains(body, "stranger") {
				t.Errorf("%d at %s: %d %s", status, path, resp.StatusCode, body)
			}
		}
		resp, body := postSilence(t, f, `"matchers":[`+matcherJSON("job", "shop")+`]`)
		if strings.Contains(body, "stranger") || resp.StatusCode == http.StatusOK {
			t.Errorf("%d of a silence: %d %s", status, resp.StatusCode, body)
		}
	}
	// What hides must not fail open: without the silences, nothing of an alert is shown.
	a.changes = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/api/v2/silences" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return r.URL.Path == "/api/v2/silences"
	}
	resp, body := f.Get(t, "/alertmanager/api/v2/alerts")
	wantError(t, resp, body, http.StatusBadGateway, "bad_gateway", "")
}

func TestAlertingParametersAreCheckedAndSpelledAfresh(t *testing.T) {
	f, a := newAlertingFence(t, nil)
	for query, want := range map[string]int{
		"active=true": 200, "active=1": 400, "active=yes": 400, "receiver=acme.*": 200, "receiver=a)|(b": 400, "receiver=" + strings.Repeat("(a{100}){100}", 5): 400,
		"filter=alertname": 400, "filter=a%3Db&filter=c%3Dd": 200, "filter=%7Ba%3D%22b%22%7D": 200, "filter=a%3D%22b%22%2Cc%3D%22d%22": 400, "receiver_matchers=x%3Dy": 200, "unknown=x": 200,
		"active=true&active=false": 400,
	} {
		if resp, body := f.Get(t, "/alertmanager/api/v2/alerts?"+query); resp.StatusCode != want {
			t.Errorf("%s: %d %s", query, resp.StatusCode, body)
		}
		for _, asked := range a.Asked() {
			if want != 200 || strings.Contains(asked, "receiver_matchers") || strings.Contains(asked, "unknown") {
				t.Errorf("%s: asked %s", query, asked)
			}
		}
	}
}

func TestPreflightsAllowDELETEOnlyWhereSilencesAreWritten(t *testing.T) {
	for _, write := range []bool{true, false} {
		f, _ := newAlertingFence(t, func(o *proxy.Options) { o.Alertmanager.Write = write })
		r := f.Request(t, http.MethodOptions, "/alertmanager/api/v2/silence/"+acmesSilence, "")
		r.Header.Set("Origin", "https://app.example.com")
		r.Header.Set("Access-Control-Request-Method", http.MethodDelete)
		resp, _ := f.Do(t, r)
		if got := strings.Contains(resp.Header.Get("Access-Control-Allow-Methods"), http.MethodDelete); got != write {
			t.Errorf("write %t: %v", write, resp.Header)
		}
	}
}

// Where there is an Alertmanager, explain says whether the caller may write silences.
func TestExplainSaysWhatMayBeSilenced(t *testing.T) {
	for write, want := range map[bool]string{true: `"silences":"write"`, false: `"silences":"read"`} {
		f, _ := newAlertingFence(t, func(o *proxy.Options) { o.Alertmanager.Write = write })
		if _, body := f.Get(t, "/api/v1/metrics/explain?query=up"); !strings.Contains(body, want) {
			t.Errorf("%v: %s", write, body)
		}
	}
}
