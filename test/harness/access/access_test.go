package access_test

import (
	"testing"

	"github.com/promfence/promfence/test/harness/access"
)

func TestTheCasesAreWhatTheySay(t *testing.T) {
	for _, a := range access.Cases {
		l := a.Labels(t)
		if got := l.String(); got != a.Selector {
			t.Errorf("%s: %s, want %s", a.Name, got, a.Selector)
		}
		if seen, others := access.Copies(l); len(seen) == 0 || len(others) < 3 {
			t.Errorf("%s: %d label sets are seen and %d are not", a.Name, len(seen), len(others))
		}
	}
}
