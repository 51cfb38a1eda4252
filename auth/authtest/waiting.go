package authtest

import (
	"flag"
	"testing"
)

// RunWaiting runs the tests of a package, for its TestMain, and returns the exit code.
// More parallel tests run at a time than there are processors, unless -parallel says how
// many: those of time limits wait, and compute next to nothing.
func RunWaiting(m *testing.M) int {
	flag.Parse()
	named := false
	flag.Visit(func(f *flag.Flag) { named = named || f.Name == "test.parallel" })
	if !named {
		_ = flag.Set("test.parallel", "16") // the testing package has defined it
	}
	return m.Run()
}
