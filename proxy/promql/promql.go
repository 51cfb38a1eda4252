// Package promql writes a label policy into PromQL and proves that it is there.
//
// It stops one threat: a selector that reaches the upstream without every matcher
// of its caller's label policy. Its rules:
//
//   - A text is bounded before the recursive parser sees it ([Budget]).
//   - Every node of the tree is visited. A node that is not known, and info(), which
//     reads series that the text does not name, are refused.
//   - Each selector gets each enforced matcher. The caller's own matchers on the same
//     labels stay beside them: the answer is the intersection. Where the setting says
//     so, one that can select nothing is refused.
//   - Values enter a query as matchers, never as text. Only the parser's own printer
//     and quoting spell them.
//   - What was printed is parsed again and compared with the tree that was meant, by
//     code that shares nothing with what put the matchers in (verify.go). The same
//     selectors must stand in the same order, each with its own matchers and each
//     enforced one exactly once, and nothing else may differ. Otherwise nothing is
//     sent: [ErrVerify].
//   - What is remembered of a query (cache.go) is kept by label policy, by how the
//     text is read, and by the whole text.
//
// Whether a query is allowed is the upstream's business; whose data it reads is
// decided here. An [Enforcer] comes from a [policy.Labels] only, and the zero value
// of either refuses.
package promql

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/promfence/promfence/proxy/apierr"
)

// ErrVerify is the cause of every 500 that the check of promfence's own output
// makes: nothing was forwarded.
var ErrVerify = errors.New("the enforced query failed its verification")

// promQL reads every syntax that a supported upstream may have.
var promQL = newPromQL()

// newPromQL adds the functions of other engines to the parser's table. It runs
// as a package variable, before anything can parse: the table is not locked.
func newPromQL() parser.Parser {
	for _, f := range foreignFunctions {
		parser.Functions[f.Name] = f
	}
	return parser.NewParser(parser.Options{
		EnableExperimentalFunctions:  true,
		ExperimentalDurationExpr:     true,
		EnableExtendedRangeSelectors: true,
		EnableBinopFillModifiers:     true,
	})
}

// foreignFunctions are the signatures that our parser version lacks: of Thanos's
// engine, of Prometheus 3.16 (integral) and of Prometheus 2 (holt_winters, which became
// double_exponential_smoothing). Each reads only the selectors that its arguments spell.
var foreignFunctions = []*parser.Function{
	{Name: "holt_winters", ArgTypes: []parser.ValueType{parser.ValueTypeMatrix, parser.ValueTypeScalar, parser.ValueTypeScalar}, ReturnType: parser.ValueTypeVector},
	{Name: "integral", ArgTypes: []parser.ValueType{parser.ValueTypeMatrix, parser.ValueTypeScalar}, Variadic: 1, ReturnType: parser.ValueTypeVector},
	{Name: "xdelta", ArgTypes: []parser.ValueType{parser.ValueTypeMatrix}, ReturnType: parser.ValueTypeVector},
	{Name: "xincrease", ArgTypes: []parser.ValueType{parser.ValueTypeMatrix}, ReturnType: parser.ValueTypeVector},
	{Name: "xrate", ArgTypes: []parser.ValueType{parser.ValueTypeMatrix}, ReturnType: parser.ValueTypeVector},
}

// Expression narrows a PromQL expression: every selector in the text returned holds
// the enforced matchers, and nothing else differs.
func (e *Enforcer) Expression(query string, b *Budget) (string, error) {
	return e.cached(anExpression, query, b, func() (string, error) { return e.expression(query, b) })
}

// Explain is Expression without bounds on the query's size.
func (e *Enforcer) Explain(query string) (string, error) {
	const unbounded = 1 << 30
	return e.Expression(query, Limits{QueryBytes: unbounded, QueryDepth: 1000, QueryTerms: unbounded}.Budget())
}

func (e *Enforcer) expression(query string, b *Budget) (string, error) {
	if err := b.charge(query); err != nil {
		return "", err
	}
	expr, err := promQL.ParseExpr(query)
	if err != nil {
		return "", refusedByParser(err)
	}
	var originals [][]*labels.Matcher
	var read reach
	var meant spelling
	err = parser.Walk(&walker{
		selector: func(vs *parser.VectorSelector) error {
			enforced, err := e.Enforce(vs.LabelMatchers, b)
			originals = append(originals, vs.LabelMatchers)
			vs.LabelMatchers = enforced
			return err
		},
		measure: func(node parser.Node, path []parser.Node) {
			read.add(node, path)
			meant.add(node)
		},
	}, expr, nil)
	if err != nil {
		return "", err
	}
	if err := e.ChargeSelectors(len(originals), b); err != nil {
		return "", err
	}
	b.reach = b.reach.plus(read)
	if meant.durationTerms > maxDurationTerms {
		return "", apierr.BadData("the durations of the query have too many terms: at most %d are accepted", maxDurationTerms)
	}
	var out strings.Builder
	spell(&out, expr)
	text := out.String()
	again, err := promQL.ParseExpr(text)
	if err != nil {
		return "", meant.refuse(fmt.Errorf("%w: %w", ErrVerify, err))
	}
	if !verified(expr, again, e.wanted, originals) {
		return "", meant.refuse(ErrVerify)
	}
	return text, nil
}

// Selector narrows one series selector, the value of a match[] parameter.
func (e *Enforcer) Selector(text string, b *Budget) (string, error) {
	return e.cached(aSelector, text, b, func() (string, error) { return e.selector(text, b, false) })
}

// FederatedSelector narrows a selector that may match the empty string alone, as
// federation allows. One without any matcher selects nothing there, and comes back
// empty: it must not become everything that the label policy allows.
func (e *Enforcer) FederatedSelector(text string, b *Budget) (string, error) {
	return e.cached(aFederated, text, b, func() (string, error) { return e.selector(text, b, true) })
}

func (e *Enforcer) selector(text string, b *Budget, emptyAllowed bool) (string, error) {
	original, err := parseSelector(text, b)
	if err != nil {
		return "", err
	}
	if emptyAllowed && len(original) == 0 {
		return "", nil
	}
	if !emptyAllowed && !anyNonEmpty(original) {
		return "", apierr.BadData("match[] must contain at least one non-empty matcher")
	}
	if err := e.ChargeSelectors(1, b); err != nil {
		return "", err
	}
	enforced, err := e.Enforce(original, b)
	if err != nil {
		return "", err
	}
	return e.spellSelector(original, enforced)
}

// spellSelector prints a selector's matchers and checks what was printed.
func (e *Enforcer) spellSelector(original, enforced []*labels.Matcher) (string, error) {
	spelled := (&parser.VectorSelector{LabelMatchers: enforced}).String()
	again, err := promQL.ParseMetricSelector(spelled)
	if err != nil {
		return "", apierr.Internal(fmt.Errorf("%w: %w", ErrVerify, err))
	}
	if !e.Holds(original, again) {
		return "", apierr.Internal(ErrVerify)
	}
	return spelled, nil
}

// Check bounds and parses an expression that reads no data, and changes nothing. A
// positive maxTerms is a narrower bound than the Budget's.
func (b *Budget) Check(query string, maxTerms int) error {
	if err := b.charge(query); err != nil {
		return err
	}
	if maxTerms > 0 && b.terms > maxTerms {
		return apierr.BadData("the query has too many terms to be formatted: at most %d operators, commas, brackets and names are accepted", maxTerms)
	}
	if _, err := promQL.ParseExpr(query); err != nil {
		return refusedByParser(err)
	}
	return nil
}

// Respell bounds and parses a selector that chooses among the elements of an answer
// which is filtered afterwards, and prints it without narrowing it.
func (b *Budget) Respell(text string) (string, error) {
	ms, err := parseSelector(text, b)
	if err != nil {
		return "", err
	}
	if len(ms) == 0 {
		return "{}", nil // the printer spells no matchers as nothing
	}
	return (&parser.VectorSelector{LabelMatchers: ms}).String(), nil
}

func parseSelector(text string, b *Budget) ([]*labels.Matcher, error) {
	if err := b.charge(text); err != nil {
		return nil, err
	}
	ms, err := promQL.ParseMetricSelector(text)
	if err != nil {
		return nil, refusedByParser(err)
	}
	return ms, nil
}

func anyNonEmpty(ms []*labels.Matcher) bool {
	for _, m := range ms {
		if !m.Matches("") {
			return true
		}
	}
	return false
}

// refusedByParser names the parser, so that nobody searches the upstream for a
// refusal that is ours.
func refusedByParser(err error) error {
	return apierr.BadData("%s (promfence's PromQL parser, Prometheus %s)", err, parserVersion())
}

// Parser names the module whose parser decides what is PromQL, and its version;
// "unknown" in a build that does not say.
func Parser() (module, version string) { return parserModule, parserVersion() }

const parserModule = "github.com/prometheus/prometheus"

var parserVersion = sync.OnceValue(func() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == parserModule {
				return dep.Version
			}
		}
	}
	return "unknown"
})
