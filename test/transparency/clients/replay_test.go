package clients_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/compare"
	"github.com/promfence/promfence/test/harness/contract"
	"github.com/promfence/promfence/test/harness/fence"
	"github.com/promfence/promfence/test/harness/upstream"
)

// A described request is one of testdata/grafana.yaml, whose head says what its members
// mean.
type described struct {
	Name      string
	Path      string
	URL, Form []string
	Headers   map[string]string
	Stricter  map[string]string
	Pages     int
	Holds     []string
}

// Grafana's frontend and alerting get the same from an upstream that holds acme's data
// alone, from promfence in front of it, at a datasource's URL that ends in
// /api/v1/metrics, and from promfence in front of everybody's data. A dashboard may be
// longer than limits.max_range.
func grafanasFrontendCannotTell(t *testing.T, w *world) {
	const longest = "LIMITS_MAX_RANGE=1h"
	asked := upstream.Record(t, w.Crowd.URL)
	crowd := contract.Promfence(t, w.idp, asked.URL, longest)
	alone := fence.Start(t, append(fence.Trust(w.idp), "UPSTREAM_URL="+w.Alone.URL, longest)...).URL
	for _, r := range descriptions(t) {
		pages := 0
		for token := (nextPages{}); pages == 0 || token.more(); pages++ {
			want := r.question(t, w, token.direct, true).Ask(t, w.Alone.URL, "", w.Now)
			gotAlone := r.question(t, w, token.alone, false).Ask(t, alone+"/api/v1/metrics", w.token, w.Now)
			gotCrowd := r.question(t, w, token.crowd, false).Ask(t, crowd, w.token, w.Now)
			if diff := cmp.Diff(gotAlone, gotCrowd); diff != "" {
				t.Errorf("%s (-alone +in front of the crowd):\n%s", r.Name, diff)
			}
			for _, a := range []*compare.Answer{&want, &gotCrowd} {
				delete(a.Header, "Content-Encoding") // filtered answers go out plain
			}
			if diff := cmp.Diff(want, gotCrowd); diff != "" {
				t.Errorf("%s (-direct +promfence):\n%s", r.Name, diff)
			}
			r.check(t, gotCrowd)
			if r.Pages == 0 {
				break
			}
			token = nextPages{
				direct: r.nextPage(t, w, token.direct, w.Alone.URL, ""),
				alone:  r.nextPage(t, w, token.alone, alone, w.token),
				crowd:  r.nextPage(t, w, token.crowd, crowd, w.token),
			}
		}
		if pages != r.Pages {
			t.Errorf("%s: %d pages, want %d", r.Name, pages, r.Pages)
		}
	}
	sentNothingOfTheCaller(t, asked.Requests(), w.token)
}

func descriptions(t *testing.T) (all []described) {
	t.Helper()
	text, err := os.ReadFile("testdata/grafana.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) < 40 {
		t.Fatalf("only %d requests are described", len(all))
	}
	return all
}

// check looks for what the answer must hold: two that are empty are equal, too.
func (r described) check(t *testing.T, got compare.Answer) {
	t.Helper()
	text := fmt.Sprint(got.Body)
	if got.Status != http.StatusOK || len(r.Holds) == 0 {
		t.Errorf("%s: %d %s", r.Name, got.Status, text)
	}
	for _, part := range r.Holds {
		if !strings.Contains(text, part) {
			t.Errorf("%s: the answer lacks %q: %s", r.Name, part, text)
		}
	}
	if strings.Contains(text, harness.Stranger) {
		t.Errorf("%s tells of a stranger: %s", r.Name, text)
	}
}

// question is the request as Grafana sends it, or as it is asked directly.
func (r described) question(t *testing.T, w *world, page string, direct bool) compare.Question {
	t.Helper()
	inURL, inForm := parameters(t, r.URL, w.Now), parameters(t, r.Form, w.Now)
	if page != "" {
		inURL.Set("group_next_token", page)
	}
	q := compare.Question{Name: r.Name, Method: http.MethodGet, Path: r.Path, Params: inURL, Unordered: true}
	if direct {
		for name, value := range r.Stricter {
			inForm.Del(name)
			inURL.Set(name, value)
		}
	} else {
		q.Header = grafanas(w.token)
	}
	if len(r.Form) > 0 {
		q.Method, q.Body = http.MethodPost, inForm.Encode()
	}
	headers := http.Header{"Accept-Encoding": {"gzip"}}
	for name, value := range r.Headers {
		headers.Set(name, value)
	}
	if q.Header == nil {
		q.Header = http.Header{}
	}
	maps.Copy(q.Header, headers)
	return q
}

var moment = regexp.MustCompile(`\$\(now([-+]\w+)?\)`)

// parameters reads a list of name=value and puts the times in.
func parameters(t *testing.T, list []string, now time.Time) url.Values {
	t.Helper()
	all := url.Values{}
	for _, pair := range list {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			t.Fatalf("%q is no parameter", pair)
		}
		all.Add(name, moment.ReplaceAllStringFunc(value, func(text string) string {
			at := now
			if offset := moment.FindStringSubmatch(text)[1]; offset != "" {
				d, err := time.ParseDuration(offset)
				if err != nil {
					t.Fatal(err)
				}
				at = at.Add(d)
			}
			return fmt.Sprint(at.Unix())
		}))
	}
	return all
}

// nextPages are the tokens of a list's next page: each server makes its own.
type nextPages struct{ direct, alone, crowd string }

func (n nextPages) more() bool { return n.direct != "" || n.alone != "" || n.crowd != "" }

// nextPage asks for a page again and returns its token of the one behind it.
func (r described) nextPage(t *testing.T, w *world, page, base, token string) string {
	t.Helper()
	params := r.question(t, w, page, token == "").Params
	_, text := harness.Fetch(t, base+r.Path, token, params)
	var body struct {
		Data struct{ GroupNextToken string }
	}
	if err := json.Unmarshal([]byte(text), &body); err != nil {
		t.Fatalf("%s: %v in %s", r.Name, err, text)
	}
	return body.Data.GroupNextToken
}
