package operate_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// One tenant asks as fast as it can; another one does not notice.
func TestFloodOfOneTenantLeavesOthersAlone(t *testing.T) {
	f := start(t, "", stub(t, map[string]http.HandlerFunc{"slow": func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(50 * time.Millisecond)
		_, _ = w.Write([]byte(answer))
	}}), "LIMITS_REQUESTS_PER_SECOND=100", "LIMITS_CONCURRENT_REQUESTS=4")
	beta := f.token(t, "beta")
	alone := latencies(t, f, beta, 40)

	flood := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	acme, stop := f.token(t, "acme"), make(chan struct{})
	var refused, served atomic.Int64
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				switch status, body, err := ask(t.Context(), flood, f.query("slow"), acme); {
				case err != nil:
					t.Errorf("%v", err)
				case status == http.StatusTooManyRequests:
					refused.Add(1)
					time.Sleep(5 * time.Millisecond) // this test has few cores for both sides
				case status == http.StatusOK:
					served.Add(1)
				default:
					t.Errorf("%d %s", status, body)
				}
			}
		})
	}
	time.Sleep(500 * time.Millisecond)
	beside := latencies(t, f, beta, 40)
	close(stop)
	all.Wait()
	if refused.Load() < 100 || served.Load() == 0 {
		t.Errorf("%d refused and %d served: no flood", refused.Load(), served.Load())
	}
	t.Logf("median alone %s, beside a flood %s; 90th percentile %s and %s; %d of the flood refused, %d served",
		alone[20], beside[20], alone[36], beside[36], refused.Load(), served.Load())
	if beside[20] > alone[20]+50*time.Millisecond {
		t.Errorf("the median is %s alone and %s beside a flood", alone[20], beside[20])
	}
}

// latencies asks one by one, at a rate within the limit, and sorts the times.
func latencies(t *testing.T, f *fence, token string, n int) []time.Duration {
	t.Helper()
	var all []time.Duration
	for range n {
		begin := time.Now()
		status, body, err := ask(t.Context(), http.DefaultClient, f.query("up"), token)
		if err != nil || status != http.StatusOK {
			t.Fatalf("%d %s %v", status, body, err)
		}
		all = append(all, time.Since(begin))
		time.Sleep(20 * time.Millisecond)
	}
	slices.Sort(all)
	return all
}

// Every token and every query is new, so that every cache is always full.
// PROMFENCE_SOAK=10m makes it as long as one likes.
func TestSoak(t *testing.T) {
	duration := 15 * time.Second
	if v := os.Getenv("PROMFENCE_SOAK"); v != "" {
		var err error
		if duration, err = time.ParseDuration(v); err != nil {
			t.Fatal(err)
		}
	}
	f := start(t, "", stub(t, nil), "LOG_LEVEL=error", "LIMITS_REQUESTS_PER_SECOND=1000000", "LIMITS_CONCURRENT_REQUESTS=100")
	warm, end := time.Now().Add(duration/2), time.Now().Add(duration)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	run := func(until time.Time) (requests int64) {
		var n atomic.Int64
		var all sync.WaitGroup
		for worker := range 8 {
			all.Go(func() {
				for i := 0; time.Now().Before(until); i++ {
					id := fmt.Sprintf("%d_%d_%d", worker, i, time.Now().UnixNano())
					token := f.token(t, "tenant-"+id)
					for range 4 {
						query := fmt.Sprintf(`sum by (job) (rate(requests_%s{path=~"/%s.*"}[5m]))`, id, strings.Repeat("x", i%500))
						if status, body, err := ask(t.Context(), client, f.query(query), token); err != nil || status != http.StatusOK {
							t.Errorf("%d %s %v", status, body, err)
							return
						}
						n.Add(1)
					}
				}
			})
		}
		all.Wait()
		client.CloseIdleConnections()
		return n.Load()
	}
	first := run(warm)
	heap, goroutines := f.heap(t), f.metric(t, "go_goroutines")
	second := run(end)
	after := f.heap(t)
	t.Logf("%d requests in %s: heap %.1f MiB halfway and %.1f MiB at the end, %v goroutines and %v, resident %.1f MiB", first+second, duration,
		heap/(1<<20), after/(1<<20), goroutines, f.metric(t, "go_goroutines"), f.metric(t, "process_resident_memory_bytes")/(1<<20))
	if after > heap*1.25+4<<20 {
		t.Errorf("the heap grows: %.0f bytes halfway, %.0f at the end", heap, after)
	}
	f.settles(t, goroutines)
}

// heap is what is in use after a collection.
func (f *fence) heap(t *testing.T) float64 {
	t.Helper()
	for range 2 { // what the first one finalizes, the second one frees
		if status, _, err := ask(t.Context(), http.DefaultClient, f.admin+"/debug/pprof/heap?gc=1", ""); err != nil || status != http.StatusOK {
			t.Fatal(status, err)
		}
	}
	return f.metric(t, "go_memstats_heap_alloc_bytes")
}
