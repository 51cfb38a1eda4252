package promql

import (
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/promfence/promfence/proxy/apierr"
)

// maxDurationTerms bounds the expressions in place of durations that a query
// holds: to print one takes the square of its length.
const maxDurationTerms = 100

// A spelling is what an expression holds that the parser's printer may not spell as
// it was meant.
type spelling struct {
	durationTerms int  // of expressions in place of durations
	loose         bool // these, fractions of milliseconds, or values that fill gaps
}

// add looks at a node of a parsed query.
func (s *spelling) add(node parser.Node) {
	switch n := node.(type) {
	case *parser.VectorSelector:
		s.durations(n.OriginalOffset)
		s.expressions(n.OriginalOffsetExpr)
	case *parser.MatrixSelector:
		s.durations(n.Range)
		s.expressions(n.RangeExpr)
	case *parser.SubqueryExpr:
		s.durations(n.Range, n.Step, n.OriginalOffset)
		s.expressions(n.RangeExpr, n.StepExpr, n.OriginalOffsetExpr)
	case *parser.BinaryExpr:
		if m := n.VectorMatching; m != nil {
			s.loose = s.loose || m.FillValues.LHS != nil || m.FillValues.RHS != nil
		}
	}
}

func (s *spelling) durations(all ...time.Duration) {
	for _, d := range all {
		s.loose = s.loose || d%time.Millisecond != 0
	}
}

func (s *spelling) expressions(all ...*parser.DurationExpr) {
	for _, d := range all {
		if d != nil {
			s.durationTerms += durationTerms(d)
			s.loose = true
		}
	}
}

func durationTerms(e parser.Expr) int {
	if d, ok := e.(*parser.DurationExpr); ok && d != nil {
		return 1 + durationTerms(d.LHS) + durationTerms(d.RHS)
	}
	return 1
}

// refuse is the refusal of a query that was not spelled as it was meant.
func (s spelling) refuse(err error) error {
	if !s.loose {
		return apierr.Internal(err)
	}
	return apierr.BadData("the query cannot be narrowed exactly as it is written: write durations as whole milliseconds, in numbers with a unit, without arithmetic and brackets, and fill gaps with one value")
}
