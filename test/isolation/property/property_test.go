// Package property_test holds the promise of non-interference over every
// expression of Prometheus's own tests.
package property_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"

	"github.com/promfence/promfence/auth/policy"
	enforce "github.com/promfence/promfence/proxy/promql"
	"github.com/promfence/promfence/test/harness/access"
	"github.com/promfence/promfence/test/harness/gobuild"
)

// The promise, over every expression of Prometheus's own tests: what a query answers
// through promfence, where everybody's series are, is what the query as written
// answers where only those are that match the caller's label policy.
//
// Prometheus's test runner reads its files, and thinks that it works on one
// storage with one engine. Behind these are a storage with the tenants' series
// alone and one with everybody's, and a query that is asked of both.
func TestWhoeverElseIsThereTheAnswerIsTheSame(t *testing.T) {
	dir, err := gobuild.Go(t.Context(), "list", "-m", "-f", "{{.Dir}}", "github.com/prometheus/prometheus")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "promql", "promqltest", "testdata", "*.test"))
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files below %s, want 20 or more: %v", len(files), dir, err)
	}
	compare := func(t *testing.T, l policy.Labels, c copies) {
		enforcer, err := new(enforce.Enforcers).For(l)
		if err != nil {
			t.Fatal(err)
		}
		engine := &twin{
			engine:   promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery*10),
			parser:   parser.NewParser(promqltest.TestParserOpts),
			labels:   l,
			enforcer: enforcer,
			skipped:  map[string]int{},
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			t.Run(filepath.Base(file), func(t *testing.T) {
				promqltest.RunTestWithStorage(t, string(text), engine, func(t testing.TB) storage.Storage { return newWorlds(t, c) })
			})
		}
		for _, difference := range engine.differences {
			t.Error(difference)
		}
		if engine.compared < 20_000 || engine.told < 10_000 {
			t.Errorf("%d answers compared, %d of them with a sample, want 20,000 and 10,000", engine.compared, engine.told)
		}
		t.Logf("%d answers compared, %d of them with a sample; left out: %v", engine.compared, engine.told, engine.skipped)
	}
	for _, names := range [][]string{{"acme"}, {"acme", "beta"}} {
		t.Run(fmt.Sprint(names), func(t *testing.T) {
			tenants, err := policy.ForTenants("tenant_id", names...)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, tenants, tenantCopies(names))
		})
	}
	for _, a := range access.Cases {
		t.Run(a.Name, func(t *testing.T) {
			l := a.Labels(t)
			seen, others := access.Copies(l)
			compare(t, l, copies{seen, others})
		})
	}
}

var _ promql.QueryEngine = (*twin)(nil)
