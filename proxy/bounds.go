package proxy

import (
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/strutil"

	"github.com/promfence/promfence/proxy/promql/regexcost"
)

// Bounds that no setting changes. Real expressions stay far below them: of 5,000
// tried the largest had 15 regexps.
const (
	maxSelectors     = 100       // match[] parameters of one request
	maxRegexps       = 500       // regexp matchers of one request, those of several tenants included
	maxEnforcedBytes = 512 << 10 // selectors × length of the enforced matcher
	maxTenantRegexps = 64 << 10  // the same for several tenants: each selector's is compiled
	maxMatching      = 8 << 20   // size of regexps × length of the names they are run over
	termsPerPower    = 2         // of a number with an exponent: the smallest take long to read
	termsPerSize     = 150       // terms × terms, which a chain of operators costs, as a part of regexcost.Max
)

// Limits bound what one request may cost. The first four hold before a recursive
// parser sees it, and must be positive; of the others 0 is no limit.
type Limits struct {
	QueryBytes int   // all PromQL of a request, in bytes
	QueryDepth int   // open brackets of all kinds
	QueryTerms int   // operators, commas, opening brackets and identifiers
	BodyBytes  int64 // a request's body

	MaxRange  time.Duration // how much time a query may read
	MaxPoints int           // evaluations of one query, or of a subquery in it

	// For each set of tenants by itself.
	RequestsPerSecond  int
	Burst              int // 0 = RequestsPerSecond
	ConcurrentRequests int
}

// A budget is what is left of a request's bounds; every expression and selector
// of the request draws on the same one.
type budget struct {
	limits Limits
	charges
	matching int // what it costs to run regexps: not kept, a cached query runs none
}

// charges are what was drawn on a budget.
type charges struct {
	bytes   int
	terms   int
	regexps int
	cost    regexcost.Cost
	matcher int // bytes of enforced matchers
	reach   reach
}

// tooCostly bounds what takes the parser and the compiler longer than its length.
func (c charges) tooCostly() bool {
	return int(c.cost)+min(c.terms*c.terms/termsPerSize, regexcost.Max/2) > regexcost.Max
}

func (c charges) minus(d charges) charges {
	return charges{c.bytes - d.bytes, c.terms - d.terms, c.regexps - d.regexps, c.cost - d.cost, c.matcher - d.matcher, c.reach.minus(d.reach)}
}

// take draws what is known beforehand of a text with m in it, if all of it fits.
func (b *budget) take(c charges, m *labels.Matcher) bool {
	sum := b.minus(charges{}.minus(c))
	if sum.bytes > b.limits.QueryBytes || sum.terms > b.limits.QueryTerms || sum.regexps > maxRegexps ||
		sum.tooCostly() || sum.matcher > mostEnforced(m) {
		return false
	}
	b.charges = sum
	return true
}

// charge scans a query with the lexer, which is linear and does not recurse,
// and refuses what would be dear to parse, to print, or to compile.
func (b *budget) charge(query string) error {
	if b.bytes += len(query); b.bytes > b.limits.QueryBytes {
		return overLimit("max_query_bytes", http.StatusBadRequest, "the query is too long: at most %d bytes are accepted (limits.max_query_bytes)", b.limits.QueryBytes)
	}
	lexer := parser.Lex(query)
	depth, regexpNext := 0, false
	for {
		var item parser.Item
		lexer.NextItem(&item)
		switch t := item.Typ; {
		case t == parser.ERROR:
			return nil // the parser's to report, with its position
		case t == parser.EOF:
			return b.checkCost()
		case t == parser.LEFT_PAREN || t == parser.LEFT_BRACE || t == parser.LEFT_BRACKET:
			b.terms++
			if depth++; depth > b.limits.QueryDepth {
				return overLimit("max_query_depth", http.StatusBadRequest, "%d: the query is nested too deeply: at most %d open brackets are accepted (limits.max_query_depth)", item.Pos+1, b.limits.QueryDepth)
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
			return overLimit("max_query_terms", http.StatusBadRequest, "%d: the query has too many terms: at most %d operators, commas, brackets and names are accepted (limits.max_query_terms)", item.Pos+1, b.limits.QueryTerms)
		}
		if item.Typ != parser.COMMENT {
			regexpNext = item.Typ == parser.EQL_REGEX || item.Typ == parser.NEQ_REGEX
		}
	}
}

func (b *budget) chargeRegexp(item parser.Item) error {
	pattern, err := strutil.Unquote(item.Val)
	if err != nil {
		return nil //nolint:nilerr // the parser reports it, with its position
	}
	if err := b.chargePattern(pattern); err != nil {
		return badData("%d: %s", item.Pos+1, err)
	}
	return nil
}

// chargeSelectors bounds what the enforced matcher adds: many selectors times
// many long tenant names.
func (b *budget) chargeSelectors(n int, m *labels.Matcher) error {
	if m.Type == labels.MatchRegexp {
		b.regexps += n
	}
	if b.matcher += n * (len(m.Name) + len(m.Value)); b.matcher > mostEnforced(m) || b.regexps > maxRegexps {
		return badData("the query has too many selectors for a token with this many tenants")
	}
	return nil
}

// mostEnforced bounds the bytes that m adds to a request.
func mostEnforced(m *labels.Matcher) int {
	if m.Type == labels.MatchRegexp {
		return maxTenantRegexps
	}
	return maxEnforcedBytes
}

// chargeMatching bounds what it costs to run a caller's regexp over the names of
// their tenants.
func (b *budget) chargeMatching(o *labels.Matcher, names string) error {
	if o.Type != labels.MatchRegexp && o.Type != labels.MatchNotRegexp {
		return nil
	}
	size := regexcost.Size(o.Value)
	if b.matching += size * len(names); b.matching > maxMatching {
		return badData("the regular expressions on %s are too costly for a token with tenants this many and long", o.Name)
	}
	return nil
}

// ParserModule is the module whose parser decides what is PromQL.
const ParserModule = "github.com/prometheus/prometheus"

// ParserVersion is its version, or "unknown" in a build that does not say.
var ParserVersion = sync.OnceValue(func() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == ParserModule {
				return dep.Version
			}
		}
	}
	return "unknown"
})
