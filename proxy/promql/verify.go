package promql

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// verified reports whether again, the tree of the printed text, says what meant, the
// tree that was printed, says, with each wanted matcher exactly once in every
// selector beside its original ones. It shares no code with what put the matchers in.
func verified(meant, again parser.Expr, wanted []*labels.Matcher, originals [][]*labels.Matcher) bool {
	v := verifier{wanted: wanted, originals: originals}
	return v.same(meant, again) && len(v.originals) == 0
}

type verifier struct {
	wanted    []*labels.Matcher
	originals [][]*labels.Matcher // of the selectors still to come, in order
}

// same reports whether b says what a says and each selector of b holds its
// original matchers and the wanted ones. Positions do not count, nor what the printer
// is known to drop: fractions of a millisecond in ranges and offsets, and unary plus
// in durations. A node type that is not listed is never the same.
func (v *verifier) same(a, b parser.Expr) bool {
	switch a := a.(type) {
	case *parser.VectorSelector:
		b, ok := b.(*parser.VectorSelector)
		return ok && v.sameSelector(a, b)
	case *parser.MatrixSelector:
		b, ok := b.(*parser.MatrixSelector)
		return ok && sameDuration(a.Range, b.Range) && sameDurationExpr(a.RangeExpr, b.RangeExpr) &&
			v.same(a.VectorSelector, b.VectorSelector)
	case *parser.SubqueryExpr:
		b, ok := b.(*parser.SubqueryExpr)
		return ok && sameSubquery(a, b) && v.same(a.Expr, b.Expr)
	case *parser.AggregateExpr:
		b, ok := b.(*parser.AggregateExpr)
		return ok && a.Op == b.Op && a.Without == b.Without && slices.Equal(a.Grouping, b.Grouping) &&
			v.same(a.Expr, b.Expr) && v.sameParam(a.Param, b.Param)
	case *parser.BinaryExpr:
		b, ok := b.(*parser.BinaryExpr)
		return ok && a.Op == b.Op && a.ReturnBool == b.ReturnBool && sameMatching(a.VectorMatching, b.VectorMatching) &&
			v.same(a.LHS, b.LHS) && v.same(a.RHS, b.RHS)
	case *parser.Call:
		b, ok := b.(*parser.Call)
		return ok && a.Func.Name == b.Func.Name && slices.EqualFunc(a.Args, b.Args, v.same)
	case *parser.ParenExpr:
		b, ok := b.(*parser.ParenExpr)
		return ok && v.same(a.Expr, b.Expr)
	case *parser.UnaryExpr:
		b, ok := b.(*parser.UnaryExpr)
		return ok && a.Op == b.Op && v.same(a.Expr, b.Expr)
	case *parser.StringLiteral:
		b, ok := b.(*parser.StringLiteral)
		return ok && a.Val == b.Val
	case *parser.NumberLiteral:
		b, ok := b.(*parser.NumberLiteral)
		return ok && sameNumber(a, b)
	}
	return false
}

func (v *verifier) sameParam(a, b parser.Expr) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return v.same(a, b)
}

func (v *verifier) sameSelector(a, b *parser.VectorSelector) bool {
	if len(v.originals) == 0 {
		return false
	}
	original := v.originals[0]
	v.originals = v.originals[1:]
	return a.Name == b.Name && a.Anchored == b.Anchored && a.Smoothed == b.Smoothed &&
		a.StartOrEnd == b.StartOrEnd && sameTimestamp(a.Timestamp, b.Timestamp) &&
		sameDuration(a.OriginalOffset, b.OriginalOffset) && sameDurationExpr(a.OriginalOffsetExpr, b.OriginalOffsetExpr) &&
		enforcedOnce(v.wanted, original, b.LabelMatchers)
}

// enforcedOnce reports whether got is the original matchers, without any that equals
// a wanted one, and the wanted ones: each as often as that makes it.
func enforcedOnce(wanted, original, got []*labels.Matcher) bool {
	const few = 8 // most selectors have no more: they need no allocation
	expected := make([]*labels.Matcher, 0, few)
	for _, m := range original {
		if !slices.ContainsFunc(wanted, func(w *labels.Matcher) bool { return sameMatcher(m, w) }) {
			expected = append(expected, m)
		}
	}
	expected = append(expected, wanted...)
	if len(expected) != len(got) {
		return false
	}
	got = append(make([]*labels.Matcher, 0, few), got...)
	slices.SortFunc(expected, compareMatchers)
	slices.SortFunc(got, compareMatchers)
	return slices.EqualFunc(expected, got, sameMatcher)
}

func compareMatchers(a, b *labels.Matcher) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Value, b.Value))
}

func sameMatcher(a, b *labels.Matcher) bool {
	return a.Name == b.Name && a.Type == b.Type && a.Value == b.Value
}

func sameSubquery(a, b *parser.SubqueryExpr) bool {
	return a.StartOrEnd == b.StartOrEnd && sameTimestamp(a.Timestamp, b.Timestamp) &&
		sameDuration(a.Range, b.Range) && sameDurationExpr(a.RangeExpr, b.RangeExpr) &&
		sameDuration(a.Step, b.Step) && sameDurationExpr(a.StepExpr, b.StepExpr) &&
		sameDuration(a.OriginalOffset, b.OriginalOffset) && sameDurationExpr(a.OriginalOffsetExpr, b.OriginalOffsetExpr)
}

func sameMatching(a, b *parser.VectorMatching) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a.Card == b.Card && a.On == b.On && slices.Equal(a.MatchingLabels, b.MatchingLabels) &&
		slices.Equal(a.Include, b.Include) &&
		sameFill(a.FillValues.LHS, b.FillValues.LHS) && sameFill(a.FillValues.RHS, b.FillValues.RHS)
}

func sameFill(a, b *float64) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return sameFloat(*a, *b)
}

// sameFloat tells -0 from 0; every NaN is the same, as PromQL has one spelling.
func sameFloat(a, b float64) bool {
	return math.Float64bits(a) == math.Float64bits(b) || math.IsNaN(a) && math.IsNaN(b)
}

func sameNumber(a, b *parser.NumberLiteral) bool {
	return a.Duration == b.Duration && sameFloat(a.Val, b.Val)
}

func sameTimestamp(a, b *int64) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return *a == *b
}

func sameDuration(a, b time.Duration) bool {
	return a.Truncate(time.Millisecond) == b.Truncate(time.Millisecond)
}

func sameDurationExpr(a, b *parser.DurationExpr) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return sameDurationOperand(a, b)
}

func sameDurationOperand(a, b parser.Expr) bool {
	a, b = withoutPlus(a), withoutPlus(b)
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	switch a := a.(type) {
	case *parser.NumberLiteral:
		b, ok := b.(*parser.NumberLiteral)
		return ok && sameNumber(a, b)
	case *parser.DurationExpr:
		b, ok := b.(*parser.DurationExpr)
		return ok && a.Op == b.Op && a.Wrapped == b.Wrapped &&
			sameDurationOperand(a.LHS, b.LHS) && sameDurationOperand(a.RHS, b.RHS)
	}
	return false
}

func withoutPlus(e parser.Expr) parser.Expr {
	for {
		d, ok := e.(*parser.DurationExpr)
		if !ok || d.Op != parser.ADD || d.LHS != nil || d.Wrapped {
			return e
		}
		e = d.RHS
	}
}
