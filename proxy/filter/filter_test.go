package filter_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/filter"
)

func wantBadAnswer(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, filter.ErrAnswer) {
		t.Fatalf("want an answer that cannot be filtered, got %v", err)
	}
	if strings.Contains(err.Error(), "MARKER") {
		t.Errorf("the error quotes the answer: %v", err)
	}
}

// answers is one good answer for each filter, with two elements of acme's and
// some of others.
var answers = map[string]string{
	"rules":            groups(group("g", ownRule, betaRule), group("h", sharedRule, ownRule)),
	"alerts":           data(`{"alerts":[` + ownAlert + `,` + betaAlert + `,` + ownAlert + `]}`),
	"targets":          data(`{"activeTargets":[` + ownTarget + `,` + betaTarget + `,` + ownTarget + `],"droppedTargets":[` + betaTarget + `],"droppedTargetCounts":{"MARKER":1}}`),
	"targets/metadata": data(`[` + ownEntry + `,` + betaEntry + `,` + ownEntry + `]`),
	"metadata":         data(`{"up":[{"type":"gauge","help":"MARKER","unit":""}],"MARKER":[{"type":"gauge","help":"MARKER","unit":""}]}`),
	"query_exemplars":  data(`[` + ownExemplars + `,` + betaExemplars + `,` + ownExemplars + `]`),
}

const (
	ownExemplars  = `{"seriesLabels":{"__name__":"m","tenant_id":"acme"},"exemplars":[{"labels":{"trace_id":"own"},"value":"1","timestamp":1.5}]}`
	betaExemplars = `{"seriesLabels":{"__name__":"MARKER","tenant_id":"beta"},"exemplars":[{"labels":{"trace_id":"MARKER"},"value":"907331","timestamp":1.5}]}`
)

// answerView sees something in each sample.
func answerView(tb testing.TB) view {
	v := acme(tb)
	v.Families = filter.Names{"up": true}
	return v
}

func TestFiltersShowTheTenantsOwn(t *testing.T) {
	for name, answer := range answers {
		got, err := filtered(t, name, answer, answerView(t))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.Contains(got, "acme") && !strings.Contains(got, `"up"`) {
			t.Errorf("%s: nothing of the tenant's in %s", name, got)
		}
	}
}

func TestFiltersRefuse(t *testing.T) {
	for name, answer := range answers {
		open := strings.TrimSuffix(answer, "}")
		for what, bad := range map[string]string{
			"nothing":                     "",
			"blanks":                      "   ",
			"not JSON":                    "<html>MARKER</html>",
			"null":                        "null",
			"an array":                    "[" + answer + "]",
			"a string":                    `"MARKER"`,
			"a second answer":             answer + answer,
			"trailing garbage":            answer + "x",
			"no closing brace":            open,
			"a trailing comma":            open + ",}",
			"no status":                   strings.Replace(answer, `"status":"success",`, "", 1),
			"a status other than success": strings.Replace(answer, `"success"`, `"error"`, 1),
			"a status that is no string":  strings.Replace(answer, `"success"`, `1`, 1),
			"two statuses":                open + `,"status":"success"}`,
			"two data":                    open + `,"data":{}}`,
			"no data":                     `{"status":"success"}`,
			"null data":                   data("null") + nullAllowed[name],
			"a string as data":            data(`"MARKER"`),
			"numbers as elements":         strings.NewReplacer("[{", "[1,{").Replace(answer),
			"warnings that are no array":  open + `,"warnings":{"MARKER":1}}`,
			"many fields":                 open + manyFields() + "}",
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				_, err := filtered(t, name, bad, answerView(t))
				wantBadAnswer(t, err)
			})
		}
	}
}

// nullAllowed spoils an answer that would be good: a null list stays one.
var nullAllowed = map[string]string{"targets/metadata": "x", "query_exemplars": "x"}

func manyFields() string {
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, `,"f%d":1`, i)
	}
	return b.String()
}

// A filter decides at every byte: an answer that ends anywhere is an error, and
// nothing that parses was written.
func TestFiltersRefuseCutAnswers(t *testing.T) {
	for name, answer := range answers {
		for n := range len(answer) {
			if _, err := filtered(t, name, answer[:n], answerView(t)); !errors.Is(err, filter.ErrAnswer) {
				t.Fatalf("%s cut after %d bytes: %v", name, n, err)
			}
		}
	}
}

func TestFiltersPassOnReadAndWriteErrors(t *testing.T) {
	broken := errors.New("connection reset")
	for name, answer := range answers {
		for what, src := range map[string]io.Reader{
			"in the middle": io.MultiReader(strings.NewReader(answer[:len(answer)/2]), iotest.ErrReader(broken)),
			"at the end":    io.MultiReader(strings.NewReader(answer), iotest.ErrReader(broken)),
		} {
			var out strings.Builder
			if err := filters[name](&out, src, answerView(t)); !errors.Is(err, broken) {
				t.Errorf("%s: broken %s: %v", name, what, err)
			}
		}
		if err := filters[name](brokenWriter{broken}, strings.NewReader(answer), answerView(t)); !errors.Is(err, broken) {
			t.Errorf("%s: broken writer: %v", name, err)
		}
	}
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

func TestFiltersReadByteByByte(t *testing.T) {
	for name, answer := range answers {
		want, err := filtered(t, name, answer, answerView(t))
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := filters[name](&out, iotest.OneByteReader(strings.NewReader(answer)), answerView(t)); err != nil || out.String() != want {
			t.Errorf("%s: %v: %s", name, err, out.String())
		}
	}
}

func TestFiltersRefuseAViewWithoutTenant(t *testing.T) {
	for name, answer := range answers {
		for what, v := range map[string]view{
			"zero":   {},
			"zero's": {Labels: policy.Labels{}, Families: answerView(t).Families},
		} {
			if got, err := filtered(t, name, answer, v); err == nil || got != "" {
				t.Errorf("%s: %s: wrote %q, %v", name, what, got, err)
			}
		}
	}
}

// Duplicate names and halves of characters are read differently by different
// parsers.
func TestFiltersRefuseAmbiguousElements(t *testing.T) {
	for name, bad := range map[string][]string{
		"rules": {
			groups(group("g", `{"labels":{"tenant_id":"MARKER"},"labels":{"tenant_id":"acme"}}`)),
			groups(group("g", `{"labels":{"tenant_id":"acme"},"l\u0061bels":{"tenant_id":"MARKER"}}`)),
			groups(group("g", `{"labels":{"tenant_id":"acme","tenant_id":"MARKER"}}`)),
			groups(group("g", `{"labels":{"tenant_id":"acme","tenant\u005fid":"acme"}}`)),
			groups(group("g", `{"labels":{"tenant_id":"acme"},"x":{"a":1,"a":2}}`)),
			groups(group("g", `{"labels":{"tenant_id":"acme"},"alerts":[{"labels":{},"labels":{}}]}`)),
			groups(`{"name":"g","name":"h","file":"f","rules":[` + ownRule + `]}`),
			groups(`{"name":"g","file":"f","rules":[` + ownRule + `],"rules":[` + betaRule + `]}`),
			data(`{"groups":[],"groups":[` + group("g", betaRule) + `]}`),
			groups(group("g", `{"labels":{"tenant_id":"acme"},"name":"\ud800"}`)),
			groups(group("g", `{"labels":["tenant_id","acme"]}`)),
			groups(group("g", `{"labels":{"tenant_id":["acme"]}}`)),
			groups(group("g", `{"labels":{"tenant_id":null}}`)),
			groups(group("g", `{"labels":{"tenant_id":"acme"},"alerts":{"x":1}}`)),
			groups(group("g", `[`+ownRule+`]`)),
			groups(`{"name":{"x":"MARKER"},"file":"f","rules":[` + ownRule + `]}`),
			groups(`{"name":"g","file":"f","rules":{"x":` + ownRule + `}}`),
			data(`{"groups":{"x":` + group("g", ownRule) + `}}`),
			data(`{"groups":[],"groupNextToken":"more"}`),
			data(`{}`),
		},
		"alerts":           {data(`{"alerts":[{"labels":{"tenant_id":"acme"},"labels":{}}]}`), data(`{"alerts":{}}`), data(`{}`), data(`[]`)},
		"targets":          {data(`{"activeTargets":[{"labels":{"tenant_id":"acme"},"labels":{}}]}`), data(`{"droppedTargets":[]}`), data(`[]`)},
		"targets/metadata": {data(`[{"target":{"tenant_id":"acme","tenant_id":"acme"}}]`), data(`{}`)},
		"metadata": {
			data(`{"up":[{"type":"gauge","type":"counter"}]}`), data(`{"up":[],"up":[]}`), data(`{"up":[{"help":"x"}]}`),
			data(`{"up":{"type":"gauge"}}`), data(`{"up":["gauge"]}`), data(`[]`),
		},
	} {
		for _, answer := range bad {
			t.Run(name, func(t *testing.T) {
				_, err := filtered(t, name, answer, answerView(t))
				wantBadAnswer(t, err)
			})
		}
	}
}

// What is passed over may be as large as it likes: nothing of it is kept.
func TestFiltersPassOverLargeParts(t *testing.T) {
	part := `{"x":"` + strings.Repeat("y", 1<<10) + `"},`
	src := io.MultiReader(strings.NewReader(`{"status":"success","data":{"droppedTargets":[`), io.LimitReader(&repeat{s: part}, int64(len(part))*(3*filter.MaxElement>>10)),
		strings.NewReader(`{}],"activeTargets":[`+ownTarget+`]}}`))
	var out strings.Builder
	if err := filters["targets"](&out, src, answerView(t)); err != nil {
		t.Fatal(err)
	}
	if want := data(`{"droppedTargets":[],"activeTargets":[` + ownTarget + `]}`); out.String() != want {
		t.Errorf("got %s", out.String())
	}
}

// Prometheus writes what a rule's template made of its data, and that may cut a
// character in two. Whoever it belongs to, the answer goes on; what is shown of
// it is text.
func TestTextThatIsNotUTF8IsMended(t *testing.T) {
	for name, answer := range answers {
		for _, mark := range []string{"MARKER", "own", "j", "r", "g"} {
			torn := strings.ReplaceAll(answer, `"`+mark+`"`, "\"caf\xc3\"")
			if torn == answer {
				continue
			}
			want, err := filtered(t, name, strings.ReplaceAll(answer, `"`+mark+`"`, "\"caf\uFFFD\""), answerView(t))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got, err := filtered(t, name, torn, answerView(t)); err != nil || got != want {
				t.Errorf("%s, %s: %s %v, want %s", name, mark, got, err, want)
			}
		}
	}
}
