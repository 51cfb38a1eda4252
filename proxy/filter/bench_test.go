package filter_test

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The typed structs of the benchmark's baseline: what a filter would be that
// decodes an answer of /api/v1/rules, chooses and encodes again.
type (
	typedAlert struct {
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
		State       string            `json:"state"`
		ActiveAt    *time.Time        `json:"activeAt,omitempty"`
		Value       string            `json:"value"`
	}
	typedRule struct {
		State          string            `json:"state,omitempty"`
		Name           string            `json:"name"`
		Query          string            `json:"query"`
		Duration       float64           `json:"duration"`
		KeepFiringFor  float64           `json:"keepFiringFor"`
		Labels         map[string]string `json:"labels"`
		Annotations    map[string]string `json:"annotations"`
		Alerts         []*typedAlert     `json:"alerts"`
		Health         string            `json:"health"`
		LastError      string            `json:"lastError,omitempty"`
		EvaluationTime float64           `json:"evaluationTime"`
		LastEvaluation time.Time         `json:"lastEvaluation"`
		Type           string            `json:"type"`
	}
	typedGroup struct {
		Name           string       `json:"name"`
		File           string       `json:"file"`
		Rules          []*typedRule `json:"rules"`
		Interval       float64      `json:"interval"`
		Limit          int          `json:"limit"`
		EvaluationTime float64      `json:"evaluationTime"`
		LastEvaluation time.Time    `json:"lastEvaluation"`
	}
	typedAnswer struct {
		Status string `json:"status"`
		Data   struct {
			Groups []*typedGroup `json:"groups"`
		} `json:"data"`
	}
)

// filterTyped is the baseline.
func filterTyped(dst io.Writer, src io.Reader, v view) error {
	var answer typedAnswer
	if err := json.NewDecoder(src).Decode(&answer); err != nil {
		return err
	}
	groups := answer.Data.Groups[:0]
	for _, g := range answer.Data.Groups {
		rules := g.Rules[:0]
		for _, r := range g.Rules {
			if has(v.Labels, r.Labels["tenant_id"]) {
				rules = append(rules, r)
			}
		}
		if g.Rules = rules; len(rules) > 0 {
			groups = append(groups, g)
		}
	}
	answer.Data.Groups = groups
	return json.NewEncoder(dst).Encode(answer)
}

// rulesAnswer has 10,000 rules in 500 groups, every nth of them acme's: 4 MB.
func rulesAnswer(tb testing.TB, nth int) string {
	tb.Helper()
	var b strings.Builder
	b.WriteString(`{"status":"success","data":{"groups":[`)
	for g := range 500 {
		if g > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"name":"group-%d","file":"/etc/prometheus/rules/%d.yaml","rules":[`, g, g)
		for r := range 20 {
			if r > 0 {
				b.WriteByte(',')
			}
			tenant := "acme"
			if (g*20+r)%nth != 0 {
				tenant = fmt.Sprintf("tenant-%d", g)
			}
			fmt.Fprintf(&b, `{"state":"inactive","name":"HighErrorRate%d","query":"sum by (job) (rate(http_requests_total{code=~\"5..\",tenant_id=\"%[2]s\"}[5m])) \u003e 0.05",`+
				`"duration":300,"keepFiringFor":0,"labels":{"severity":"page","tenant_id":%[2]q},"annotations":{"summary":"Errors of {{ $labels.job }} are high"},`+
				`"alerts":[],"health":"ok","evaluationTime":0.000214,"lastEvaluation":"2026-01-01T00:00:00.123456789Z","type":"alerting"}`, r, tenant)
		}
		b.WriteString(`],"interval":60,"limit":0,"evaluationTime":0.004211,"lastEvaluation":"2026-01-01T00:00:00.123456789Z"}`)
	}
	b.WriteString(`]}}`)
	return b.String()
}

// BenchmarkFilterRules compares the streaming filter with the typed baseline
// over the same answer. peak-B is the highest rise of the live heap.
func BenchmarkFilterRules(b *testing.B) {
	v := acme(b)
	for _, share := range []struct {
		name string
		nth  int
	}{{"tenth", 10}, {"all", 1}} {
		answer := rulesAnswer(b, share.nth)
		for _, variant := range []struct {
			name string
			row  func(io.Writer, io.Reader, view) error
		}{{"stream", filters["rules"]}, {"typed", filterTyped}} {
			b.Run(share.name+"/"+variant.name, func(b *testing.B) {
				b.SetBytes(int64(len(answer)))
				b.ReportAllocs()
				for b.Loop() {
					if err := variant.row(io.Discard, strings.NewReader(answer), v); err != nil {
						b.Fatal(err)
					}
				}
				b.StopTimer()
				b.ReportMetric(float64(peakHeap(func() {
					_ = variant.row(io.Discard, strings.NewReader(answer), v)
				})), "peak-B")
			})
		}
	}
}

// peakHeap runs f and returns how far the heap rose above its start.
func peakHeap(f func()) uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before := m.HeapAlloc
	var peak atomic.Uint64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak.Store(max(peak.Load(), m.HeapAlloc))
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Microsecond):
			}
		}
	}()
	f()
	close(stop)
	<-done
	return peak.Load() - min(before, peak.Load())
}
