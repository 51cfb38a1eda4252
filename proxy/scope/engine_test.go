package scope_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/scope"
)

// Of a limit that the caller sends and one that the settings name, the engine gets the
// stricter: a caller can only lose by what they send.
func TestTheEngineGetsTheStricterLimit(t *testing.T) {
	bounded := scope.Engine{MaxSeries: 100, MaxSamplesRead: 1000, MaxQueryDuration: 30 * time.Second}
	for _, tt := range []struct {
		name   string
		engine scope.Engine
		sent   string
		want   string // behind the query; "400" = refused
		ours   string
	}{
		{"nothing is asked", scope.Engine{}, "max_series=x&stats=", "max_series=x&stats=", ""},
		{"the caller sends none", bounded, "", "max_series=100&max_samples_read=1000&max_query_duration=30s", "max_series max_samples_read max_query_duration"},
		{"one alone", scope.Engine{MaxSeries: 100}, "", "max_series=100", "max_series"},
		{"the caller is stricter", scope.Engine{MaxSeries: 100}, "max_series=99", "max_series=99", ""},
		{"the caller is as strict", scope.Engine{MaxSeries: 100}, "max_series=100", "max_series=100", ""},
		{"the caller is less strict", scope.Engine{MaxSeries: 100}, "max_series=101", "max_series=100", "max_series"},
		{"numbers are no texts", scope.Engine{MaxSamplesRead: 100}, "max_samples_read=9", "max_samples_read=9", ""},
		{"0 is no limit", scope.Engine{MaxSeries: 100}, "max_series=0", "max_series=100", "max_series"},
		{"nothing is no limit", scope.Engine{MaxSeries: 100}, "max_series=", "max_series=100", "max_series"},
		{"what nobody can read", scope.Engine{MaxSeries: 100}, "max_series=1e1", "400", ""},
		{"a negative number", scope.Engine{MaxSamplesRead: 100}, "max_samples_read=-1", "400", ""},
		{"twice, and the setting is the strictest", scope.Engine{MaxSeries: 100}, "max_series=500&max_series=200", "max_series=100", "max_series"},
		{"twice, and a caller's is", scope.Engine{MaxSeries: 100}, "max_series=500&max_series=20", "max_series=20", ""},
		{"twice, without a setting", scope.Engine{}, "max_samples_read=500&max_samples_read=20", "max_samples_read=20", ""},
		{"a shorter duration", scope.Engine{MaxQueryDuration: time.Minute}, "max_query_duration=59.5", "max_query_duration=59.5", ""},
		{"a longer duration", scope.Engine{MaxQueryDuration: time.Minute}, "max_query_duration=2m", "max_query_duration=1m", "max_query_duration"},
		{"no duration", scope.Engine{MaxQueryDuration: time.Minute}, "max_query_duration=soon", "400", ""},
		{"a negative duration", scope.Engine{MaxQueryDuration: time.Minute}, "max_query_duration=-5", "400", ""},
		{"durations twice", scope.Engine{}, "max_query_duration=1m&max_query_duration=5s", "max_query_duration=5s", ""},
		{"a duration below all that can be spelled", scope.Engine{MaxQueryDuration: time.Microsecond}, "", "max_query_duration=1ms", "max_query_duration"},
		{"statistics", scope.Engine{Statistics: true}, "", "stats=true", "stats"},
		{"statistics in the place of none", scope.Engine{Statistics: true}, "stats=", "stats=true", "stats"},
		{"statistics that the caller asks for", scope.Engine{Statistics: true}, "stats=all", "stats=all", ""},
	} {
		known := []string{"query", "max_series", "max_samples_read", "max_query_duration", "stats"}
		var ps scope.Params
		err := ps.Read([]byte("query=up&"+tt.sent), known, 1)
		var got scope.Request
		if err == nil {
			got, err = scope.Expression().Narrow(scope.Input{Enforcer: enforcer(t), Limits: limits, Engine: tt.engine, Known: known, Params: ps})
		}
		if tt.want == "400" {
			if e, ok := errors.AsType[*apierr.Error](err); !ok || e.Status != 400 || !strings.Contains(e.Message, "cannot") {
				t.Errorf("%s: %v, %v, want a 400", tt.name, got.Form(), err)
			}
			continue
		}
		_, form, _ := strings.Cut(got.Form(), "&")
		if form != tt.want || err != nil {
			t.Errorf("%s: %s, %v, want %s", tt.name, form, err, tt.want)
		}
		for _, name := range known {
			if want := slices.Contains(strings.Fields(tt.ours), name); got.Ours(name) != want {
				t.Errorf("%s: %s is ours: %t, want %t", tt.name, name, got.Ours(name), want)
			}
		}
	}
}

// A row that does not know the parameters gets none: lookups and exports have no engine.
func TestOtherRowsGetNoLimitOfTheEngine(t *testing.T) {
	all := scope.Engine{MaxSeries: 1, MaxSamplesRead: 1, MaxQueryDuration: time.Second, Statistics: true}
	got, err := scope.Selectors().Added().Narrow(scope.Input{Enforcer: enforcer(t), Limits: limits, Engine: all, Known: []string{"match[]"}})
	if want := "match%5B%5D=%7Btenant_id%3D%22acme%22%7D"; got.Form() != want || err != nil {
		t.Errorf("%s, %v, want %s", got.Form(), err, want)
	}
}
