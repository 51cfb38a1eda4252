package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testHouse is a module with a guard of every kind.
const testHouse = "testdata/house"

func TestMutantsOfEveryKindAreNoticed(t *testing.T) {
	var out strings.Builder
	if err := (&house{root: testHouse, out: &out}).run(t.Context(), "testdata/lists", "", nil); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if want := "10 mutants in 1 packages: 10 noticed, 0 equivalent, 0 survived, 0 not to be tried"; !strings.Contains(out.String(), want) {
		t.Errorf("it says\n%s\nwant %q", out.String(), want)
	}
}

func TestAMutantThatDoesNotFitEndsTheRun(t *testing.T) {
	for name, tt := range map[string]struct{ mutant, want string }{
		"a survivor":                     {"test TestUnwatched\n- return n > most\n+ return false\n", "SURVIVED it: TestUnwatched passes"},
		"a text that is gone":            {"test TestAllowed\n- if path != c {\n+ if true {\n", "the old text is gone"},
		"a text in two places":           {"test TestAllowed\n- return false\n+ return true\n", "stands in 4 places"},
		"a text that does not compile":   {"test TestTwice\n- return a == b\n+ return a == 3\n", "the mutants do not compile"},
		"a test that is not there":       {"test TestAllowedEverywhere\n- return a == b\n+ return true\n", "TestAllowedEverywhere does not pass without the mutant, or does not exist"},
		"a test that always fails":       {"test TestBroken\n- return a == b\n+ return true\n", "TestBroken does not pass without the mutant"},
		"a part of a test that is not":   {"test TestAllowed/nobody\n- return !strings.HasPrefix(path, hidden)\n+ return true\n", "SURVIVED it: TestAllowed/nobody passes"},
		"neither a test nor a reason":    {"- return a == b\n+ return true\n", "want a test that must notice"},
		"a test and a reason":            {"test TestTwice\nequivalent so\n- return a == b\n+ return true\n", "want an old text and either a test or a reason"},
		"an equivalent one that is gone": {"equivalent so\n- return a != b\n+ return true\n", "the old text is gone"},
	} {
		t.Run(name, func(t *testing.T) {
			said, err := runList(t, "package guard\n\nmutant it\n"+tt.mutant)
			if err == nil || !strings.Contains(said+err.Error(), tt.want) {
				t.Errorf("%v\n%s\nwant %q", err, said, tt.want)
			}
		})
	}
}

func TestAnEquivalentMutantIsNotTried(t *testing.T) {
	said, err := runList(t, "package guard\n\nmutant it\nequivalent nobody calls it\n- return n > most\n+ return false\n")
	if want := "0 noticed, 1 equivalent"; err != nil || !strings.Contains(said, want) {
		t.Errorf("%v\n%s\nwant %q", err, said, want)
	}
}

// runList runs a list of the test's own.
func runList(t *testing.T, text string) (said string, err error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "one.txt"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	err = (&house{root: testHouse, out: &out}).run(t.Context(), dir, "", nil)
	return out.String(), err
}
