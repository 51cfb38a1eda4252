package test_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/snappy"
)

// A question is one request, to be asked of an upstream that holds only acme's
// data and of promfence in front of one that holds everybody's.
type question struct {
	name   string
	method string
	path   string
	params url.Values
	header http.Header
	body   string // in place of a form of params

	unordered bool // the engine's own order changes from run to run
	clock     bool // the answer tells when it was made
	filtered  bool // promfence reads the whole answer
	differs   difference
}

// A difference between the two answers is one that is meant, and written down
// here: each names what else is compared.
type difference string

const (
	same difference = "" // all of it

	// A refusal names the parameter in front of the same words and, behind them,
	// the parser if that refused, which is promfence's.
	parserNamed difference = "the parameter and the parser are named"
	// The engine tells a position in the enforced text.
	positionMoved difference = "the position is another"
	// Which names a limit leaves depends on the order in which the upstream finds them.
	anyOfThem difference = "as many, perhaps others"
	// A family's TYPE is the one that all targets agree on, strangers' too.
	typeUnknown difference = "an unknown type"
	// How many targets a scrape pool drops is nobody's own.
	noCounts difference = "no counts of dropped targets"
	// The endpoint's own 405 and 404 are JSON; Prometheus's are text.
	statusOnly difference = "the status alone"
	// absent() makes a series of its selector's equality matchers, so of the tenant's.
	absentTenant difference = "absent() tells the tenant"
	// What two readers could understand differently is refused.
	refused400 difference = "refused with 400"
	refused415 difference = "refused with 415"
	// A page that promfence does not serve.
	gone404 difference = "not served"
	// A path that the product's frontend knows.
	served200 difference = "served besides"
)

// answered is all of an answer that a client sees.
type answered struct {
	Status int
	Header map[string]string
	Body   any
}

// Whether acme asks Prometheus alone or through promfence, among strangers: the
// answers are the same but for the differences above.
func TestPromfenceIsTransparent(t *testing.T) {
	w := newTwinWorld(t)
	f := startFence(t, w.crowd.URL)
	token := f.token(t, "acme")
	seen := map[difference]int{}
	told := 0
	for _, q := range questions(t, w) {
		want, got := w.ask(t, w.alone.URL, "", q), w.ask(t, f.URL, token, q)
		if want.Status == http.StatusOK && !strings.Contains(fmt.Sprint(want.Body), "[data:[]") {
			told++
		}
		seen[q.differs]++
		if strings.Contains(fmt.Sprint(got.Body, got.Header), "stranger") {
			t.Errorf("%s tells of a stranger: %v", q, got)
		}
		if q.differs != same && q.differs != anyOfThem && cmp.Equal(want, got) {
			t.Errorf("%s: no difference, although %q is written down", q, q.differs)
		}
		q.differs.apply(&want, &got)
		if want.Status >= http.StatusBadRequest || q.filtered {
			delete(want.Header, "Content-Encoding") // Errors and filtered answers are short, and go out plain.
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-direct +promfence):\n%s", q, diff)
		}
	}
	t.Logf("%d answers of which %d hold something; meant differences: %v", sum(seen), told, seen)
	if told < 300 {
		t.Errorf("only %d answers hold something", told)
	}
}

func sum(counts map[difference]int) (all int) {
	for _, n := range counts {
		all += n
	}
	return all
}

func (q question) String() string {
	text := q.name
	if text == "" {
		text = fmt.Sprintf("%s %s?%s", q.method, q.path, q.params.Encode())
		text, _ = url.QueryUnescape(text)
	}
	if len(q.header) > 0 {
		text += fmt.Sprint(" ", q.header)
	}
	return text
}

// apply takes out of both answers what is meant to differ.
func (d difference) apply(want, got *answered) {
	switch d {
	case parserNamed:
		got.reword(parserName, "")
		want.reword(parameterName, "")
		got.reword(parameterName, "")
	case positionMoved:
		want.reword(positions, "")
		got.reword(positions, "")
	case anyOfThem:
		want.Body, got.Body = counted(want.Body), counted(got.Body)
	case typeUnknown:
		want.Body, got.Body = without(want.Body, "type"), without(got.Body, "type")
	case noCounts:
		want.Body = without(want.Body, "droppedTargetCounts")
		got.Body = without(got.Body, "droppedTargetCounts")
	case absentTenant:
		got.Body = without(got.Body, "tenant_id")
	case statusOnly:
		*want, *got = answered{Status: want.Status}, answered{Status: got.Status}
	case refused400, refused415, gone404, served200:
		status := map[difference]int{refused400: 400, refused415: 415, gone404: 404, served200: 200}[d]
		*want, *got = answered{Status: status}, answered{Status: got.Status}
	}
}

var (
	parserName    = regexp.MustCompile(` \(promfence's PromQL parser, [^)]*\)$`)
	parameterName = regexp.MustCompile(`^invalid parameter "[^"]*": `)
	positions     = regexp.MustCompile(`\d+:\d+: `)
)

func (a *answered) reword(old *regexp.Regexp, text string) {
	if body, ok := a.Body.(map[string]any); ok {
		if message, ok := body["error"].(string); ok {
			body["error"] = old.ReplaceAllString(message, text)
		}
	}
}

// counted says how many elements stand in the place of data.
func counted(v any) any {
	if body, ok := v.(map[string]any); ok {
		if data, ok := body["data"].([]any); ok {
			body["data"] = len(data)
		}
	}
	return v
}

// without takes a member out of every object of a JSON value.
func without(v any, name string) any {
	switch v := v.(type) {
	case map[string]any:
		delete(v, name)
		for _, inner := range v {
			without(inner, name)
		}
	case []any:
		for _, inner := range v {
			without(inner, name)
		}
	}
	return v
}

// ask asks the question and spells the answer for comparison.
func (w *twinWorld) ask(t *testing.T, base, token string, q question) answered {
	t.Helper()
	address, body := base+q.path, io.Reader(nil)
	switch {
	case q.body != "":
		body = strings.NewReader(q.body)
		if len(q.params) > 0 {
			address += "?" + q.params.Encode()
		}
	case q.method == http.MethodPost:
		body = strings.NewReader(q.params.Encode())
	case len(q.params) > 0:
		address += "?" + q.params.Encode()
	}
	req, err := http.NewRequestWithContext(t.Context(), q.method, address, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, values := range q.header {
		req.Header[name] = values
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := unredirected.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return answered{resp.StatusCode, ownless(resp.Header), w.read(t, q, resp.Header, raw)}
}

var unredirected = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// ownHeaders are those that promfence sets in place of the upstream's, or beside
// them, on every answer; Date and Content-Length are the connection's.
var ownHeaders = []string{
	"Cache-Control", "Vary", "X-Request-Id", "X-Content-Type-Options", "Date", "Content-Length",
	"Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers",
	"Access-Control-Expose-Headers", "Access-Control-Max-Age",
}

func ownless(h http.Header) map[string]string {
	all := map[string]string{}
	for name, values := range h {
		if !slices.Contains(ownHeaders, name) {
			all[name] = strings.Join(values, ", ")
		}
	}
	return all
}

// read decodes a body by what its headers say.
func (w *twinWorld) read(t *testing.T, q question, h http.Header, raw []byte) any {
	t.Helper()
	if h.Get("Content-Encoding") == "gzip" {
		zr, err := gzip.NewReader(bytes.NewReader(raw))
		if err == nil {
			raw, err = io.ReadAll(zr)
		}
		if err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	if h.Get("Content-Encoding") == "snappy" {
		plain, err := snappy.Decode(nil, raw)
		if err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		return plain
	}
	kind := h.Get("Content-Type")
	if !strings.Contains(kind, "json") {
		return w.settled(string(raw))
	}
	var all []any
	for d := json.NewDecoder(bytes.NewReader(raw)); ; {
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%s: %v in %s", q, err, raw)
		}
		all = append(all, w.normal(q, "", v))
	}
	if len(all) == 1 {
		return all[0]
	}
	return all
}

var sample = regexp.MustCompile(`(?m) \S+ (\d{13})$`)

// settled hides the samples of a text that a server has made itself meanwhile.
func (w *twinWorld) settled(text string) string {
	last := fmt.Sprint(w.now.UnixMilli())
	return sample.ReplaceAllStringFunc(text, func(s string) string {
		if s[strings.LastIndex(s, " ")+1:] > last {
			return " now"
		}
		return s
	})
}

// moments are the members that tell when, how fast or from where a server did
// something: two servers agree in their kind only.
var moments = map[string]bool{
	"lastEvaluation": true, "evaluationTime": true, "activeAt": true, "lastScrape": true, "lastScrapeDuration": true,
	"groupNextToken": true, "evalTotalTime": true, "resultSortTime": true, "queryPreparationTime": true, "innerEvalTime": true,
	"execQueueTime": true, "execTotalTime": true, "globalUrl": true,
}

var (
	folder    = regexp.MustCompile(`^/.*/`)
	annotated = regexp.MustCompile(`\(\d+:\d+\)`) // of an annotation: it points into the enforced text
)

// normal makes two servers' answers comparable.
func (w *twinWorld) normal(q question, name string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for member, inner := range v {
			v[member] = w.normal(q, member, inner)
		}
	case []any:
		for i, inner := range v {
			v[i] = w.normal(q, name, inner)
		}
		if q.clock && len(v) == 2 && (name == "value" || name == "values" || name == "result") {
			if _, ok := v[0].(json.Number); ok {
				v[0] = "now"
			}
		}
		if name == "result" && q.unordered || name == "warnings" || name == "infos" || name == "activeTargets" || name == "alerts" || q.path == "/api/v1/series" || q.path == "/api/v1/targets/metadata" {
			slices.SortFunc(v, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
	case json.Number:
		if moments[name] {
			return "a number"
		}
	case string:
		switch {
		case moments[name]:
			return "a text"
		case name == "file":
			return folder.ReplaceAllString(v, "")
		case name == "warnings" || name == "infos":
			return annotated.ReplaceAllString(v, "(…)")
		}
	}
	return v
}
