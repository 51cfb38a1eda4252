package promql

import (
	"errors"
	"fmt"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/promfence/promfence/proxy/apierr"
)

// A walker visits every node of an expression once.
type walker struct {
	selector func(*parser.VectorSelector) error         // gets every selector, wherever it stands
	measure  func(node parser.Node, path []parser.Node) // gets every node, and those above it; nil = nothing does
}

// eachSelector visits every selector that an expression holds: in an aggregation's
// parameter as well as in its argument.
func eachSelector(expr parser.Expr, visit func(*parser.VectorSelector) error) error {
	return parser.Walk(&walker{selector: visit}, expr, nil)
}

// Visit decides on every node before its children are asked for: a node that is
// not in this list is refused, not passed over.
func (w *walker) Visit(node parser.Node, path []parser.Node) (parser.Visitor, error) {
	if w.measure != nil && node != nil {
		w.measure(node, path)
	}
	switch n := node.(type) {
	case nil: // the end of a node's children
	case *parser.VectorSelector:
		return w, w.selector(n)
	case *parser.Call:
		if n.Func.Name == "info" {
			return nil, apierr.BadData("%d: info() is not available through promfence, because it reads series that the query does not name: "+
				"join them instead, as in … * on (job, instance) group_left (version) target_info", n.PosRange.Start+1)
		}
	case *parser.MatrixSelector:
		if _, ok := n.VectorSelector.(*parser.VectorSelector); !ok {
			return nil, apierr.Internal(fmt.Errorf("%w: a range over a %T", ErrVerify, n.VectorSelector))
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
		return nil, apierr.Internal(fmt.Errorf("%w: unknown node %T", ErrVerify, node))
	}
	return w, nil
}

// printable refuses the label names that the parser takes in quotes only, and
// prints without.
func printable(names []string) error {
	for _, name := range names {
		switch strings.ToLower(name) {
		case "inf", "nan", "without":
			return apierr.BadData("the label name %q is not accepted in by, without, on, ignoring, group_left and group_right", name)
		}
	}
	return nil
}
