package attack_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/promfence/promfence/test/harness/upstream"
)

// With on_conflict: reject a caller's regular expression is run over the names of
// their tenants by promfence itself.
func TestRegexpsOnManyLongTenantsAreBounded(t *testing.T) {
	stub := upstream.Stub(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, emptyVector)
	}))
	w := &world{fence: startPlain(t, stub.URL, "TENANCY_ON_CONFLICT=reject"), crowd: &upstream.Upstream{URL: stub.URL}, asked: stub}
	var names []string
	for i := range 18 {
		names = append(names, fmt.Sprintf("%02d%s", i, strings.Repeat("a", 254)))
	}
	names = append(names, "18"+strings.Repeat("a", 253)+"z") // the one that fits comes last
	w.acme, w.tenants = w.Issuer.Token(t, names, nil), names
	f := family{name: "regular expressions on tenants", costly: true, controls: []attack{
		{name: "one", request: query(`up{tenant_id=~"1.*z"}`), want: "vector"},
		{name: "words", request: query(`up{tenant_id=~"a|b|` + names[3] + `"}`), want: "vector"},
		{name: "many elsewhere", request: query(`up{` + strings.Repeat(`a=~"x.*y",`, 100) + `}`), want: "vector"},
	}}
	for _, re := range []string{"[0-9]+(?:a?b?){900}[yz]", "(?:[a-z0-9]*){300}[y-z]", ".*(?:a|b)[a-z]{200}[yz]", "(?:a|b|ab|aa|[0-9])*[yz]", "(.)*(.)*(.)*(.)*[yz]", "(?:.*a){60}.*[yz]"} {
		for _, n := range []int{1, 3, 40, 400} {
			q := "up{" + strings.Repeat(`tenant_id=~"`+re+`",`, n) + "}"
			f.attacks = append(f.attacks,
				attack{name: fmt.Sprint(n, re), request: query(q), status: []int{200, 400, 403}},
				attack{name: fmt.Sprint("match[] ", n, re), request: post("/api/v1/series", "match[]="+url.QueryEscape(q)), status: []int{200, 400, 403}})
		}
	}
	w.try(t, f)
}

// Every setting that shows more, or refuses more, with the rest of the attacks.
func TestNothingOfOthersReachesAcmeInOtherModes(t *testing.T) {
	w := newWorld(t)
	deep := upstream.Stub(t, below(t, "/deep/prom", w.asked.URL))
	for name, mode := range map[string]struct {
		upstream string
		settings []string
		families []family
	}{
		"matchers on the tenant are refused": {w.asked.URL, []string{"TENANCY_ON_CONFLICT=reject"}, conflicts()},
		"rules and texts are shared":         {w.asked.URL, []string{"TENANCY_SHARED_RULES=true", "TENANCY_SHARED_METADATA=true"}, shared()},
		"the upstream has a prefix":          {deep.URL + "/deep/prom", nil, prefixed(w)},
	} {
		t.Run(name, func(t *testing.T) {
			in := *w
			in.fence = startFence(t, mode.upstream, mode.settings...)
			in.acme, in.other = in.Token(t, "acme"), in.Token(t, "zqx01")
			for _, f := range mode.families {
				t.Run(f.name, func(t *testing.T) { in.try(t, f) })
			}
		})
	}
}

// below passes on what is asked for below a prefix. Everything else it answers
// with a marker.
func below(t *testing.T, prefix, target string) http.Handler {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	inside := http.StripPrefix(prefix, upstream.PassOn(u))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.EscapedPath(), prefix+"/") {
			http.Error(w, "zqx99 outside of "+prefix, http.StatusOK)
			return
		}
		inside.ServeHTTP(w, r)
	})
}

func prefixed(w *world) []family {
	all := slices.Concat(endpoints(w), paths())
	for i := range all[len(all)-1].attacks {
		all[len(all)-1].attacks[i].twin = false // in the other test
	}
	last := &all[len(all)-1]
	for _, path := range []string{"/deep/prom/api/v1/query", "/deep/prom/api/v1/status/config", "/deep/prom", "/deep/../api/v1/query", "/api/v1/label/..%2f..%2f..%2fx/values"} {
		last.attacks = append(last.attacks, attack{name: path, request: get(path + "?query=shop_flag"), status: []int{404}})
	}
	return all
}

// conflicts are matchers on the tenant that acme may and may not send, wherever
// a selector is taken.
func conflicts() []family {
	f := family{name: "conflicts"}
	for _, s := range []string{`{tenant_id="acme",job="shop"}`, `{tenant_id=~"acme|zqx01",job="shop"}`, `{tenant_id!="zqx01",job="shop"}`, `{tenant_id=~"(?i)ACME",job="shop"}`} {
		f.controls = append(f.controls, attack{name: s, request: get("/api/v1/series?match[]=" + url.QueryEscape(s)), want: "shop_temperature"},
			attack{name: "query " + s, request: query(s), want: "shop_temperature"})
	}
	f.controls = append(f.controls, attack{name: "a label written afterwards", request: query(`label_replace(shop_temperature, "tenant_id", "zqx01", "", "")`), want: "zqx01"})
	for _, m := range []string{`tenant_id="zqx01"`, `"tenant_id"="zqx01"`, `tenant_id!="acme"`, `tenant_id!~"acme"`, `tenant_id=""`, `tenant_id="ACME"`, `tenant_id="acme",tenant_id="zqx01"`, `tenant_id=~"zqx.*"`} {
		selector := `{job="shop",` + m + "}"
		for _, q := range []string{selector, "topk(scalar(x" + selector + "), shop_temperature)", "absent(" + selector + ")", "max_over_time(" + selector + "[5m:1m] @ 1 offset 1m)", "shop_temperature or " + selector} {
			f.attacks = append(f.attacks, attack{name: q, request: query(q), status: []int{403}})
		}
		for _, target := range []string{"/api/v1/series?match[]=", "/api/v1/labels?match[]=up&match[]=", "/api/v1/label/path/values?match[]=", "/federate?match[]=up&match[]=", "/api/v1/search/metric_names?match[]=", "/api/v1/targets/metadata?match_target=", "/api/v1/query_exemplars?start=0&end=1&query=", "/api/v1/metrics/explain?query="} {
			f.attacks = append(f.attacks, attack{name: target + m, request: get(target + url.QueryEscape(selector)), status: []int{403}})
		}
		for _, target := range []string{"/api/v1/rules?match[]=", "/api/v1/format_query?query="} { // filtered, or without data
			f.attacks = append(f.attacks, attack{name: target + m, request: get(target + url.QueryEscape(selector)), status: []int{200}})
		}
	}
	return []family{f}
}

// Shared rules are those without a tenant, and shared texts those of metrics that
// acme has: the markers of these may come, and of nothing else.
func shared() []family {
	own := "zqx20.zqx36.zqx37.zqx38.zqx39.zqx40.zqx44.zqx46.907331" // in nobody's rules, their file and group, and in a text on shop_up_since
	f := family{name: "shared", controls: []attack{
		{name: "own rules", request: get("/api/v1/rules?x=" + own), want: "ShopOpen"},
		{name: "nobody's rule, without whose alerts", request: get("/api/v1/rules?x=" + own), want: `"state":"inactive","name":"zqx36"`},
		{name: "its health", request: get("/api/v1/rules?rule_name[]=zqx36&x=" + own), want: `"alerts":[],"health":"unknown","evaluationTime":0,"lastEvaluation":"0001-01-01T00:00:00Z"`},
		{name: "a text", request: get("/api/v1/metadata?x=" + own), want: "zqx20 has words about it."},
		{name: "own text", request: get("/api/v1/metadata?metric=shop_orders_total"), want: "Orders that were taken."},
		{name: "own alert", request: get("/api/v1/alerts"), want: "ShopOpen"},
	}}
	for _, target := range []string{"/api/v1/rules", "/api/v1/alerts", "/api/v1/metadata", "/api/v1/targets", "/api/v1/targets/metadata", "/api/v1/metrics/rules", "/api/v1/metrics/metadata"} {
		for _, p := range []string{"", "type=alert", "type=record", "rule_name[]=zqx31", "rule_group[]=zqx45", "rule_group[]=shop", "file[]=zqx44.rules.yml", "group_limit=1", "group_limit=2", "group_limit=9", "exclude_alerts=true", `match[]={tenant_id="zqx01"}`, "metric=zqx23_secrets_total", "metric=shop_up_since", "limit_per_metric=1", "state=any"} {
			r := request(target + "?" + p + "&x=" + own)
			f.attacks = append(f.attacks, attack{name: target + "?" + p, request: get(string(r)), status: []int{200}}, attack{name: "gzip " + target + "?" + p, request: get(string(r), "Accept-Encoding: gzip"), status: []int{200}})
		}
	}
	return []family{f}
}
