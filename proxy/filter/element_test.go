package filter_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/promfence/promfence/proxy/filter"
)

const huge = filter.MaxElement + 1<<20

// filled is a text in which the filling stands in the place of HUGE, often enough
// to be larger than an element may be.
func filled(text, filling string) io.Reader {
	before, after, _ := strings.Cut(text, "HUGE")
	if filling == "" {
		return strings.NewReader(text)
	}
	filling = strings.Repeat(filling, 4096)
	return io.MultiReader(strings.NewReader(before), io.LimitReader(&repeat{s: filling}, int64(len(filling))*(huge/int64(len(filling))+1)), strings.NewReader(after))
}

// others' elements, each with a place that may be as large as it likes: before
// what says whose it is, in it, and behind.
var hugeElements = map[string][]string{
	"rules": {
		`{"name":"HUGE","labels":{"tenant_id":"beta"},"type":"recording"}`,
		`{"query":"HUGE","labels":{"tenant_id":"beta"}}`,
		`{"labels":{"tenant_id":"beta"},"annotations":{"a":"HUGE"}}`,
		`{"labels":{"a":"HUGE","tenant_id":"beta"}}`,
		`{"labels":{"tenant_id":"beta","a":"HUGE"}}`,
		`{"labels":{"tenant_id":"HUGE"}}`,
		`{"labels":{"HUGE":"","tenant_id":"beta"}}`,
		`{"HUGE":1,"labels":{"tenant_id":"beta"}}`,
		`{"labels":{"tenant_id":"beta"},"HUGE":1}`,
		`{"x":"HUGE","labels":{}}`,
		`{"x":"HUGE"}`,
	},
	"alerts": {
		`{"labels":{"tenant_id":"beta","alertname":"HUGE"},"annotations":{}}`,
		`{"annotations":{"a":"HUGE"},"labels":{"tenant_id":"beta"}}`,
		`{"labels":{"tenant_id":"beta"},"annotations":{"HUGE":""}}`,
	},
	"targets": {
		`{"discoveredLabels":{"tenant_id":"HUGE"},"labels":{"tenant_id":"beta"}}`,
		`{"labels":{"tenant_id":"beta"},"lastError":"HUGE"}`,
		`{"lastError":"HUGE","labels":{"tenant_id":"beta"}}`,
	},
	"targets/metadata": {
		`{"target":{"tenant_id":"beta"},"metric":"HUGE","type":"gauge","help":"","unit":""}`,
		`{"target":{"tenant_id":"beta"},"metric":"m","type":"gauge","help":"HUGE","unit":""}`,
		`{"help":"HUGE","target":{"tenant_id":"beta"}}`,
	},
	"query_exemplars": {
		`{"seriesLabels":{"tenant_id":"beta"},"exemplars":[{"labels":{"a":"HUGE"}}]}`,
		`{"exemplars":[{"labels":{"a":"HUGE"}}],"seriesLabels":{"tenant_id":"beta"}}`,
	},
	"metadata": {
		`"MARKER":[{"type":"gauge","help":"HUGE","unit":""}]`,
		`"up":[{"type":"gauge","help":"HUGE","unit":""}]`,
		`"up":[{"help":"HUGE","unit":"","type":"gauge"}]`,
		`"HUGE":[{"type":"gauge","help":"","unit":""}]`,
		`"MARKER":[{"type":"HUGE","help":"","unit":""}]`,
	},
}

// collectSeldom is for tests that make much garbage beside a small heap: half of their time
// would be spent on collecting it.
func collectSeldom(t *testing.T) {
	t.Helper()
	before := debug.SetGCPercent(400)
	t.Cleanup(func() { debug.SetGCPercent(before) })
}

// around puts an element beside one of acme's, which alone is what must come out.
func around(row, element string) (answer, want string) {
	switch row {
	case "rules":
		return groups(group("g", element, ownRule)), groups(group("g", ownRule))
	case "alerts":
		return data(`{"alerts":[` + element + `,` + ownAlert + `]}`), data(`{"alerts":[` + ownAlert + `]}`)
	case "targets":
		return data(`{"activeTargets":[` + element + `,` + ownTarget + `]}`), data(`{"activeTargets":[` + ownTarget + `]}`)
	case "targets/metadata":
		return data(`[` + element + `,` + ownEntry + `]`), data(`[` + ownEntry + `]`)
	case "query_exemplars":
		return data(`[` + element + `,` + ownExemplars + `]`), data(`[` + ownExemplars + `]`)
	default:
		const up = `"up":[{"type":"gauge","help":"","unit":""}]`
		if strings.HasPrefix(element, `"up"`) {
			return data(`{` + element + `}`), data(`{` + up + `}`)
		}
		return data(`{` + element + `,` + up + `}`), data(`{` + up + `}`)
	}
}

// What is somebody else's may be as large, as deep, as strange as it likes: it is
// passed over without being held.
func TestHugeElementsOfOthersBreakNothing(t *testing.T) {
	collectSeldom(t)
	for row, elements := range hugeElements {
		for i, element := range elements {
			fillings := map[string]string{"plain": "x"}
			if i == 0 {
				fillings = map[string]string{"escapes": `\u00e9\n`, "no UTF-8": "\xff", "half characters": `\ud800`}
			}
			for what, filling := range fillings {
				answer, want := around(row, element)
				var out strings.Builder
				if err := filters[row](&out, filled(answer, filling), answerView(t)); err != nil || out.String() != want {
					t.Errorf("%s: %s, %s: %v: got %.300s", row, element, what, err, out.String())
				}
			}
		}
	}
}

func TestManyAndDeepMembersOfOthersBreakNothing(t *testing.T) {
	collectSeldom(t)
	deep := strings.Repeat(`{"a":[`, 20_000) + `1` + strings.Repeat(`]}`, 20_000)
	for row, elements := range hugeElements {
		for _, element := range elements[:2] {
			if !strings.Contains(element, `"HUGE"`) || strings.Contains(element, `"HUGE":`) || strings.Contains(element, `"tenant_id":"HUGE"`) || strings.Contains(element, `"type":"HUGE"`) {
				continue // a string stands here
			}
			answer, want := around(row, element)
			for what, src := range map[string]io.Reader{
				"deep": filled(strings.Replace(answer, `"HUGE"`, deep, 1), ""),
				"many": filled(strings.Replace(answer, `"HUGE"`, `{"a":1HUGE}`, 1), `,"a":"MARKER"`),
				"long": filled(strings.Replace(answer, `"HUGE"`, `[0HUGE]`, 1), `,{"MARKER":1}`),
			} {
				var out strings.Builder
				if err := filters[row](&out, src, answerView(t)); err != nil && !titled(element) || err == nil && out.String() != want {
					t.Errorf("%s: %s, %s: %v: got %.300s", row, element, what, err, out.String())
				}
			}
		}
	}
}

// titled elements have a HUGE label where only a string is understood.
func titled(element string) bool { return strings.Contains(element, `"alertname":"HUGE"`) }

// An element of the caller's own that is too large is an error that names it,
// wherever it says whose it is.
func TestAnOwnHugeElementIsNamed(t *testing.T) {
	collectSeldom(t)
	for row, tests := range map[string]map[string]string{
		"rules": {
			`{"name":"r1","query":"HUGE","labels":{"tenant_id":"acme"}}`:                               `in the group "g" the rule "r1"`,
			`{"labels":{"tenant_id":"acme"},"name":"r2","query":"HUGE"}`:                               `in the group "g" the rule "r2"`,
			`{"query":"HUGE","name":"r3","labels":{"tenant_id":"acme"},"x":["HUGE"]}`:                  `in the group "g" the rule "r3"`,
			`{"name":"r4","labels":{"tenant_id":"acme","a":"HUGE"}}`:                                   `in the group "g" the rule "r4"`,
			`{"name":"r5","labels":{"tenant_id":"acme"},"alerts":[{"annotations":{"a":"HUGE"}}]}`:      `in the group "g" the rule "r5"`,
			`{"query":"HUGE","labels":{"tenant_id":"acme"},"name":"` + strings.Repeat("r", 300) + `"}`: `the rule "` + strings.Repeat("r", 200) + `…"`,
		},
		"alerts": {`{"labels":{"alertname":"a1","tenant_id":"acme"},"annotations":{"a":"HUGE"}}`: `the alert "a1"`},
		"targets": {
			`{"discoveredLabels":{"a":"HUGE"},"labels":{"tenant_id":"acme"},"scrapePool":"p1"}`: `scrape pool "p1"`,
			`{"labels":{"tenant_id":"acme"},"scrapePool":"p2","lastError":"HUGE"}`:              `scrape pool "p2"`,
		},
		"targets/metadata": {`{"target":{"tenant_id":"acme"},"metric":"m1","type":"gauge","help":"HUGE","unit":""}`: `the metric "m1"`},
		"query_exemplars":  {`{"seriesLabels":{"__name__":"s1","tenant_id":"acme"},"exemplars":["HUGE"]}`: `the series "s1"`},
	} {
		for element, want := range tests {
			answer, _ := around(row, element)
			err := filters[row](io.Discard, filled(answer, "x"), answerView(t))
			if err == nil || !strings.Contains(err.Error(), want+" is larger than the 8 MiB") || !errors.Is(err, filter.ErrAnswer) || status(err) != http.StatusBadGateway {
				t.Errorf("%s: %s: %v", row, element, err)
			}
		}
	}
}

func TestHugeFieldsOfAGroupMatterToThoseWhoSeeIt(t *testing.T) {
	const open = `{"name":"HUGE","file":"f","rules":[`
	var out strings.Builder
	if err := filters["rules"](&out, filled(groups(open+betaRule+`]}`, group("g", ownRule)), "x"), acme(t)); err != nil || out.String() != groups(group("g", ownRule)) {
		t.Errorf("%v: %.300s", err, out.String())
	}
	if err := filters["rules"](io.Discard, filled(groups(open+ownRule+`]}`), "x"), acme(t)); err == nil || !strings.Contains(err.Error(), "the rule group") {
		t.Errorf("%v", err)
	}
}

// A shared rule is everybody's, what it tells of others is not: their alerts and
// the error of its evaluation.
func TestHugePartsOfASharedRule(t *testing.T) {
	const rule = `{"name":"r","labels":{},"alerts":[%s],"health":"err","lastError":"%s","type":"alerting"}`
	want := groups(group("g", `{"name":"r","labels":{},"alerts":[`+ownAlert+`],"health":"unknown","type":"alerting"}`))
	v := acme(t)
	v.SharedRules = true
	for what, answer := range map[string]string{
		"an alert of another's": fmt.Sprintf(rule, `{"annotations":{"a":"HUGE"},"labels":{"tenant_id":"beta"}},`+ownAlert, ""),
		"a label of another's":  fmt.Sprintf(rule, ownAlert+`,{"labels":{"tenant_id":"beta","a":"HUGE"}}`, ""),
		"an error":              fmt.Sprintf(rule, ownAlert, "HUGE"),
	} {
		var out strings.Builder
		if err := filters["rules"](&out, filled(groups(group("g", answer)), "x"), v); err != nil || out.String() != want {
			t.Errorf("%s: %v: %.300s", what, err, out.String())
		}
	}
	err := filters["rules"](io.Discard, filled(groups(group("g", fmt.Sprintf(rule, `{"labels":{"tenant_id":"acme"},"x":"HUGE"}`, ""))), "x"), v)
	if err == nil || !strings.Contains(err.Error(), `in the group "g" the rule "r" is larger`) {
		t.Errorf("an own alert: %v", err)
	}
}

// With tenancy.shared_metadata everybody may read everybody's texts, so one that
// is too large is left out for all.
func TestHugeSharedTextsAreBlank(t *testing.T) {
	v := answerView(t)
	v.SharedMetadata = true
	for _, answer := range []string{
		`{"up":[{"type":"gauge","help":"HUGE","unit":""},{"type":"counter","help":"one","unit":""}]}`,
		`{"up":[{"type":"counter","help":"one","unit":""},{"type":"gauge","help":"HUGE","unit":""}]}`,
	} {
		var out strings.Builder
		err := filters["metadata"](&out, filled(data(answer), "x"), v)
		if want := data(`{"up":[{"type":"counter","help":"one","unit":""},{"type":"gauge","help":"","unit":""}]}`); err != nil || out.String() != want {
			t.Errorf("%v: %.300s", err, out.String())
		}
	}
}

func TestOwnTextsThatAreTooLargeAreNamed(t *testing.T) {
	v := answerView(t)
	v.TargetTexts = filled(data(`[{"target":{"tenant_id":"acme"},"metric":"up","type":"gauge","help":"HUGE","unit":""}]`), "x")
	if err := filters["metadata"](io.Discard, strings.NewReader(answers["metadata"]), v); err == nil || !strings.Contains(err.Error(), `the metric "up" is larger`) {
		t.Error(err)
	}
	v.TargetTexts = io.MultiReader(strings.NewReader(`{"status":"success","data":[`), &numbered{element: `{"target":{"tenant_id":"acme"},"metric":"m%d","type":"gauge","help":"` + strings.Repeat("x", 1<<20) + `","unit":""},`, n: 10}, strings.NewReader(ownEntry+`]}`))
	if err := filters["metadata"](io.Discard, strings.NewReader(answers["metadata"]), v); err == nil || !strings.Contains(err.Error(), `up to "m7", is larger`) {
		t.Error(err)
	}
}

// numbered gives an element n times, with the number in it.
type numbered struct {
	element string
	i, n    int
	rest    strings.Reader
}

func (r *numbered) Read(p []byte) (int, error) {
	if r.rest.Len() == 0 {
		if r.i == r.n {
			return 0, io.EOF
		}
		r.rest.Reset(fmt.Sprintf(r.element, r.i))
		r.i++
	}
	return r.rest.Read(p)
}

func TestAWarningTakesTheProofFromOwnTargets(t *testing.T) {
	v := answerView(t)
	v.TargetTexts = strings.NewReader(`{"status":"success","data":[],"warnings":["a store is away"]}`)
	if got, err := filtered(t, "metadata", answers["metadata"], v); !errors.Is(err, filter.ErrAnswer) || got != "" {
		t.Errorf("%q %v", got, err)
	}
}
