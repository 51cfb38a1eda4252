package proxy

import (
	"io"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// filterRules shows the rules whose own labels carry the name of one of the
// view's tenants and, with tenancy.shared_rules, what is the tenants' of rules
// without the label. Groups appear only around visible rules, and paging is
// done here, after filtering: the upstream's pages and tokens speak of
// everybody's groups.
func filterRules(dst io.Writer, src io.Reader, v view) error {
	a, err := newAnswer(dst, src, v)
	if err != nil {
		return err
	}
	page, err := newRulesPage(v.params)
	if err != nil {
		return err
	}
	exclude, err := excludeAlerts(v.params)
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

	groups int    // written so far
	fields []byte // of the current group, not yet written: `"name":…,"name":…,`

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
			if token, err := f.string(); err != nil || token != "" {
				return badAnswer("it is a page of groups although the whole was asked for")
			}
			return nil
		default:
			return f.skip()
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
	timed            bool    // the upstream tells an evaluationTime
	seconds          float64 // the sum of the visible rules' evaluation times
}

// group copies a group's visible rules and its own fields. Of these only the
// named pass, as scalars. Fields before the rules wait in f.fields until the
// first visible rule, the others until the group's end.
func (f *rulesFilter) group() error {
	if f.page.next != "" {
		return f.skip() // the page is full
	}
	g := &ruleGroup{}
	f.fields = f.fields[:0]
	err := f.object(func(name string) error {
		switch name {
		case "rules":
			return f.rules(g)
		case "evaluationTime":
			g.timed = true
			return f.skip()
		case "name", "file", "interval", "limit", "lastEvaluation", "partialResponseStrategy":
			return f.field(g, name)
		default:
			return f.skip()
		}
	})
	if err != nil || !g.visible {
		return err
	}
	if g.timed {
		// The group's own time tells of rules that are not shown. The sum does
		// not, and it is there whether or not something was hidden.
		f.fields = append(f.fields, `"evaluationTime":`...)
		f.fields = appendSeconds(f.fields, g.seconds)
		f.fields = append(f.fields, ',')
	}
	if n := len(f.fields); n > 0 {
		f.write(`,`)
		f.writeBytes(f.fields[:n-1])
	}
	f.write(`}`)
	return nil
}

func (f *rulesFilter) field(g *ruleGroup, name string) error {
	value, err := f.value()
	if err != nil {
		return err
	}
	switch value.Kind() {
	case '{', '[':
		return badAnswer("a group's field is not a scalar")
	case '"':
		text, err := f.unquote(value)
		if err != nil {
			return err
		}
		switch name {
		case "name":
			g.name, g.hasName = string(text), true
		case "file":
			g.file, g.hasFile = string(text), true
		}
	}
	if len(f.fields)+len(value) > maxElement {
		return badAnswer("a group's fields are larger than %d bytes", maxElement)
	}
	f.fields = append(append(append(f.fields, '"'), name...), '"', ':')
	f.fields = append(append(f.fields, value...), ',')
	return nil
}

func (f *rulesFilter) rules(g *ruleGroup) error {
	if isNull, err := f.null(); isNull || err != nil {
		return err
	}
	err := f.array(func() error {
		if g.decided && !g.visible {
			return f.skip() // on another page
		}
		raw, err := f.element("labels", f.shows, f.alertsOfShared)
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

func (f *rulesFilter) shows(whose owner) bool {
	return whose == own || whose == nobodys && f.view.sharedRules
}

// rule writes a rule when it is visible.
func (f *rulesFilter) rule(g *ruleGroup, raw jsontext.Value) error {
	members, err := f.split(f.members[:0], raw)
	if err != nil {
		return err
	}
	f.members = members
	whose, err := f.owner(find(members, "labels"))
	if err != nil || !f.shows(whose) {
		return err
	}
	if err := f.begin(g); err != nil || !g.visible {
		return err
	}
	f.comma(g.rules)
	g.rules++
	alerts := find(members, "alerts")
	if whose == nobodys {
		return f.sharedRule(alerts)
	}
	g.seconds += seconds(find(members, "evaluationTime"))
	return f.ownRule(raw, alerts)
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
	f.comma(f.groups)
	f.groups++
	f.write(`{`)
	f.writeBytes(f.fields)
	f.write(`"rules":[`)
	f.fields = f.fields[:0]
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
