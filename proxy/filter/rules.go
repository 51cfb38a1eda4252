package filter

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Rules shows the rules whose own labels match the label policy, and of those that
// lack an enforced label what ruleStanding lets be seen. Groups appear only around visible rules, and paging is
// done here, after filtering: the upstream's pages and tokens speak of
// everybody's groups.
func (v View) Rules(dst io.Writer, src io.Reader) error {
	a, err := newAnswer(dst, src, v)
	if err != nil {
		return err
	}
	page, err := newRulesPage(v.Params)
	if err != nil {
		return err
	}
	exclude, err := excludeAlerts(v.Params)
	if err != nil {
		return err
	}
	f := &rulesFilter{answer: a, page: page, excludeAlerts: exclude}
	return a.filter(f.data)
}

type rulesFilter struct {
	*answer
	page          rulesPage
	excludeAlerts bool

	groups int  // written so far
	fields hold // of the current group, not yet written: `"name":…,"name":…,`

	// Scratch of one rule.
	members, alert []member
	alerts         []jsontext.Value
}

func (f *rulesFilter) data() error {
	f.write(`{`)
	found := false
	err := f.object(func(name string) error {
		switch name {
		case "groups":
			found = true
			f.write(`"groups":`)
			return f.copyGroups()
		case "groupNextToken":
			// Never asked for: a page would be taken for the whole.
			if token, whole, err := f.text(maxName); err != nil || !whole || len(token) > 0 {
				return badAnswer("it is a page of groups although the whole was asked for")
			}
			return nil
		default:
			return f.value()
		}
	})
	if err == nil && !found {
		err = badAnswer("its data lacks groups")
	}
	if err != nil {
		return err
	}
	if f.page.next != "" {
		f.write(`,"groupNextToken":"` + f.page.next + `"`)
	}
	f.write(`}`)
	return f.page.missing()
}

func (f *rulesFilter) copyGroups() error {
	if isNull, err := f.null(); isNull || err != nil {
		f.write(`null`)
		return err
	}
	f.write(`[`)
	err := f.array(f.group)
	f.write(`]`)
	return err
}

// A ruleGroup is what is known of the group that is being read.
type ruleGroup struct {
	name, file       string
	hasName, hasFile bool
	decided, visible bool    // by the first visible rule
	rules            int     // written so far
	strange          bool    // a field is no scalar
	timed            bool    // the upstream tells an evaluationTime
	seconds          float64 // the sum of the visible rules' evaluation times
}

// group copies a group's visible rules and its own fields. Of these only the
// named pass, as scalars. Fields before the rules wait in f.fields until the
// first visible rule, the others until the group's end.
func (f *rulesFilter) group() error {
	if f.page.next != "" {
		return f.value() // the page is full
	}
	g := &ruleGroup{}
	f.fields = hold{bytes: f.fields.bytes[:0]}
	err := f.object(func(name string) error {
		switch name {
		case "rules":
			return f.rules(g)
		case "evaluationTime":
			g.timed = true
			return f.value()
		case "name", "file", "interval", "limit", "lastEvaluation", "partialResponseStrategy":
			return f.field(g, name)
		default:
			return f.value()
		}
	})
	if err == nil && g.visible {
		err = f.checkFields(g)
	}
	if err != nil || !g.visible {
		return err
	}
	if g.timed {
		// The group's own time tells of rules that are not shown. The sum does
		// not, and it is there whether or not something was hidden.
		f.fields.bytes = append(f.fields.bytes, `"evaluationTime":`...)
		f.fields.bytes = append(appendSeconds(f.fields.bytes, g.seconds), ',')
	}
	if fields := f.fields.bytes; len(fields) > 0 {
		f.write(`,`)
		f.writeBytes(fields[:len(fields)-1])
	}
	f.write(`}`)
	return nil
}

// field reads a field of a group that may turn out to hold nothing visible: only
// if it does is a strange field a failure.
func (f *rulesFilter) field(g *ruleGroup, name string) error {
	f.fields.add([]byte(`"` + name + `":`))
	err := f.keeping(&f.fields, func() error {
		c, err := f.peek()
		if c != '"' || err != nil {
			g.strange = g.strange || c == '{' || c == '['
			return f.value()
		}
		text, whole, err := f.text(maxName)
		switch name {
		case "name":
			g.name, g.hasName = string(text), whole
		case "file":
			g.file, g.hasFile = string(text), whole
		}
		return err
	})
	f.fields.add([]byte{','})
	return err
}

// checkFields refuses what was read of a visible group's fields and is not yet
// written, if it is not what a group has.
func (f *rulesFilter) checkFields(g *ruleGroup) error {
	if f.fields.over {
		return oversized("the rule group %q without its rules", clipTitle([]byte(g.name)))
	}
	fields := f.fields.bytes
	if !utf8.Valid(fields) {
		fields = bytes.ToValidUTF8(fields, []byte("\uFFFD"))
		f.fields.bytes = fields
	}
	object := slices.Concat([]byte{'{'}, bytes.TrimSuffix(fields, []byte{','}), []byte{'}'})
	if g.strange || !jsontext.Value(object).IsValid() {
		return badAnswer("a group's field is not a scalar, or not strict JSON")
	}
	return nil
}

func (f *rulesFilter) rules(g *ruleGroup) error {
	if isNull, err := f.null(); isNull || err != nil {
		return err
	}
	k := kind{labels: "labels", rule: true, noun: fmt.Sprintf("in the group %q the rule", clipTitle([]byte(g.name))), title: "name"}
	err := f.array(func() error {
		if g.decided && !g.visible {
			return f.value() // on another page
		}
		raw, err := f.read(k, f.readPart)
		if err != nil || raw == nil {
			return err
		}
		return f.rule(g, raw)
	})
	if g.visible {
		f.write(`]`)
	}
	return err
}

// rule writes a rule when it is visible.
func (f *rulesFilter) rule(g *ruleGroup, raw jsontext.Value) error {
	members, err := f.split(f.members[:0], raw)
	if err != nil {
		return err
	}
	f.members = members
	states, err := f.statesOf(find(members, "labels"))
	if err != nil {
		return err
	}
	s := f.ruleStanding(states)
	if s == hidden {
		return nil
	}
	if err := f.begin(g); err != nil || !g.visible {
		return err
	}
	f.comma(g.rules)
	g.rules++
	alerts := find(members, "alerts")
	if s == partly {
		return f.writePart(alerts)
	}
	g.seconds += seconds(find(members, "evaluationTime"))
	return f.writeWhole(raw, alerts)
}

// begin opens the group before its first visible rule, if it is on the page.
func (f *rulesFilter) begin(g *ruleGroup) error {
	if g.decided {
		return nil
	}
	g.decided = true
	if f.page.limit > 0 && (!g.hasName || !g.hasFile) {
		return badAnswer("a group tells its name and file only after its rules: its page is unknown")
	}
	if g.visible = f.page.admit(g.file, g.name); !g.visible {
		return nil
	}
	if err := f.checkFields(g); err != nil {
		return err
	}
	f.comma(f.groups)
	f.groups++
	f.write(`{`)
	f.writeBytes(f.fields.bytes)
	f.write(`"rules":[`)
	f.fields.bytes = f.fields.bytes[:0]
	return nil
}

func seconds(v jsontext.Value) float64 {
	if v == nil || v.Kind() != '0' {
		return 0
	}
	s, err := strconv.ParseFloat(string(v), 64)
	if err != nil {
		return 0 // beyond float64
	}
	return s
}

func appendSeconds(b []byte, s float64) []byte {
	if math.IsInf(s, 0) {
		s = 0 // JSON has no infinity
	}
	return strconv.AppendFloat(b, s, 'g', -1, 64)
}
