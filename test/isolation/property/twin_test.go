package property_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"

	"github.com/promfence/promfence/auth/policy"
	enforce "github.com/promfence/promfence/proxy/promql"
	"github.com/promfence/promfence/test/harness/upstream"
)

// A twin answers a query as the engine would, and on the way compares what it
// gives in the two worlds.
type twin struct {
	engine   *promql.Engine
	parser   parser.Parser
	labels   policy.Labels
	enforcer *enforce.Enforcer // of the labels

	compared    int
	told        int            // answers that hold something, as a control
	skipped     map[string]int // by reason
	differences []string
}

// asker makes a query of either kind, for any storage and text.
type asker func(q storage.Queryable, text string) (promql.Query, error)

func (w *twin) NewInstantQuery(ctx context.Context, q storage.Queryable, o promql.QueryOpts, text string, at time.Time) (promql.Query, error) {
	w.compare(ctx, q.(*worlds), text, func(q storage.Queryable, text string) (promql.Query, error) {
		return w.engine.NewInstantQuery(ctx, q, o, text, at)
	})
	return w.engine.NewInstantQuery(ctx, q, o, text, at)
}

func (w *twin) NewRangeQuery(ctx context.Context, q storage.Queryable, o promql.QueryOpts, text string, start, end time.Time, step time.Duration) (promql.Query, error) {
	w.compare(ctx, q.(*worlds), text, func(q storage.Queryable, text string) (promql.Query, error) {
		return w.engine.NewRangeQuery(ctx, q, o, text, start, end, step)
	})
	return w.engine.NewRangeQuery(ctx, q, o, text, start, end, step)
}

func (w *twin) compare(ctx context.Context, q *worlds, text string, ask asker) {
	enforced, err := w.enforcer.Explain(text)
	if err != nil {
		w.refused(text, err)
		return
	}
	if loose := upstream.Lacking(enforced, w.labels.String()); loose != "" {
		w.differences = append(w.differences, fmt.Sprintf("%s\n\tbecame %s\n\tin which %s does not hold all matchers", text, enforced, loose))
	}
	w.compared++
	want, got := answer(ctx, ask, q.alone, text), answer(ctx, ask, q.crowd, enforced)
	if strings.Contains(want, "@[") {
		w.told++
	}
	if strings.Contains(text, "absent") {
		// absent() takes its labels from the equality matchers of its selector, and
		// so tells of what it speaks.
		want, got = w.withoutEnforced(want), w.withoutEnforced(got)
	}
	if ofOthers := w.forbidden(got); ofOthers != "" {
		w.differences = append(w.differences, fmt.Sprintf("%s\n\tbecame %s\n\tof which an error names %s", text, enforced, ofOthers))
	}
	want, got = duplicates.ReplaceAllString(want, "…"), duplicates.ReplaceAllString(got, "…")
	if want != got {
		w.differences = append(w.differences, fmt.Sprintf("%s\n\tbecame %s\n\talone  %s\n\tcrowd  %s", text, enforced, want, got))
	}
}

// duplicates are two of the series that an operator finds where it wants one: which
// two, and in which order, changes from run to run.
var duplicates = regexp.MustCompile(`\[\{[^\]]*\}\]`)

// forbidden returns a series that an error names and that the label policy forbids.
func (w *twin) forbidden(answer string) string {
	if !strings.HasPrefix(answer, "error: found duplicate series") {
		return ""
	}
	for _, pair := range duplicates.FindAllString(answer, -1) {
		for text := range strings.SplitSeq(strings.Trim(pair, "[]"), ", {") {
			ls, err := w.parser.ParseMetric("{" + strings.TrimPrefix(text, "{"))
			if err != nil {
				return fmt.Sprintf("%s: %v", text, err)
			}
			for _, m := range w.labels.Matchers() {
				if ls.Has(m.Label) && !m.Allows(ls.Get(m.Label)) {
					return text
				}
			}
		}
	}
	return ""
}

// refused counts a refusal that is meant. Every other one is a difference.
func (w *twin) refused(text string, err error) {
	_, unparsable := w.parser.ParseExpr(text)
	switch {
	case unparsable != nil:
		w.skipped["no PromQL"]++
	case strings.Contains(text, "info("):
		w.skipped["info() reads series that it does not name"]++
	default:
		w.differences = append(w.differences, fmt.Sprintf("%s\n\trefused: %v", text, err))
	}
}

// withoutEnforced takes the labels out of an answer that the label policy enforces
// by equality.
func (w *twin) withoutEnforced(answer string) string {
	for _, m := range w.labels.Matchers() {
		if text := m.String(); strings.HasPrefix(text, m.Label+`="`) {
			answer = strings.NewReplacer(", "+text, "", text+", ", "", text, "").Replace(answer)
		}
	}
	return answer
}

// pointer is where in a query an annotation points; promfence moves it.
var pointer = regexp.MustCompile(`\(\d+:\d+\)|\d+:\d+: `)

// answer spells all that a caller sees of an answer.
func answer(ctx context.Context, ask asker, q storage.Queryable, text string) string {
	query, err := ask(q, text)
	if err != nil {
		return "error: " + pointer.ReplaceAllString(err.Error(), "")
	}
	defer query.Close()
	result := query.Exec(ctx)
	if result.Err != nil {
		return "error: " + pointer.ReplaceAllString(result.Err.Error(), "")
	}
	warnings, infos := result.Warnings.AsStrings(text, 0, 0)
	notes := append(warnings, infos...)
	for i, note := range notes {
		notes[i] = pointer.ReplaceAllString(note, "")
	}
	slices.Sort(notes)
	series := strings.Split(result.Value.String(), "\n")
	if !strings.Contains(text, "sort") {
		slices.Sort(series) // The engine's own order changes from run to run.
	}
	return strings.Join(append(series, notes...), "\n")
}

// An error that names somebody else's series is a difference, whichever pair it names.
func TestErrorsThatNameOthersAreNoticed(t *testing.T) {
	labels, err := policy.ForTenants("tenant_id", "acme")
	if err != nil {
		t.Fatal(err)
	}
	w := twin{parser: parser.NewParser(promqltest.TestParserOpts), labels: labels}
	of := func(tenant string) string {
		return fmt.Sprintf(`error: found duplicate series for the match group {job="x"} on the right hand-side of the operation: [{__name__="a", tenant_id="acme"}, {__name__="b", tenant_id="%s"}];many-to-many matching not allowed`, tenant)
	}
	for tenant, noticed := range map[string]bool{"acme": false, "globex": true} {
		if got := w.forbidden(of(tenant)); (got != "") != noticed {
			t.Errorf("%s: %q", tenant, got)
		}
	}
}
