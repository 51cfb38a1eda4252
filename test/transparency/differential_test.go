// Package transparency_test holds promfence against its upstream: apart from
// whose data they see, a client cannot tell the two apart. Where answers differ,
// the difference is written down and meant.
//
// clients asks with the programs that people use, thanos in front of a Thanos.
package transparency_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/compare"
	"github.com/promfence/promfence/test/harness/fence"
)

// A question is asked of an upstream that holds only acme's data and of promfence
// in front of one that holds everybody's.
type question struct {
	compare.Question
	filtered bool // promfence reads the whole answer
	differs  difference
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

// Whether acme asks Prometheus alone or through promfence, among strangers: the
// answers are the same but for the differences above.
func TestPromfenceIsTransparent(t *testing.T) {
	w := harness.NewWorld(t)
	f := fence.Before(t, w.Crowd.URL)
	token := f.Token(t, "acme")
	seen := map[difference]int{}
	told := 0
	for _, q := range questions(t, w) {
		want, got := q.Ask(t, w.Alone.URL, "", w.Now), q.Ask(t, f.URL, token, w.Now)
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
			// Errors and filtered answers are short, and go out plain.
			delete(want.Header, "Content-Encoding")
			delete(got.Header, "Content-Encoding")
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

// apply takes out of both answers what is meant to differ.
func (d difference) apply(want, got *compare.Answer) {
	switch d {
	case parserNamed:
		reword(got, parserName)
		reword(want, parameterName)
		reword(got, parameterName)
	case positionMoved:
		reword(want, positions)
		reword(got, positions)
	case anyOfThem:
		want.Body, got.Body = counted(want.Body), counted(got.Body)
	case noCounts:
		want.Body = without(want.Body, "droppedTargetCounts")
		got.Body = without(got.Body, "droppedTargetCounts")
	case absentTenant:
		got.Body = without(got.Body, "tenant_id")
	case statusOnly:
		*want, *got = compare.Answer{Status: want.Status}, compare.Answer{Status: got.Status}
	case refused400, refused415, gone404, served200:
		status := map[difference]int{refused400: 400, refused415: 415, gone404: 404, served200: 200}[d]
		*want, *got = compare.Answer{Status: status}, compare.Answer{Status: got.Status}
	}
}

var (
	parserName    = regexp.MustCompile(` \(promfence's PromQL parser, [^)]*\)$`)
	parameterName = regexp.MustCompile(`^invalid parameter "[^"]*": `)
	positions     = regexp.MustCompile(`\d+:\d+: `)
)

func reword(a *compare.Answer, old *regexp.Regexp) {
	if body, ok := a.Body.(map[string]any); ok {
		if message, ok := body["error"].(string); ok {
			body["error"] = old.ReplaceAllString(message, "")
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
