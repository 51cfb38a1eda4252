// Package attack_test tries to see, through promfence and with acme's token,
// anything that is not acme's. It speaks over raw sockets, so that no client
// library mends what it sends, to the program itself before a real Prometheus.
//
// Everything of others carries a marker, and no marker may be among the bytes
// that come back. Refusing everything does not pass: each family has controls,
// requests like the attacks that must be answered with acme's own data.
package attack_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// An attack is a request that promfence must not be led astray by.
type attack struct {
	name    string
	request request
	status  []int  // that are right; none = all below 500
	want    string // that the answer holds
	twin    bool   // to be answered as by an upstream with acme's data alone
}

// A family is attacks of one kind with their legitimate twins.
type family struct {
	name     string
	controls []attack // answered 200 with what they want
	attacks  []attack
	costly   bool // the cost of each is measured, not that of all
}

func TestNothingOfOthersReachesAcme(t *testing.T) {
	own := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		goleak.VerifyNone(t, own)
	})
	w := newWorld(t)
	before := w.Goroutines(t)
	for _, f := range families(w) {
		t.Run(f.name, func(t *testing.T) { w.try(t, f) })
	}
	t.Run("costs", func(t *testing.T) {
		in := *w
		in.fence = startPlain(t, w.asked.URL)
		in.acme = in.Token(t, "acme")
		in.try(t, bombs())
	})
	t.Run("HTTP/2", w.tryHTTP2)
	w.Settles(t, before+2) // the own connections of the test
	if n := w.Metrics(t)["promfence_enforcement_failures_total"]; n > 0 {
		t.Errorf("%v queries failed their own verification", n)
	}
}

func families(w *world) []family {
	all := [][]family{
		endpoints(w), paths(), methods(), parameters(), bodies(), framing(), headers(w),
		promQL(), selectorsOf(), reads(), answersOf(), searches(), pages(), errorTexts(),
	}
	return slices.Concat(all...)
}

func (w *world) try(t *testing.T, f family) {
	if len(f.controls) == 0 {
		t.Fatal("a family without a control passes when everything is refused")
	}
	cpu := w.Metrics(t)["process_cpu_seconds_total"]
	for _, c := range f.controls {
		t.Run("control/"+c.name, func(t *testing.T) {
			if c.want == "" {
				t.Fatal("a control wants something")
			}
			c.status = []int{http.StatusOK}
			w.check(t, c)
		})
	}
	for _, a := range f.attacks {
		t.Run(a.name, func(t *testing.T) {
			w.check(t, a)
			if f.costly {
				w.checkCost(t, a)
			}
		})
	}
	if f.costly {
		return // each was measured
	}
	n := len(f.controls) + len(f.attacks)
	if spent := w.Metrics(t)["process_cpu_seconds_total"] - cpu; spent > meanCPU*float64(n) {
		t.Errorf("%.0f ms of CPU for %d requests, want at most %.0f ms each", 1000*spent, n, 1000*meanCPU)
	}
}

// checkCost asks again in the name of tenants for whom nothing is kept yet: an
// answer from a cache costs nothing. What counts is the least, without what the
// machine did beside it.
func (w *world) checkCost(t *testing.T, a attack) {
	t.Helper()
	least := math.Inf(1)
	for range 4 {
		w.asker++
		token := w.Issuer.Token(t, append([]string{fmt.Sprint("nobody", w.asker)}, w.tenants...), nil)
		send(t, w.addr, token, get("/api/v1/metrics/explain?query=1")) // verifies the token, which is not what is measured
		before := w.Metrics(t)["process_cpu_seconds_total"]
		if got := send(t, w.addr, token, a.request); got.took > 5*time.Second {
			t.Errorf("an answer after %s, want one within 5s", got.took)
			return
		}
		least = min(least, w.Metrics(t)["process_cpu_seconds_total"]-before)
		if least <= maxCPU/2 {
			break
		}
	}
	if w.dearest < least {
		w.dearest = least
		t.Logf("%.0f ms of CPU, the most so far", 1000*least)
	}
	if least > maxCPU {
		t.Errorf("%.0f ms of CPU, want at most %.0f", 1000*least, 1000*maxCPU)
	}
}

// meanCPU is what a request of any other kind may cost, with the race detector
// in the program.
const meanCPU = 0.2

// maxCPU is what one request may cost, in seconds: 50 ms on a machine with
// nothing else to do, four times as much here, where other tests share its
// caches. What is not bounded costs seconds. On a quiet machine, hold it to the
// promise:
//
//	ATTACK_MAX_CPU=50ms go test -v -run /costs ./attack
var maxCPU = func() float64 {
	if d, err := time.ParseDuration(os.Getenv("ATTACK_MAX_CPU")); err == nil {
		return d.Seconds()
	}
	return 0.2
}()

func (w *world) check(t *testing.T, a attack) {
	t.Helper()
	got := send(t, w.addr, w.acme, a.request)
	for _, leak := range w.leaks(a.request, got) {
		t.Errorf("%s reaches acme:\n%.2000s", leak, got.plain)
	}
	switch {
	case len(a.status) > 0 && !slices.Contains(a.status, got.status):
		t.Errorf("status %d, want one of %d: %.500s", got.status, a.status, got.raw)
	case got.status >= 500 && !slices.Contains(a.status, got.status):
		t.Errorf("status %d: %.500s", got.status, got.raw)
	}
	if !bytes.Contains(got.body, []byte(a.want)) && !bytes.Contains(unsnapped(got.body), []byte(a.want)) {
		t.Errorf("the answer lacks %q: %.1000s", a.want, got.body)
	}
	if a.twin {
		w.sameAlone(t, a, got)
	}
}

// sameAlone asks the upstream that has acme's data alone and compares.
func (w *world) sameAlone(t *testing.T, a attack, got *answer) {
	t.Helper()
	r := request(strings.Replace(string(a.request), "/api/v1/metrics/", "/api/v1/", 1))
	alone := send(t, strings.TrimPrefix(w.alone.URL, "http://"), "", r)
	if want, got := asComparable(alone), asComparable(got); want != got {
		t.Errorf("acme alone would see\n%.2000s\nand sees\n%.2000s", want, got)
	}
}

// position is where in a query a text points to, and what answers tell of their
// own circumstances.
var position = regexp.MustCompile(`\(\d+:\d+\)|\d+:\d+: | \(promfence's PromQL parser[^)]*\)|"file":"[^"]*"|"(lastEvaluation|activeAt)":"[^"]*"|"evaluationTime":[0-9.e-]+`)

// asComparable spells an answer without positions and the order of what has none.
func asComparable(a *answer) string {
	var v struct {
		Status, ErrorType string
		Data              any
		Warnings, Infos   []string
	}
	if json.Unmarshal(a.body, &v) != nil {
		return fmt.Sprint(a.status, " ", string(a.body))
	}
	if a.status >= http.StatusBadRequest {
		return fmt.Sprint(a.status, " ", v.ErrorType)
	}
	slices.Sort(v.Warnings)
	slices.Sort(v.Infos)
	list, _ := v.Data.([]any) // of series, which come as they were first written
	if data, ok := v.Data.(map[string]any); ok {
		list, _ = data["result"].([]any)
	}
	slices.SortFunc(list, func(a, b any) int { return strings.Compare(spelled(a), spelled(b)) })
	return fmt.Sprint(a.status, " ", position.ReplaceAllString(spelled(v), ""))
}

func spelled(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
