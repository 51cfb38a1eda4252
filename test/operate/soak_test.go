package operate_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Every token, tenant and query is new, so that every cache is always full.
// PROMFENCE_SOAK=10m makes it as long as one likes (with -timeout 15m). What the
// process holds is measured ten times, with nothing under way: from the third on,
// when all caches have filled, it must not grow.
func TestSoak(t *testing.T) {
	t.Parallel() // beside those that wait
	const parts = 10
	duration := 15 * time.Second
	if v := os.Getenv("PROMFENCE_SOAK"); v != "" {
		var err error
		if duration, err = time.ParseDuration(v); err != nil {
			t.Fatal(err)
		}
	}
	f := start(t, stub(t, nil), append(quiet(t), "LIMITS_REQUESTS_PER_SECOND=1000000", "LIMITS_CONCURRENT_REQUESTS=100")...)
	s := &soak{process: f, codes: map[int]int{}, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}}
	var all []usage
	for i := range parts {
		s.run(t, duration/parts)
		u := f.rest(t, all)
		all = append(all, u)
		t.Logf("%3d%%: heap %.1f MiB, resident %.1f MiB, %v goroutines, %v files; %d requests, %d tokens and as many tenants and queries",
			100*(i+1)/parts, u.heap/mib, u.resident/mib, u.goroutines, u.files, s.requests(), s.tokens.Load())
	}
	if s.codes[http.StatusOK] == 0 || len(s.codes) > 1 {
		t.Errorf("requests by status code, 0 without an answer: %v", s.codes)
	}
	early, late := worst(all[2:6]), worst(all[6:])
	for what, grown := range map[string]bool{
		"heap": late.heap > early.heap*1.25+4*mib, "resident memory": late.resident > early.resident*1.25+8*mib,
		"number of goroutines": late.goroutines > early.goroutines+10, "number of files": late.files > early.files+10,
	} {
		if grown {
			t.Errorf("the %s grows: at most %+v until 60%%, %+v after that", what, early, late)
		}
	}
}

// A soak asks all the time.
type soak struct {
	process
	client *http.Client
	tokens atomic.Int64

	mu    sync.Mutex
	codes map[int]int
}

func (s *soak) run(t *testing.T, d time.Duration) {
	t.Helper()
	end := time.Now().Add(d)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for time.Now().Before(end) {
				n := s.tokens.Add(1)
				token := s.Token(t, fmt.Sprintf("tenant-%d", n))
				for range 4 {
					query := fmt.Sprintf(`sum by (job) (rate(requests_%d{path=~"/%s.*"}[5m]))`, n, strings.Repeat("x", int(n%500)))
					status, _, err := ask(t.Context(), s.client, s.query(query), token)
					if err != nil {
						status = 0
						t.Log(err)
					}
					s.mu.Lock()
					s.codes[status]++
					s.mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	s.client.CloseIdleConnections()
}

func (s *soak) requests() (sum int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range maps.Values(s.codes) {
		sum += n
	}
	return sum
}

// rest waits a moment for connections to end, and measures.
func (p process) rest(t *testing.T, before []usage) usage {
	t.Helper()
	u := p.usage(t)
	for range 20 {
		if len(before) == 0 || u.goroutines <= before[0].goroutines && u.files <= before[0].files {
			break
		}
		time.Sleep(20 * time.Millisecond)
		u = p.usage(t)
	}
	return u
}

// worst takes each figure at its highest.
func worst(all []usage) (w usage) {
	for _, u := range all {
		w = usage{max(w.heap, u.heap), max(w.resident, u.resident), max(w.goroutines, u.goroutines), max(w.files, u.files)}
	}
	return w
}
