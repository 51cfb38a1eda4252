package promql

import (
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/strutil"

	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/promql/regexcost"
)

// Bounds that no setting changes. Real expressions stay far below them: of 5,000
// tried the largest had 15 regexps.
const (
	maxRegexps         = 500       // regexp matchers of one request, the enforced ones included
	maxEnforcedBytes   = 512 << 10 // selectors × length of the enforced matchers
	maxEnforcedRegexps = 64 << 10  // selectors × length of those that are regexps: each is compiled
	maxMatching        = 8 << 20   // size of regexps × length of the values they are run over
	termsPerPower      = 2         // of a number with an exponent: the smallest take long to read
	termsPerSize       = 150       // terms × terms, which a chain of operators costs, as a part of regexcost.Max
)

// Limits bound the PromQL of one request. The first three hold before a recursive
// parser sees it; zero lets nothing pass.
type Limits struct {
	QueryBytes int // all PromQL of a request, in bytes
	QueryDepth int // open brackets of all kinds
	QueryTerms int // operators, commas, opening brackets and identifiers

	MaxRange  time.Duration // how much time a query may read; 0 = no limit
	MaxPoints int           // evaluations of one query, or of a subquery in it; 0 = no limit
}

// A Budget is what is left of a request's bounds. Every expression and selector of
// the request draws on the same one. The zero Budget lets nothing pass.
type Budget struct {
	limits Limits
	charges
	matching int    // what it costs to run regexps: not kept, a cached query runs none
	conflict string // the first matcher that can select nothing of what its caller may see
}

// Conflict is a sentence about a matcher of the request that can select nothing of
// what its caller may see; empty if there is none.
func (b *Budget) Conflict() string { return b.conflict }

// noteConflict keeps the first conflict of a request.
func (b *Budget) noteConflict(text string) {
	if b.conflict == "" {
		b.conflict = text
	}
}

// Budget makes the budget of one request.
func (l Limits) Budget() *Budget { return &Budget{limits: l} }

// charges are what was drawn on a budget.
type charges struct {
	bytes           int
	terms           int
	regexps         int
	cost            regexcost.Cost
	enforcedBytes   int
	enforcedRegexps int // bytes
	reach           reach
}

// tooCostly bounds what takes the parser and the compiler longer than its length.
func (c charges) tooCostly() bool {
	return int(c.cost)+min(c.terms*c.terms/termsPerSize, regexcost.Max/2) > regexcost.Max
}

// tooMuchEnforced bounds what the enforced matchers add: many selectors times many
// long values.
func (c charges) tooMuchEnforced() bool {
	return c.enforcedBytes > maxEnforcedBytes || c.enforcedRegexps > maxEnforcedRegexps || c.regexps > maxRegexps
}

func (c charges) minus(d charges) charges {
	return charges{
		c.bytes - d.bytes, c.terms - d.terms, c.regexps - d.regexps, c.cost - d.cost,
		c.enforcedBytes - d.enforcedBytes, c.enforcedRegexps - d.enforcedRegexps, c.reach.minus(d.reach),
	}
}

// take draws what a text is known to cost, if all of it fits.
func (b *Budget) take(c charges) bool {
	sum := b.minus(charges{}.minus(c))
	if sum.bytes > b.limits.QueryBytes || sum.terms > b.limits.QueryTerms || sum.tooCostly() || sum.tooMuchEnforced() {
		return false
	}
	b.charges = sum
	return true
}

// charge scans a query with the lexer, which is linear and does not recurse,
// and refuses what would be dear to parse, to print, or to compile.
func (b *Budget) charge(query string) error {
	if b.bytes += len(query); b.bytes > b.limits.QueryBytes {
		return apierr.BadData("the query is too long: at most %d bytes are accepted (limits.max_query_bytes)", b.limits.QueryBytes).OverLimit("max_query_bytes")
	}
	lexer := parser.Lex(query)
	depth, regexpNext := 0, false
	var item parser.Item // one for all: the lexer keeps its address
	for {
		lexer.NextItem(&item)
		switch t := item.Typ; {
		case t == parser.ERROR:
			return nil // the parser's to report, with its position
		case t == parser.EOF:
			return b.checkCost()
		case t == parser.LEFT_PAREN || t == parser.LEFT_BRACE || t == parser.LEFT_BRACKET:
			b.terms++
			if depth++; depth > b.limits.QueryDepth {
				return apierr.BadData("%d: the query is nested too deeply: at most %d open brackets are accepted (limits.max_query_depth)", item.Pos+1, b.limits.QueryDepth).OverLimit("max_query_depth")
			}
		case t == parser.RIGHT_PAREN || t == parser.RIGHT_BRACE || t == parser.RIGHT_BRACKET:
			depth--
		case t.IsOperator() || t == parser.COMMA || t == parser.EQL || t == parser.IDENTIFIER || t == parser.METRIC_IDENTIFIER:
			b.terms++
		case t == parser.NUMBER && strings.ContainsAny(item.Val, "eE"):
			b.terms += termsPerPower
		case t == parser.STRING && regexpNext:
			if err := b.chargeRegexp(item); err != nil {
				return err
			}
		}
		if b.terms > b.limits.QueryTerms {
			return apierr.BadData("%d: the query has too many terms: at most %d operators, commas, brackets and names are accepted (limits.max_query_terms)", item.Pos+1, b.limits.QueryTerms).OverLimit("max_query_terms")
		}
		if item.Typ != parser.COMMENT {
			regexpNext = item.Typ == parser.EQL_REGEX || item.Typ == parser.NEQ_REGEX
		}
	}
}

func (b *Budget) chargeRegexp(item parser.Item) error {
	pattern, err := strutil.Unquote(item.Val)
	if err != nil {
		return nil //nolint:nilerr // the parser reports it, with its position
	}
	if err := b.chargePattern(pattern); err != nil {
		return apierr.BadData("%d: %s", item.Pos+1, err)
	}
	return nil
}

func (b *Budget) chargePattern(pattern string) error {
	if b.regexps++; b.regexps > maxRegexps {
		return apierr.BadData("too many regular expressions: at most %d are accepted", maxRegexps)
	}
	b.cost.Add(pattern)
	return b.checkCost()
}

func (b *Budget) checkCost() error {
	if !b.tooCostly() {
		return nil
	}
	return apierr.BadData("the regular expressions are too costly: shorten repetitions such as {1,1000}, nest fewer groups, and use fewer character classes beyond ASCII")
}

// ChargeSelectors draws what the enforced matchers add to so many selectors.
func (e *Enforcer) ChargeSelectors(n int, b *Budget) error {
	for _, m := range e.wanted {
		size := n * (len(m.Name) + len(m.Value))
		b.enforcedBytes += size
		if m.Type == labels.MatchRegexp || m.Type == labels.MatchNotRegexp {
			b.enforcedRegexps += size
			b.regexps += n
		}
	}
	if b.tooMuchEnforced() {
		return b.refuseEnforced()
	}
	return nil
}

// refuseEnforced names the budget that the enforced matchers ended.
func (b *Budget) refuseEnforced() error {
	const many = "the request has too many selectors for a token with this many tenants: "
	switch {
	case b.regexps > maxRegexps:
		return apierr.BadData(many+"with those that are added it has more than %d regular expressions; ask for fewer, or for one tenant", maxRegexps)
	case b.enforcedRegexps > maxEnforcedRegexps:
		return apierr.BadData(many+"the regular expressions that are added have more than %d bytes; ask for fewer, or for one tenant", maxEnforcedRegexps)
	default:
		return apierr.BadData(many+"the matchers that are added have more than %d bytes; ask for fewer, or for one tenant", maxEnforcedBytes)
	}
}

// chargeMatching bounds what it costs to run a caller's regexp over the values of
// an enforced label.
func (b *Budget) chargeMatching(o *labels.Matcher, values []string) error {
	if o.Type != labels.MatchRegexp && o.Type != labels.MatchNotRegexp {
		return nil
	}
	length := len(values) - 1 // with bars between them
	for _, v := range values {
		length += len(v)
	}
	if b.matching += regexcost.Size(o.Value) * max(length, 0); b.matching > maxMatching {
		return apierr.BadData("the regular expressions on %s are too costly for a token with tenants this many and long", o.Name)
	}
	return nil
}

// NewMatcher makes a matcher that did not come as PromQL, after it was charged:
// compiling a regular expression is where a short text costs seconds.
func (b *Budget) NewMatcher(kind labels.MatchType, name, value string) (*labels.Matcher, error) {
	if err := b.ChargeText(name, value); err != nil {
		return nil, err
	}
	if kind == labels.MatchRegexp || kind == labels.MatchNotRegexp {
		if err := b.chargePattern(value); err != nil {
			return nil, err
		}
	}
	m, err := labels.NewMatcher(kind, name, value)
	if err != nil {
		return nil, apierr.BadData("a matcher's regular expression is not valid: %s", err)
	}
	return m, nil
}

// ChargeText counts the bytes of texts that did not come as PromQL.
func (b *Budget) ChargeText(texts ...string) error {
	for _, s := range texts {
		b.bytes += len(s)
	}
	if b.bytes > b.limits.QueryBytes {
		return apierr.BadData("the matchers are too long: at most %d bytes are accepted (limits.max_query_bytes)", b.limits.QueryBytes).OverLimit("max_query_bytes")
	}
	return nil
}

// ChargeTerm counts one matcher, or one name of a grouping, that did not come as PromQL.
func (b *Budget) ChargeTerm() error {
	if b.terms++; b.terms > b.limits.QueryTerms {
		return apierr.BadData("the request has too many matchers and names: at most %d are accepted (limits.max_query_terms)", b.limits.QueryTerms).OverLimit("max_query_terms")
	}
	return nil
}
