package attack_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/prompb"

	"github.com/promfence/promfence/test/harness/upstream"
)

// strange are tenants whose names mean something to a parser, each with those
// whom a sloppy one would take them for.
var strange = []string{
	"acme", "acme2", "ACME", "acme|globex", "globex", "acme,globex", ".*", ".+", "", "(?i)acme", "a.me", "[a-z]+", "^acme$", "acme$", `acme"`, `acme\`, `\Qacme\E`, `acme"} or {a="b`, "acme'", "acme`",
	"acme}", "{acme}", "acme#", "acmé", "acme\u0301", "ａｃｍｅ", "acme\u200b", "acme\U000e0001", "🦊", " acme", "acme ", "a cme", "acme;globex", "acme&query=up", "%61cme", "acme%00", "../acme", "acme/globex", "$1", "${1}", "4:acme", "5:a4:acme", "\\u0061cme", "null", "true", "0", "-", "~", "!=", "acme\ue000",
}

// Every tenant sees its own series and no other, alone and with one more.
func TestStrangeTenants(t *testing.T) {
	u := upstream.Start(t, upstream.Options{})
	now := time.Now().UnixMilli()
	var series []prompb.TimeSeries
	for i, name := range strange {
		ls := []prompb.Label{{Name: "__name__", Value: "m"}, {Name: "id", Value: fmt.Sprintf("<%d>", i)}}
		if name != "" {
			ls = append(ls, prompb.Label{Name: "tenant_id", Value: name})
		}
		series = append(series, prompb.TimeSeries{Labels: ls, Samples: []prompb.Sample{{Timestamp: now, Value: 1}}})
	}
	u.Write(t, series...)
	f := startFence(t, u.URL)
	for i, name := range strange {
		for j, second := range append([]string{name}, strange[i:min(i+4, len(strange))]...) {
			if name == "" || second == "" {
				continue
			}
			want := map[string]bool{fmt.Sprintf("<%d>", i): true}
			var claim any = name
			if j > 0 {
				claim = []string{name, second}
				want[fmt.Sprintf("<%d>", i+j-1)] = true
			}
			t.Run(fmt.Sprintf("%q", claim), func(t *testing.T) {
				token := f.Issuer.Token(t, claim, nil)
				for target, want := range map[string]map[string]bool{
					"/api/v1/query?query=m": want, "/api/v1/query?query=" + url.QueryEscape(`{__name__=~".+"}`): want, "/api/v1/series?match[]=m": want,
					"/api/v1/label/id/values": want, "/federate?match[]=m": want,
				} {
					got := send(t, f.addr, token, get(target))
					if got.status != http.StatusOK {
						t.Errorf("%s: %d: %s", target, got.status, got.body)
					}
					for k := range strange {
						id := fmt.Sprintf("<%d>", k)
						escaped, _ := json.Marshal(id)
						if has := bytes.Contains(got.body, []byte(id)) || bytes.Contains(got.body, bytes.Trim(escaped, `"`)); has != want[id] {
							t.Errorf("%s: series of %q shown: %v, want %v", target, strange[k], has, want[id])
						}
					}
				}
			})
		}
	}
}

// The same text at the same time for several tenants: caches of queries,
// tokens, matchers and families must keep them apart.
func TestTheSameQueryForAllAtOnce(t *testing.T) {
	w := newWorld(t)
	both := w.Issuer.Token(t, []string{"acme", "zqx01"}, nil)
	targets := []request{
		query("shop_requests_total"), get("/api/v1/label/tenant_id/values"), get("/api/v1/series?match[]=shop_requests_total"), get("/api/v1/metadata"), get("/api/v1/rules"), get("/api/v1/targets"),
		get("/federate?match[]=up"), get("/api/v1/metrics/explain?query=up"), read(field(1, whole, all), number(2, 1)), get("/api/v1/targets/metadata"), get("/api/v1/labels", "Accept-Encoding: gzip"),
	}
	var wg sync.WaitGroup
	for worker := range 12 {
		token := []string{w.acme, w.other, both}[worker%3]
		wg.Go(func() {
			for i := range 40 {
				r := targets[(i+worker)%len(targets)]
				got := send(t, w.addr, token, r)
				marked := bytes.Contains(got.plain, []byte("zqx"))
				switch {
				case got.status != http.StatusOK:
					t.Errorf("%s: %d %s", firstLine(r), got.status, got.body)
				case token == w.acme && marked:
					t.Errorf("%s: acme sees another's: %.900s", firstLine(r), got.plain)
				case token != w.acme && !marked:
					t.Errorf("%s: another does not see their own: %.900s", firstLine(r), got.plain)
				case token == w.other && bytes.Contains(got.plain, []byte(`"acme"`)):
					t.Errorf("%s: another sees acme's: %.900s", firstLine(r), got.plain)
				}
			}
		})
	}
	wg.Wait()
}

func firstLine(r request) string {
	line, _, _ := strings.Cut(string(r), "\r\n")
	return line
}

// With a tenant header set, the upstream hears of the token's tenant alone.
func TestTenantHeadersComeFromTheToken(t *testing.T) {
	for _, header := range []string{"X-Scope-OrgID", "THANOS-TENANT"} {
		stub := upstream.Stub(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprint(w, emptyVector)
		}))
		f := startFence(t, stub.URL, "UPSTREAM_TENANT_HEADER="+header)
		for _, lines := range [][]string{{header + ": zqx"}, {header + ": acme", header + ": zqx"}, {strings.ToLower(header) + ": zqx"}, {"Connection: " + header}, {"Connection: " + header, header + ": zqx"}, {strings.ReplaceAll(header, "-", "_") + ": zqx"}, {}} {
			got := send(t, f.addr, f.Issuer.Token(t, "acme", nil), get("/api/v1/query?query=up", lines...))
			if got.status != http.StatusOK {
				t.Errorf("%v: %d", lines, got.status)
			}
			for _, asked := range stub.Take() {
				if v := asked.Header.Values(header); len(v) != 1 || v[0] != "acme" {
					t.Errorf("%v: the upstream hears %q", lines, v)
				}
				if strings.Contains(fmt.Sprint(asked.Header), "zqx") {
					t.Errorf("%v: passed on: %v", lines, asked.Header)
				}
			}
		}
		for _, name := range []string{"acme|zqx", "..", ".", "a b", "a/b", strings.Repeat("a", 151), "é", "a,b"} {
			if got := send(t, f.addr, f.Issuer.Token(t, name, nil), get("/api/v1/query?query=up")); got.status != http.StatusForbidden {
				t.Errorf("tenant %q: %d, want 403", name, got.status)
			}
		}
	}
}
