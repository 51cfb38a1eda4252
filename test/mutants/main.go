// Mutants takes the guards of promfence out, one at a time, and asks the tests
// beside each guard whether they notice.
//
// It answers one question: is every check that keeps tenants apart held by a test
// in its own package? The lists name a few hundred edits that weaken a guard, each
// with the one test that must fail with it. A guard that can go without a test
// noticing ends the run with an error; so does an edit whose old text is gone, so
// that whoever moves a guard moves its mutant along.
//
// All mutants of a package are compiled into one test binary (see weave), where a
// variable of the environment switches one of them on.
//
//	go run ./mutants                   all lists
//	go run ./mutants proxy/promql auth these packages
//	go run ./mutants -run 'exp|nbf'    mutants whose name matches
//	go run ./mutants -check            whether each has its place in the code, at once
//	go run ./mutants -find             names the tests that notice those without one
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	root := flag.String("root", "..", "the `folder` of the module whose guards are taken out")
	lists := flag.String("lists", "mutants/lists", "the `folder` of the lists")
	only := flag.String("run", "", "only mutants whose name matches this `regexp`")
	find := flag.Bool("find", false, "look for the tests that notice the mutants for which the lists name none")
	check := flag.Bool("check", false, "only look whether every mutant has its place in the code")
	skip := flag.String("skip", "", "tests, as a `regexp`, that -find does not try")
	flag.Parse()
	h := &house{root: *root, out: os.Stdout, find: *find, skip: *skip, check: *check}
	err := h.run(ctx, *lists, *only, flag.Args())
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAIL mutants:", err)
		os.Exit(1)
	}
}

// A tally counts mutants by what became of them.
type tally struct{ noticed, survived, equivalent, broken int }

func (t *tally) add(o tally) {
	t.noticed += o.noticed
	t.survived += o.survived
	t.equivalent += o.equivalent
	t.broken += o.broken
}

// run tries the mutants of some packages, or of all, whose name matches.
func (h *house) run(ctx context.Context, folder, only string, packages []string) error {
	begin := time.Now()
	name, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	all, err := readLists(folder)
	if err != nil {
		return err
	}
	if len(packages) > 0 {
		all = slices.DeleteFunc(all, func(l list) bool { return !slices.Contains(packages, l.pkg) })
	}
	if len(all) == 0 {
		return errors.New("no list for that")
	}
	if h.temp, err = os.MkdirTemp("", "promfence-mutants-"); err != nil {
		return err
	}
	defer os.RemoveAll(h.temp)
	var sum tally
	for _, l := range all {
		l.mutants = slices.DeleteFunc(l.mutants, func(m *mutant) bool { return !name.MatchString(m.name) })
		t, err := h.try(ctx, l)
		if err != nil {
			return fmt.Errorf("%s: %w", l.pkg, err)
		}
		sum.add(t)
	}
	total := sum.noticed + sum.survived + sum.equivalent + sum.broken
	h.say("%d mutants in %d packages: %d noticed, %d equivalent, %d survived, %d not to be tried, in %s",
		total, len(all), sum.noticed, sum.equivalent, sum.survived, sum.broken, time.Since(begin).Round(time.Second))
	if sum.survived+sum.broken > 0 {
		return errors.New("a guard is not held by the test that should notice, or its mutant does not fit the code any more")
	}
	h.say("ok  \tmutants\t%.3fs", time.Since(begin).Seconds())
	return nil
}
