package isolation_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/access"
	"github.com/promfence/promfence/test/harness/upstream"
)

// template is what every copy of the data has, with a place for its labels.
const template = `
	requests_total{%s job="shop", code="200"} 0+30x40
	requests_total{%s job="shop", code="500"} 0+3x40
	memory_bytes{%s job="shop"} 100+5x30 _x5 7 8 9 10 11
	latency_seconds_bucket{%s le="1"} 0+20x40
	latency_seconds_bucket{%s le="+Inf"} 0+25x40
	native_seconds{%s job="shop"} {{schema:0 count:4 sum:5 buckets:[1 2 1]}}+{{schema:0 count:4 sum:5 buckets:[1 2 1]}}x40
	{"lat.ency", %s "host.name"="web-1"} 0+2x40
	`

// strangers are more of those who may not be seen.
const strangers = `
	stranger_only{%s stranger="x"} 7+13x40
	requests_total{%s job="stranger"} 9000+1x40
	memory_bytes{%s stranger="x"} 9000+1x40
	`

// pairs spells labels as PromQL does, each with a comma.
func pairs(ls map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(ls)) {
		if ls[name] != "" {
			fmt.Fprintf(&b, "%s=%q, ", name, ls[name])
		}
	}
	return b.String()
}

func present(ls map[string]string) map[string]string {
	ls = maps.Clone(ls)
	maps.DeleteFunc(ls, func(_, v string) bool { return v == "" })
	return ls
}

// newPolicyWorld starts a Prometheus that holds what the label policy allows, and one
// that holds besides what differs from that in one label, or lacks it: series,
// exemplars, rules, alerts, targets and their texts.
func newPolicyWorld(t *testing.T, l policy.Labels) *harness.World {
	t.Helper()
	seen, others := access.Copies(l)
	var alone, crowd upstream.Options
	var own, all []map[string]any
	for i, ls := range slices.Concat(seen, others) {
		visible := i < len(seen)
		help, kind, job := "What is seen.", "counter", "shop"
		if !visible {
			help, kind, job = "What a stranger says.", "gauge", "stranger"
		}
		text := fmt.Sprintf("# HELP scraped_total %s\n# TYPE scraped_total %s\nscraped_total 1\n", help, kind)
		if !visible {
			text += "# HELP stranger_total stranger\n# TYPE stranger_total counter\nstranger_total 1\n"
		}
		target := upstream.Target{Job: job, Address: upstream.Expose(t, text), Labels: present(ls)}
		summary := map[string]string{"summary": cmp.Or(map[bool]string{false: "stranger"}[visible], "seen")}
		rules := []map[string]any{
			{"record": "recorded:one", "expr": "vector(1)", "labels": present(ls)},
			{"alert": "Burning", "expr": "vector(1)", "labels": present(ls), "annotations": summary},
		}
		if !visible {
			rules = append(rules, map[string]any{"alert": "Stranger", "expr": "vector(1)", "labels": present(ls)})
		}
		if crowd.Targets, all = append(crowd.Targets, target), append(all, rules...); visible {
			alone.Targets, own = append(alone.Targets, target), append(own, rules...)
		}
	}
	for to, rules := range map[*upstream.Options][]map[string]any{&alone: own, &crowd: all} {
		text, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "group", "rules": rules}}})
		if err != nil {
			t.Fatal(err)
		}
		to.Rules = map[string]string{"rules": string(text)}
	}
	w := &harness.World{Alone: upstream.Start(t, alone), Crowd: upstream.Start(t, crowd), Now: time.Now().Truncate(time.Minute).Add(-time.Minute)}
	for i, ls := range slices.Concat(seen, others) {
		text := template
		if i >= len(seen) {
			text = strings.ReplaceAll(template, "} 0+", "} 70000+") + strangers
		}
		series := upstream.ParseSeries(t, w.Now.Add(-40*harness.Step), harness.Step, strings.ReplaceAll(text, "%s", pairs(ls)))
		id := fmt.Sprint("trace-", i)
		if i >= len(seen) {
			id = "stranger"
		}
		var traced []string
		for name, value := range present(ls) {
			traced = append(traced, name, value)
		}
		series = append(series, upstream.Traced(id, w.Now, traced...))
		if w.Crowd.Write(t, series...); i < len(seen) {
			w.Alone.Write(t, series...)
		}
	}
	settlePolicyWorld(t, w.Alone, len(seen))
	settlePolicyWorld(t, w.Crowd, len(seen)+len(others))
	return w
}

// settlePolicyWorld waits until all targets were scraped and all rules evaluated.
func settlePolicyWorld(t *testing.T, u *upstream.Upstream, copies int) {
	t.Helper()
	err := upstream.Poll(t.Context(), 60*time.Second, func() error {
		for path, want := range map[string]struct {
			text  string
			times int
		}{
			"/api/v1/targets":                            {`"health":"up"`, copies},
			"/api/v1/rules":                              {`"health":"ok"`, 2 * copies},
			"/api/v1/metadata":                           {`"scraped_total"`, 1},
			"/api/v1/series?match[]=recorded:one":        {`recorded:one`, copies},
			"/api/v1/series?match[]=ALERTS_FOR_STATE":    {`"Burning"`, copies},
			"/api/v1/series?match[]=scraped_total":       {`"scraped_total"`, copies},
			"/api/v1/query_exemplars?query=traced_total": {`"trace_id"`, 1},
		} {
			_, body := harness.Fetch(t, u.URL+path, "", nil)
			if n := strings.Count(body, want.text); n < want.times {
				return fmt.Errorf("%s has %d of %d %s", path, n, want.times, want.text)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
