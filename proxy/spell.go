package proxy

import (
	"strings"

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
		spell(b, e.LHS)
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
	default:
		b.WriteString(expr.String())
	}
}
