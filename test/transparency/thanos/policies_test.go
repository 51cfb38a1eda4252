package thanos_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/access"
	"github.com/promfence/promfence/test/harness/fence"
	"github.com/promfence/promfence/test/harness/thanos"
	"github.com/promfence/promfence/test/harness/upstream"
)

// What a label policy shows of a Thanos is what one answers that holds nothing else:
// series, rules, alerts and targets, those that lack a label among them.
func TestALabelPolicyShowsOfAThanosWhatIsThereWithoutTheOthers(t *testing.T) {
	for _, a := range access.Cases {
		t.Run(a.Name, func(t *testing.T) {
			t.Parallel()
			alone, crowd := policyTwins(t, a.Labels(t))
			file := filepath.Join(t.TempDir(), "promfence.yaml")
			harness.WriteFile(t, file, string(access.File(t, a.Policies...)))
			f := fence.Before(t, crowd, "CONFIG="+file)
			token := f.Issuer.Token(t, "nobody", a.Claims)
			compared, told := 0, 0
			for path, tries := range policyQuestions() {
				for _, params := range tries {
					want := harness.Send(t, http.MethodGet, alone+path, "", params)
					got := harness.Send(t, http.MethodGet, f.URL+path, token, params)
					compared++
					if strings.Contains(got.Body, stranger) {
						t.Errorf("%s?%s tells of strangers: %s", path, params.Encode(), got.Body)
					}
					if diff := cmp.Diff(timeless(t, want), timeless(t, got)); diff != "" {
						t.Errorf("%s?%s (-alone +crowd):\n%s", path, params.Encode(), diff)
					}
					if len(got.Body) > 100 {
						told++
					}
				}
			}
			if t.Logf("%d answers compared, %d of them with something", compared, told); told < 20 {
				t.Errorf("only %d of %d answers hold something", told, compared)
			}
		})
	}
}

func policyQuestions() map[string][]url.Values {
	at, from := now.Format(time.RFC3339), begin.Format(time.RFC3339)
	all := map[string][]url.Values{
		"/api/v1/rules":   {{}, harness.Form("type", "alert")},
		"/api/v1/alerts":  {{}},
		"/api/v1/targets": {harness.Form("state", "active")},
		"/api/v1/labels":  {{}, harness.Form("match[]", `{tier="prod"}`)},
		"/api/v1/series":  {harness.Form("match[]", `{tenant_id=~".+"}`), harness.Form("match[]", `requests_total{tier=""}`)},
	}
	for _, name := range []string{"tier", "tenant_id", "realm", "job", "__name__"} {
		all["/api/v1/label/"+name+"/values"] = []url.Values{{}, harness.Form("match[]", `{tier="prod"}`)}
	}
	for _, q := range []string{
		`requests_total`, `{__name__=~".+_total",job=~".+"}`, `sum by (tier) (rate(requests_total[5m]))`, `count by (tenant_id, tier, realm) ({job=~".+"})`,
		`requests_total{tier="prod"}`, `requests_total{tier=""}`, `requests_total{tier!="dev",tenant_id!="acme"}`, `requests_total{realm!~"eu"}`,
		`requests_total{tenant_id=""}`, `topk(2, memory_bytes)`, `memory_bytes unless on (tier) memory_bytes{tier="stage"}`, `only_others or memory_bytes`,
	} {
		all["/api/v1/query"] = append(all["/api/v1/query"], harness.Form("query", q, "time", at), harness.Form("query", q, "time", at, "dedup", "false"))
		all["/api/v1/query_range"] = append(all["/api/v1/query_range"], harness.Form("query", q, "start", from, "end", at, "step", "60"))
	}
	return all
}

// policyTwins are the addresses of two Thanos: alone holds what the label policy
// allows, crowd besides what differs from that in one label, or lacks it.
func policyTwins(t *testing.T, l policy.Labels) (alone, crowd string) {
	t.Helper()
	seen, others := access.Copies(l)
	start := func(copies []map[string]string) string {
		var o upstream.Options
		var rules []map[string]any
		for i, ls := range copies {
			labels, job := maps.Clone(ls), "shop"
			maps.DeleteFunc(labels, func(_, v string) bool { return v == "" })
			if i >= len(seen) {
				job = stranger
			}
			o.Targets = append(o.Targets, upstream.Target{Job: job, Address: upstream.Expose(t, "scraped_total 1\n"), Labels: labels})
			rules = append(rules, map[string]any{"alert": "Burning", "expr": "vector(1)", "labels": labels, "annotations": map[string]string{"summary": job}},
				map[string]any{"record": "recorded:one", "expr": "vector(1)", "labels": labels})
		}
		text, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "group", "rules": rules}}})
		if err != nil {
			t.Fatal(err)
		}
		o.Rules = map[string]string{"rules": string(text)}
		th := thanos.Start(t, o)
		for i, ls := range copies {
			tenant, others := ls["tenant_id"], ""
			for _, name := range slices.Sorted(maps.Keys(ls)) {
				if name != "tenant_id" && ls[name] != "" {
					others += fmt.Sprintf("%s=%q,", name, ls[name])
				}
			}
			lines := strings.ReplaceAll("requests_total{%sjob=\"shop\"} 0+30x40\nmemory_bytes{%sjob=\"shop\"} 100+5x40\n", "%s", others)
			if i >= len(seen) {
				lines = strings.ReplaceAll(lines, "0+", "70000+") + fmt.Sprintf("only_others{%sjob=%q} 7+13x40\n", others, stranger)
			}
			if tenant == "" { // the receiver would give it one
				th.Prometheus.Write(t, upstream.ParseSeries(t, begin, step, lines)...)
				continue
			}
			th.Load(t, tenant, begin, step, lines)
		}
		base := th.Query(t)
		settleCopies(t, base, len(copies))
		return base
	}
	return start(seen), start(slices.Concat(seen, others))
}

// settleCopies waits until all targets were scraped and all rules evaluated.
func settleCopies(t *testing.T, base string, copies int) {
	t.Helper()
	err := upstream.Poll(t.Context(), 60*time.Second, func() error {
		for path, want := range map[string]struct {
			text  string
			times int
		}{
			"/api/v1/targets":                                     {`"health":"up"`, copies},
			"/api/v1/rules":                                       {`"health":"ok"`, 2 * copies},
			"/api/v1/alerts":                                      {`"Burning"`, copies},
			"/api/v1/series?match[]=recorded:one":                 {`recorded:one`, copies},
			"/api/v1/series?match[]=ALERTS_FOR_STATE":             {`"Burning"`, copies},
			"/api/v1/series?match[]=ALERTS":                       {`"Burning"`, copies},
			"/api/v1/series?match[]=scraped_total":                {`"scraped_total"`, copies},
			"/api/v1/label/replica/values?match[]=requests_total": {`"prometheus"`, 1},
			"/api/v1/label/replica/values?match[]=memory_bytes":   {`"receive"`, 1},
			"/api/v1/query?query=count+by(replica)(requests_total)&dedup=false&time=" + fmt.Sprint(now.Unix()): {`"replica"`, 2},
		} {
			text, err := get(t, base+path)
			if err != nil {
				return err
			}
			if n := strings.Count(text, want.text); n < want.times {
				return fmt.Errorf("%s has %d of %d %s", path, n, want.times, want.text)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// timeless spells an answer so that its order, the time and the addresses do not matter.
func timeless(t *testing.T, r harness.Reply) string {
	t.Helper()
	var v any
	if json.Unmarshal([]byte(r.Body), &v) != nil {
		return fmt.Sprint(r.Status, r.Body)
	}
	text, err := json.Marshal(ordered(v))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(r.Status, " ", string(text))
}

func ordered(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range []string{"lastScrape", "lastScrapeDuration", "evaluationTime", "lastEvaluation", "activeAt", "health", "lastError", "file", "droppedTargetCounts", "instance", "scrapeUrl", "globalUrl", "discoveredLabels"} {
			delete(v, name)
		}
		for name, inner := range v {
			v[name] = ordered(inner)
		}
	case []any:
		texts := make([]string, len(v))
		for i, inner := range v {
			text, err := json.Marshal(ordered(inner))
			if err != nil {
				return v
			}
			texts[i] = string(text)
		}
		slices.Sort(texts)
		return texts
	}
	return v
}
