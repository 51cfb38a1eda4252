package promql

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
)

// spell prints an expression as its String method does, from the parser's own
// pieces, in one buffer: String builds a new text at every level, which is
// quadratic on a+a+a+….
func spell(b *strings.Builder, expr parser.Expr) {
	switch e := expr.(type) {
	case *parser.AggregateExpr:
		b.WriteString(e.ShortString())
		b.WriteByte('(')
		if e.Op.IsAggregatorWithParam() {
			spell(b, e.Param)
			b.WriteString(", ")
		}
		spell(b, e.Expr)
		b.WriteByte(')')
	case *parser.BinaryExpr:
		if n, ok := e.LHS.(*parser.NumberLiteral); ok && e.Op == parser.POW && math.IsInf(n.Val, 1) {
			b.WriteString("Inf") // +Inf ^ 2 is +(Inf ^ 2)
		} else {
			spell(b, e.LHS)
		}
		b.WriteByte(' ')
		b.WriteString(e.ShortString())
		b.WriteByte(' ')
		spell(b, e.RHS)
	case *parser.Call:
		b.WriteString(e.ShortString())
		b.WriteByte('(')
		for i, arg := range e.Args {
			if i > 0 {
				b.WriteString(", ")
			}
			spell(b, arg)
		}
		b.WriteByte(')')
	case *parser.ParenExpr:
		b.WriteByte('(')
		spell(b, e.Expr)
		b.WriteByte(')')
	case *parser.SubqueryExpr:
		spell(b, e.Expr)
		b.WriteString(e.ShortString())
	case *parser.UnaryExpr:
		b.WriteString(e.ShortString())
		spell(b, e.Expr)
	case *parser.NumberLiteral:
		spellNumber(b, e)
	default:
		b.WriteString(expr.String())
	}
}

// spellNumber prints a number as its String method does, except where that has
// hundreds of digits, or drops a millisecond of a duration.
func spellNumber(b *strings.Builder, n *parser.NumberLiteral) {
	switch size := math.Abs(n.Val); {
	case n.Duration:
		if math.Signbit(n.Val) {
			b.WriteByte('-')
		}
		b.WriteString(model.Duration(time.Duration(math.Round(size*1e3)) * time.Millisecond).String())
	case size > 1e21 && !math.IsInf(size, 0), size < 1e-7 && size > 0:
		b.WriteString(strconv.FormatFloat(n.Val, 'g', -1, 64))
	default:
		b.WriteString(n.String())
	}
}
