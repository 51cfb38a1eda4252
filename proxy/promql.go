package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus-community/prom-label-proxy/injectproxy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/promfence/promfence/auth"
)

// The values of the setting tenancy.on_conflict.
const (
	// Intersect keeps a caller's own matcher on the tenant label beside the
	// enforced one: asking for somebody else's series answers nothing.
	Intersect = "intersect"
	// Reject refuses, with a 403, a matcher that none of the caller's tenants fits.
	Reject = "reject"
)

// promQL reads every syntax that a supported upstream may have: whether a query
// is allowed is the upstream's business, whose data it reads is ours.
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

// foreignFunctions are the signatures that our parser version lacks: those of
// Thanos's engine. Each reads only the selectors that its arguments spell.
var foreignFunctions = []*parser.Function{
	{Name: "xdelta", ArgTypes: []parser.ValueType{parser.ValueTypeMatrix}, ReturnType: parser.ValueTypeVector},
	{Name: "xincrease", ArgTypes: []parser.ValueType{parser.ValueTypeMatrix}, ReturnType: parser.ValueTypeVector},
	{Name: "xrate", ArgTypes: []parser.ValueType{parser.ValueTypeMatrix}, ReturnType: parser.ValueTypeVector},
}

// errVerify is the cause of every 500 that our own check of our own output
// makes: nothing was forwarded.
var errVerify = errors.New("the enforced query failed its verification")

// A tenantMatcher is what every selector must hold: an equality for one tenant,
// an anchored alternation of quoted names for several. The names enter a query
// only through it, never as text.
type tenantMatcher struct {
	*labels.Matcher
	tenants auth.Tenants
	names   string // joined, for the log
	reject  bool
	library *injectproxy.PromQLEnforcer
	queries *queryCache // nil = nothing is kept
}

func newTenantMatcher(label string, tenants auth.Tenants, onConflict string) (*tenantMatcher, error) {
	names := tenants.Names()
	if len(names) == 0 {
		return nil, errors.New("no tenant to enforce")
	}
	kind, value := labels.MatchEqual, names[0]
	if len(names) > 1 {
		quoted := make([]string, len(names))
		for i, name := range names {
			quoted[i] = regexp.QuoteMeta(name)
		}
		kind, value = labels.MatchRegexp, strings.Join(quoted, "|")
	}
	m, err := labels.NewMatcher(kind, label, value)
	if err != nil {
		return nil, err
	}
	return &tenantMatcher{
		Matcher: m, tenants: tenants, names: strings.Join(names, "|"),
		reject: onConflict == Reject, library: injectproxy.NewPromQLEnforcer(false, m),
	}, nil
}

// enforce returns a selector's matchers with the tenant's among them exactly
// once. The caller's own matchers on the tenant label are kept aside, since the
// library would replace them: the answer is the intersection.
func (m *tenantMatcher) enforce(original []*labels.Matcher, b *budget) ([]*labels.Matcher, error) {
	others := make([]*labels.Matcher, 0, len(original)+1)
	var own []*labels.Matcher
	for _, o := range original {
		if o.Name != m.Name {
			others = append(others, o)
			continue
		}
		if err := m.admit(o, b); err != nil {
			return nil, err
		}
		if !sameMatcher(o, m.Matcher) {
			own = append(own, o)
		}
	}
	enforced, err := m.library.EnforceMatchers(others)
	if err != nil {
		return nil, internal(err)
	}
	return append(enforced, own...), nil
}

// admit refuses, where that is set, a matcher that none of the tenants fits.
func (m *tenantMatcher) admit(o *labels.Matcher, b *budget) error {
	if !m.reject {
		return nil
	}
	if err := b.chargeMatching(o, m.names); err != nil {
		return err
	}
	if !slices.ContainsFunc(m.tenants.Names(), o.Matches) {
		return failure(http.StatusForbidden, "the matcher %s selects none of your tenants", clip(o.String()))
	}
	return nil
}

// expression narrows a PromQL expression: every selector in the text returned
// holds the tenant's matcher, and nothing else differs. That is checked on the
// text itself, parsed again.
func (m *tenantMatcher) expression(query string, b *budget) (string, error) {
	return m.cached(anExpression, query, b, func() (string, error) { return m.enforceExpression(query, b) })
}

func (m *tenantMatcher) enforceExpression(query string, b *budget) (string, error) {
	if err := b.charge(query); err != nil {
		return "", err
	}
	expr, err := promQL.ParseExpr(query)
	if err != nil {
		return "", refusedByParser(err)
	}
	var originals [][]*labels.Matcher
	err = eachSelector(expr, func(vs *parser.VectorSelector) error {
		enforced, err := m.enforce(vs.LabelMatchers, b)
		originals = append(originals, vs.LabelMatchers)
		vs.LabelMatchers = enforced
		return err
	})
	if err != nil {
		return "", err
	}
	if err := b.chargeSelectors(len(originals), m.Matcher); err != nil {
		return "", err
	}
	b.reach = b.reach.plus(reachOf(expr))
	meant := spellingOf(expr)
	if meant.durationTerms > maxDurationTerms {
		return "", badData("the durations of the query have too many terms: at most %d are accepted", maxDurationTerms)
	}
	var out strings.Builder
	spell(&out, expr)
	text := out.String()
	again, err := promQL.ParseExpr(text)
	if err != nil {
		return "", meant.refuse(fmt.Errorf("%w: %w", errVerify, err))
	}
	v := verifier{want: m.Matcher, originals: originals}
	if !v.same(expr, again) || len(v.originals) != 0 {
		return "", meant.refuse(errVerify)
	}
	return text, nil
}

// selector narrows one series selector, the value of a match[] parameter. With
// emptyAllowed it may match the empty string alone, as federation allows, and
// one without any matcher comes back empty.
func (m *tenantMatcher) selector(text string, b *budget, emptyAllowed bool) (string, error) {
	kind := aSelector
	if emptyAllowed {
		kind = aFederated
	}
	return m.cached(kind, text, b, func() (string, error) { return m.enforceSelector(text, b, emptyAllowed) })
}

func (m *tenantMatcher) enforceSelector(text string, b *budget, emptyAllowed bool) (string, error) {
	original, err := parseSelector(text, b)
	if err != nil {
		return "", err
	}
	if emptyAllowed && len(original) == 0 {
		return "", nil // {} selects nothing, and must not become everything of the tenant
	}
	if !emptyAllowed && !anyNonEmpty(original) {
		return "", badData("match[] must contain at least one non-empty matcher")
	}
	if err := b.chargeSelectors(1, m.Matcher); err != nil {
		return "", err
	}
	enforced, err := m.enforce(original, b)
	if err != nil {
		return "", err
	}
	spelled := (&parser.VectorSelector{LabelMatchers: enforced}).String()
	again, err := promQL.ParseMetricSelector(spelled)
	if err != nil {
		return "", internal(fmt.Errorf("%w: %w", errVerify, err))
	}
	if !enforcedOnce(m.Matcher, original, again) {
		return "", internal(errVerify)
	}
	return spelled, nil
}

// own is the selector of everything that the tenants have.
func (m *tenantMatcher) own() string {
	return (&parser.VectorSelector{LabelMatchers: []*labels.Matcher{m.Matcher}}).String()
}

func parseSelector(text string, b *budget) ([]*labels.Matcher, error) {
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

// eachSelector visits every selector that an expression holds, wherever it
// stands: in an aggregation's parameter as well as in its argument.
func eachSelector(expr parser.Expr, visit func(*parser.VectorSelector) error) error {
	return parser.Walk(walker(visit), expr, nil)
}

type walker func(*parser.VectorSelector) error

// Visit decides on every node before its children are asked for: a node that is
// not in this list is refused, not passed over.
func (w walker) Visit(node parser.Node, _ []parser.Node) (parser.Visitor, error) {
	switch n := node.(type) {
	case nil: // the end of a node's children
	case *parser.VectorSelector:
		return w, w(n)
	case *parser.Call:
		if n.Func.Name == "info" {
			return nil, badData("%d: info() is not available through promfence, because it reads series that the query does not name: "+
				"join them instead, as in … * on (job, instance) group_left (version) target_info", n.PosRange.Start+1)
		}
	case *parser.MatrixSelector:
		if _, ok := n.VectorSelector.(*parser.VectorSelector); !ok {
			return nil, internal(fmt.Errorf("%w: a range over a %T", errVerify, n.VectorSelector))
		}
	case *parser.AggregateExpr:
		return w, printable(n.Grouping)
	case *parser.BinaryExpr:
		if m := n.VectorMatching; m != nil {
			return w, errors.Join(printable(m.MatchingLabels), printable(m.Include))
		}
	case parser.Expressions, *parser.SubqueryExpr,
		*parser.ParenExpr, *parser.UnaryExpr, *parser.NumberLiteral, *parser.StringLiteral:
	default:
		return nil, internal(fmt.Errorf("%w: unknown node %T", errVerify, node))
	}
	return w, nil
}

// printable refuses the label names that the parser takes in quotes only, and
// prints without.
func printable(names []string) error {
	for _, name := range names {
		switch strings.ToLower(name) {
		case "inf", "nan", "without":
			return badData("the label name %q is not accepted in by, without, on, ignoring, group_left and group_right", name)
		}
	}
	return nil
}

// refusedByParser names the parser, so that nobody searches the upstream for a
// refusal that is ours.
func refusedByParser(err error) error {
	return badData("%s (promfence's PromQL parser, Prometheus %s)", err, ParserVersion())
}
