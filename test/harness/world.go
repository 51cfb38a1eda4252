package harness

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/test/harness/upstream"
)

// Stranger is in every name, label, value and text that is not acme's, so that
// one look at an answer's bytes tells whether any of it got out.
const Stranger = "stranger"

// A World is one moment of two Prometheus servers: Alone holds acme's data, Crowd
// the same data to the last byte and that of strangers. What acme sees of Crowd
// must be what Alone answers.
type World struct {
	Alone, Crowd *upstream.Upstream
	Now          time.Time // the last sample
}

// Step lies between two samples, of which each series has 40 before World.Now.
const Step = 15 * time.Second

// bounded makes some queries fail in the engine.
var bounded = []string{"--query.max-samples=3000"}

// NewWorld starts both servers, loads them, and waits for their first scrapes and
// evaluations.
func NewWorld(t testing.TB) *World {
	t.Helper()
	acme, all := targets(t)
	w := &World{
		Alone: upstream.Start(t, upstream.Options{Rules: map[string]string{"acme": acmeRules}, Targets: acme, Args: bounded}),
		Crowd: upstream.Start(t, upstream.Options{Rules: map[string]string{"acme": acmeRules, "strangers": strangersRules}, Targets: all, Args: bounded}),
		Now:   time.Now().Truncate(time.Minute).Add(-time.Minute),
	}
	start := w.Now.Add(-40 * Step)
	for _, u := range []*upstream.Upstream{w.Alone, w.Crowd} {
		u.Load(t, start, Step, acmeSeries)
		u.Write(t, upstream.Traced("trace-1", w.Now.Add(-time.Minute), "tenant_id", "acme"), upstream.Traced("trace-2", w.Now, "tenant_id", "acme"))
	}
	w.Crowd.Load(t, start, Step, like(acmeSeries, "globex", 5000)+like(acmeSeries, "beta", 900)+like(acmeSeries, "", 70000)+strangersSeries)
	w.Crowd.Write(t, upstream.Traced("trace-of-a-stranger", w.Now, "tenant_id", "globex"))
	settle(t, w.Alone, "What acme says.")
	settle(t, w.Crowd, "What acme says.", "What a stranger says.")
	return w
}

// like gives another tenant what acme has, with every value of a series of plain
// numbers so much higher that a sum tells whose they are. "" is nobody.
func like(series, tenant string, higher int) string {
	var lines []string
	for line := range strings.Lines(series) {
		name, values, ok := strings.Cut(strings.TrimSpace(line), "} ")
		var first, change, times int
		if _, err := fmt.Sscanf(values, "%d%dx%d", &first, &change, &times); !ok || err != nil {
			continue
		}
		label := fmt.Sprintf("tenant_id=%q, ", tenant)
		if tenant == "" {
			label = ""
		}
		lines = append(lines, fmt.Sprintf("%s} %d%+dx%d", strings.Replace(name, `tenant_id="acme", `, label, 1), first+higher, change, times))
	}
	return strings.Join(lines, "\n") + "\n"
}

// settle waits for the first scrapes and evaluations. What is not loaded yet is
// not listed as unfinished either, so it waits for what must be there as well.
func settle(t testing.TB, u *upstream.Upstream, helps ...string) {
	t.Helper()
	wanted := map[string][]string{
		"/api/v1/rules":   {`"name":"third"`},
		"/api/v1/targets": {`"job":"down"`, `"job":"cart"`, `"job":"shop"`},
		"/api/v1/series?match[]=%7Balertname=~%22Pending|Burning%22%7D": {`"alertstate":"pending"`, `"alertstate":"firing"`, "ALERTS_FOR_STATE"},
		"/api/v1/metadata?metric=scraped_total":                         helps,
		"/api/v1/metadata?metric=scraped_seconds":                       {"How long."},
		"/api/v1/query?query=three":                                     {`"three"`},
	}
	if slices.Contains(helps, "What a stranger says.") {
		wanted["/api/v1/query?query=stranger_only"] = []string{`"stranger_only"`}
	}
	err := upstream.Poll(t.Context(), 30*time.Second, func() error {
		for path, texts := range wanted {
			_, body := Fetch(t, u.URL+path, "", nil)
			if strings.Contains(body, `"health":"unknown"`) {
				return fmt.Errorf("%s has something without a first result", path)
			}
			for _, text := range texts {
				if !strings.Contains(body, text) {
					return fmt.Errorf("%s lacks %s", path, text)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
