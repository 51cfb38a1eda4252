package attack_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/promfence/promfence/test/upstream"
)

// With on_conflict: reject a caller's regular expression is run over the names of
// their tenants by promfence itself.
func TestRegexpsOnManyLongTenantsAreBounded(t *testing.T) {
	stub := upstream.Stub(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, emptyVector)
	}))
	w := &world{fence: startFence(t, stub.URL, "TENANCY_ON_CONFLICT=reject"), crowd: &upstream.Upstream{URL: stub.URL}, asked: stub}
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
