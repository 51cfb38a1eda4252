package policy_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/auth/policy"
)

// A world is all combinations of values of a few labels, the first of which is the
// tenant's. Every label has its values, the missing one and one that nobody names.
type world struct {
	labels   []string
	values   []string
	universe []string
}

// A region is a set of combinations of a world, by their numbers.
type region [2]uint64

func (r region) has(i int) bool    { return r[i/64]&(1<<(i%64)) != 0 }
func (r region) with(i int) region { r[i/64] |= 1 << (i % 64); return r }
func (r region) or(s region) region {
	return region{r[0] | s[0], r[1] | s[1]}
}

func newWorld(labels int, values ...string) world {
	w := world{values: values, universe: append([]string{"", "unnamed"}, values...)}
	for i := range labels {
		w.labels = append(w.labels, fmt.Sprintf("l%d", i))
	}
	if w.size() > 128 {
		panic("a region holds 128 combinations")
	}
	return w
}

func (w world) size() int {
	n := 1
	for range w.labels {
		n *= len(w.universe)
	}
	return n
}

// value is the value of a label in a combination.
func (w world) value(combination, label int) string {
	for range label {
		combination /= len(w.universe)
	}
	return w.universe[combination%len(w.universe)]
}

// region is what a box allows.
func (w world) region(box []policy.Matcher) (r region) {
	for i := range w.size() {
		allowed := true
		for _, m := range box {
			allowed = allowed && m.Allows(w.value(i, slices.Index(w.labels, m.Label)))
		}
		if allowed {
			r = r.with(i)
		}
	}
	return r
}

// product is the smallest conjunction around a region: all combinations of the
// values that its combinations have.
func (w world) product(r region) (out region) {
	has := make([]map[string]bool, len(w.labels))
	for l := range w.labels {
		has[l] = map[string]bool{}
		for i := range w.size() {
			if r.has(i) {
				has[l][w.value(i, l)] = true
			}
		}
	}
	for i := range w.size() {
		in := true
		for l := range w.labels {
			in = in && has[l][w.value(i, l)]
		}
		if in {
			out = out.with(i)
		}
	}
	return out
}

// matchers are all that a policy can grant of a label.
func (w world) matchers(label int) (all []policy.Matcher) {
	name := w.labels[label]
	all = append(all, policy.Matcher{Label: name, Negative: true, Missing: label > 0}) // any
	for subset := 1; subset < 1<<len(w.values); subset++ {
		var values []string
		for i, v := range w.values {
			if subset&(1<<i) != 0 {
				values = append(values, v)
			}
		}
		all = append(all, policy.Matcher{Label: name, Values: values})
		if label > 0 {
			all = append(all,
				policy.Matcher{Label: name, Values: values, Missing: true},
				policy.Matcher{Label: name, Negative: true, Values: values},
				policy.Matcher{Label: name, Negative: true, Values: values, Missing: true})
		}
	}
	return all
}

// boxes are all that a policy can grant.
func (w world) boxes() [][]policy.Matcher {
	all := [][]policy.Matcher{nil}
	for l := range w.labels {
		var longer [][]policy.Matcher
		for _, b := range all {
			for _, m := range w.matchers(l) {
				longer = append(longer, append(slices.Clone(b), m))
			}
		}
		all = longer
	}
	return all
}

// tally counts what a brute force saw, so that it cannot be all of one kind.
type tally struct{ sets, exact int }

// hold joins the boxes and compares with the set that they allow together.
func (w world) hold(t *testing.T, boxes [][]policy.Matcher, regions []region, count *tally) {
	t.Helper()
	var union region
	for _, r := range regions {
		union = union.or(r)
	}
	can := w.product(union) == union
	hull, err := policy.Join(boxes, 100)
	count.sets++
	switch {
	case err == nil && !can:
		t.Fatalf("too wide: %v joined to %v", boxes, hull)
	case err != nil && can:
		t.Fatalf("refused: %v: %v", boxes, err)
	case err == nil:
		count.exact++
		if w.region(hull) != union {
			t.Fatalf("%v joined to %v, which is something else", boxes, hull)
		}
	}
	for range min(2, len(boxes)-1) {
		boxes = append(boxes[1:len(boxes):len(boxes)], boxes[0])
		slices.Reverse(boxes[1:])
		turned, turnedErr := policy.Join(boxes, 100)
		if (turnedErr == nil) != (err == nil) || !cmp.Equal(turned, hull) {
			t.Fatalf("another order of %v gives %v and %v", boxes, hull, turned)
		}
	}
}

// allWorlds makes the brute force try every set of policies in the largest worlds as
// well, which takes minutes: go test ./auth/policy -run Small -args -all-worlds
var allWorlds = flag.Bool("all-worlds", false, "try every set of policies in the largest worlds, too, and not one of fifty or two hundred")

// Every set of up to four policies in small worlds, and of fewer in larger ones.
func TestTheJoinIsExactInEverySmallWorld(t *testing.T) {
	for _, tt := range []struct {
		world world
		most  int // policies in a set
		long  bool
	}{
		{newWorld(1, "a", "b", "c"), 4, false},
		{newWorld(2, "a"), 4, false},
		{newWorld(2, "a", "b"), 3, false},
		{newWorld(2, "a", "b", "c"), 2, false},
		{newWorld(3, "a"), 3, false},
		{newWorld(2, "a", "b"), 4, true},
		{newWorld(2, "a", "b", "c"), 3, true},
		{newWorld(3, "a"), 4, true},
		{newWorld(3, "a", "b"), 2, true},
	} {
		w := tt.world
		t.Run(fmt.Sprintf("%d labels %d values %d policies", len(w.labels), len(w.values), tt.most), func(t *testing.T) {
			stride := 1
			switch {
			case *allWorlds:
			case tt.long && len(w.boxes()) > 200:
				stride = 199
			case tt.long:
				stride = 50
			case testing.Short() && len(w.boxes()) > 20:
				stride = 10
			}
			boxes := w.boxes()
			regions := make([]region, len(boxes))
			for i, b := range boxes {
				regions[i] = w.region(b)
			}
			var count tally
			next := 0
			var sets func(from int, chosen [][]policy.Matcher, of []region)
			sets = func(from int, chosen [][]policy.Matcher, of []region) {
				if next++; next%stride == 0 && len(chosen) > 0 {
					w.hold(t, slices.Clone(chosen), of, &count)
				}
				if len(chosen) == tt.most {
					return
				}
				for i := from; i < len(boxes); i++ {
					sets(i+1, append(chosen, boxes[i]), append(of, regions[i]))
				}
			}
			sets(0, nil, nil)
			t.Logf("%d policies, %d of %d sets tried, %d of them joined", len(boxes), count.sets, next-1, count.exact)
			if count.exact == 0 || count.exact == count.sets && len(w.labels) > 1 {
				t.Errorf("%d of %d sets joined: the comparison shows nothing", count.exact, count.sets)
			}
		})
	}
}

// Random sets of up to four policies in the largest of the small worlds. Half of them
// are cut out of one conjunction, because random ones can hardly ever be joined.
func TestTheJoinIsExactInRandomWorlds(t *testing.T) {
	w := newWorld(3, "a", "b", "c")
	rounds := 20_000
	if testing.Short() {
		rounds = 3_000
	}
	random := rand.New(rand.NewPCG(1, 2))
	matchers := [][]policy.Matcher{w.matchers(0), w.matchers(1), w.matchers(2)}
	var count tally
	for round := range rounds {
		var boxes [][]policy.Matcher
		fixed := random.IntN(8) // a bit for each label on which all agree
		for range 1 + random.IntN(4) {
			var b []policy.Matcher
			for l := range w.labels {
				if len(boxes) > 0 && round%2 == 0 && fixed&(1<<l) != 0 {
					b = append(b, boxes[0][l])
				} else {
					b = append(b, matchers[l][random.IntN(len(matchers[l]))])
				}
			}
			boxes = append(boxes, b)
		}
		regions := make([]region, len(boxes))
		for i, b := range boxes {
			regions[i] = w.region(b)
		}
		w.hold(t, boxes, regions, &count)
	}
	t.Logf("%d sets, %d of them joined", count.sets, count.exact)
	if count.exact < rounds/10 || count.exact > rounds*9/10 {
		t.Errorf("%d of %d sets joined: the comparison shows nothing", count.exact, count.sets)
	}
}

// Random sets of up to twelve policies over four labels with six values each, against
// the set of all combinations.
func TestTheJoinIsExactForManyPolicies(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	rounds := 400
	if testing.Short() {
		rounds = 60
	}
	joined := 0
	for range rounds {
		boxes := randomBoxes(random)
		hull, err := policy.Join(boxes, 100)
		union, wide := 0, 0
		has := map[[2]string]bool{} // label and value of what the union holds
		var in [][]string
		everyCombination(func(values []string) {
			if !slices.ContainsFunc(boxes, func(b []policy.Matcher) bool { return allows(b, values) }) {
				if err == nil && allows(hull, values) {
					wide++
				}
				return
			}
			if union++; err == nil && !allows(hull, values) {
				t.Fatalf("%v joined to %v, which is narrower", boxes, hull)
			}
			for i, v := range values {
				has[[2]string{worldLabels[i], v}] = true
			}
			in = append(in, slices.Clone(values))
		})
		product := 1
		for _, l := range worldLabels {
			n := 0
			for _, v := range worldValues {
				if has[[2]string{l, v}] {
					n++
				}
			}
			product *= n
		}
		if wide > 0 || (err == nil) != (product == len(in)) {
			t.Fatalf("%v joined to %v, %v: %d combinations too many, %d of %d in the product", boxes, hull, err, wide, len(in), product)
		}
		if err == nil {
			joined++
		}
		random.Shuffle(len(boxes), func(i, j int) { boxes[i], boxes[j] = boxes[j], boxes[i] })
		if again, againErr := policy.Join(boxes, 100); (againErr == nil) != (err == nil) || !cmp.Equal(again, hull) {
			t.Fatalf("another order of %v gives %v and %v", boxes, hull, again)
		}
	}
	t.Logf("%d sets, %d of them joined", rounds, joined)
	if joined < rounds/10 || joined > rounds*9/10 {
		t.Errorf("%d of %d sets joined: the comparison shows nothing", joined, rounds)
	}
}

var (
	worldLabels = []string{"l0", "l1", "l2", "l3"}
	worldValues = []string{"", "unnamed", "a", "b", "c", "d", "e", "f"}
)

// randomBoxes cuts one conjunction into random pieces, of which it may lose one.
func randomBoxes(random *rand.Rand) [][]policy.Matcher {
	var whole []policy.Matcher
	for i, l := range worldLabels {
		m := policy.Matcher{Label: l, Negative: random.IntN(2) == 0, Missing: i > 0 && random.IntN(2) == 0}
		for _, v := range worldValues[2:] {
			if random.IntN(2) == 0 {
				m.Values = append(m.Values, v)
			}
		}
		if len(m.Values) == 0 {
			m.Values = []string{"a"}
		}
		whole = append(whole, m)
	}
	boxes := [][]policy.Matcher{whole}
	for range random.IntN(11) {
		i, l := random.IntN(len(boxes)), random.IntN(len(worldLabels))
		with, without := cut(boxes[i], l, random)
		if with != nil {
			boxes[i] = with
			boxes = append(boxes, without)
		}
	}
	if len(boxes) > 1 && random.IntN(2) == 0 {
		boxes = boxes[1:]
	}
	return boxes
}

// cut divides a box by the values of one label; nil if there is but one.
func cut(box []policy.Matcher, label int, random *rand.Rand) (with, without []policy.Matcher) {
	m := box[label]
	var listed, rest []string
	for _, v := range worldValues[2:] {
		switch {
		case !m.Allows(v):
		case random.IntN(2) == 0:
			listed = append(listed, v)
		default:
			rest = append(rest, v)
		}
	}
	if len(listed) == 0 || len(rest) == 0 {
		return nil, nil
	}
	with, without = slices.Clone(box), slices.Clone(box)
	with[label] = policy.Matcher{Label: m.Label, Values: listed}
	without[label] = policy.Matcher{Label: m.Label, Values: rest, Missing: m.Missing}
	if m.Negative {
		without[label].Negative, without[label].Values = true, append(slices.Clone(m.Values), listed...)
		slices.Sort(without[label].Values)
	}
	return with, without
}

func everyCombination(f func(values []string)) {
	values := make([]string, len(worldLabels))
	for n := range len(worldValues) * len(worldValues) * len(worldValues) * len(worldValues) {
		for i := range values {
			values[i] = worldValues[n%len(worldValues)]
			n /= len(worldValues)
		}
		f(values)
	}
}

func allows(box []policy.Matcher, values []string) bool {
	return !slices.ContainsFunc(box, func(m policy.Matcher) bool {
		return !m.Allows(values[slices.Index(worldLabels, m.Label)])
	})
}

func one(label string, values ...string) policy.Matcher {
	return policy.Matcher{Label: label, Values: values}
}

func allBut(label string, values ...string) policy.Matcher {
	return policy.Matcher{Label: label, Negative: true, Values: values}
}

// Each rule of the join, by an example that only this rule decides.
func TestJoin(t *testing.T) {
	orNone := func(m policy.Matcher) policy.Matcher { m.Missing = true; return m }
	type boxes = [][]policy.Matcher
	for _, tt := range []struct {
		name  string
		boxes boxes
		want  []policy.Matcher // nil: refused
	}{
		{"one policy", boxes{{one("t", "a"), one("r", "x")}}, []policy.Matcher{one("r", "x"), one("t", "a")}},
		{"the same twice", boxes{{one("t", "a")}, {one("t", "a")}}, []policy.Matcher{one("t", "a")}},
		{"tenants add up", boxes{{one("t", "a")}, {one("t", "b")}}, []policy.Matcher{one("t", "a", "b")}},
		{"pairs do not", boxes{{one("t", "a"), one("r", "x")}, {one("t", "b"), one("r", "y")}}, nil},
		{"one inside of the other", boxes{{one("t", "a"), one("r", "x")}, {one("t", "a", "b")}}, []policy.Matcher{one("t", "a", "b")}},
		{"all pairs, one by one", boxes{
			{one("t", "a"), one("r", "x")}, {one("t", "a"), one("r", "y")}, {one("t", "b"), one("r", "x")}, {one("t", "b"), one("r", "y")},
		}, []policy.Matcher{one("r", "x", "y"), one("t", "a", "b")}},
		{"all pairs but one", boxes{
			{one("t", "a"), one("r", "x")}, {one("t", "a"), one("r", "y")}, {one("t", "b"), one("r", "x")},
		}, nil},
		{"excluded is what both exclude", boxes{{one("t", "a"), allBut("r", "x", "y")}, {one("t", "a"), allBut("r", "y", "z")}}, []policy.Matcher{allBut("r", "y"), one("t", "a")}},
		{"a listed value is no longer excluded", boxes{{one("t", "a"), allBut("r", "x", "y")}, {one("t", "a"), one("r", "x")}}, []policy.Matcher{allBut("r", "y"), one("t", "a")}},
		{"missing in one is missing in all", boxes{{one("t", "a"), one("r", "x")}, {one("t", "a"), orNone(one("r", "y"))}}, []policy.Matcher{orNone(one("r", "x", "y")), one("t", "a")}},
		{"missing is a value of its own", boxes{{one("t", "a"), orNone(one("r", "x"))}, {one("t", "b"), one("r", "x")}}, nil},
		{"what nobody names is a value of its own", boxes{{one("t", "a"), orNone(allBut("r"))}, {one("t", "b"), orNone(one("r", "x"))}}, nil},
		{"one value against all but it", boxes{{one("t", "a"), one("r", "x")}, {one("t", "b"), allBut("r", "x")}}, nil},
		{"the halves of a label", boxes{{one("t", "a"), one("r", "x")}, {one("t", "a"), orNone(allBut("r", "x"))}}, []policy.Matcher{one("t", "a")}},
		{"all tenants and one", boxes{{allBut("t")}, {one("t", "a")}}, []policy.Matcher{allBut("t")}},
		{"all tenants in one region, one in all", boxes{{allBut("t"), one("r", "x")}, {one("t", "a")}}, nil},
		{"three that overlap and leave a hole", boxes{
			{one("t", "a", "b"), one("r", "x")}, {one("t", "a"), one("r", "x", "y")}, {one("t", "b"), one("r", "y"), one("s", "1")},
		}, nil},
		{"three that overlap and leave none", boxes{
			{one("t", "a", "b"), one("r", "x")}, {one("t", "a"), one("r", "x", "y")}, {one("t", "b"), one("r", "y")},
		}, []policy.Matcher{one("r", "x", "y"), one("t", "a", "b")}},
		{"the same boxes are left before two labels, and only one of them has no hole", boxes{
			{one("a", "1"), orNone(allBut("c", "1")), one("e", "1")},
			{orNone(allBut("a", "1")), orNone(allBut("b", "1")), orNone(allBut("c", "1")), orNone(allBut("d", "1"))},
			{one("b", "1"), orNone(allBut("d", "1"))},
			{orNone(allBut("b", "1")), one("d", "1")},
			{one("c", "1"), one("d", "1"), one("e", "1")},
			{one("c", "1"), one("e", "1")},
			{orNone(allBut("e", "1"))},
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := policy.Join(tt.boxes, 100)
			if (err != nil) != (tt.want == nil) {
				t.Fatalf("got %v, %v", got, err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("hull (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAJoinThatListsTooMuchIsRefused(t *testing.T) {
	for _, boxes := range [][][]policy.Matcher{
		{{one("t", "a", "b", "c")}},
		{{one("t", "a")}, {one("t", "b")}, {one("t", "c")}},
		{{one("t", "a"), allBut("r", "x", "y", "z")}},
	} {
		if got, err := policy.Join(boxes, 2); err == nil {
			t.Errorf("%v joined to %v", boxes, got)
		}
		if _, err := policy.Join(boxes, 3); err != nil {
			t.Errorf("%v: %v", boxes, err)
		}
	}
}

// Random policies with three labels each out of forty, which together allow every
// combination: to find that out takes long, as for every such problem.
func TestAJoinThatTakesTooManyStepsIsRefused(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var boxes [][]policy.Matcher
	for range 400 {
		var b []policy.Matcher
		for _, l := range random.Perm(40)[:3] {
			m := one(fmt.Sprint("l", l), "a")
			m.Negative = random.IntN(2) == 0
			m.Missing = m.Negative
			b = append(b, m)
		}
		boxes = append(boxes, b)
	}
	if steps := policy.JoinSteps(boxes); steps <= policy.MaxJoinSteps {
		t.Fatalf("%d steps: the example is too easy", steps)
	}
	if hull, err := policy.Join(boxes, 100); err == nil {
		t.Errorf("joined to %v", hull)
	}
	boxes = append(boxes, nil) // one policy that allows everything: seen at once
	if _, err := policy.Join(boxes, 100); err != nil {
		t.Error(err)
	}
}
