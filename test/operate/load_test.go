package operate_test

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// One tenant asks as fast as it can, through an upstream that does only so much
// at a time. Without limits it is in everybody's way, which shows that the test
// would see it; with limits, another tenant does not notice.
func TestFloodOfOneTenantLeavesOthersAlone(t *testing.T) {
	const capacity, each = 8, 50 * time.Millisecond
	room := make(chan bool, capacity)
	up := stub(t, map[string]http.HandlerFunc{"up": func(w http.ResponseWriter, r *http.Request) {
		select {
		case room <- true:
			defer func() { <-room }()
			time.Sleep(each)
			respond(w)
		case <-r.Context().Done():
		}
	}})
	alone := median(t, start(t, up))
	for _, tt := range []struct {
		name     string
		settings []string
		noticed  bool
	}{
		{"without limits", nil, true},
		{"with limits", []string{"LIMITS_CONCURRENT_REQUESTS=4", "LIMITS_REQUESTS_PER_SECOND=100"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := start(t, up, tt.settings...)
			ctx, stop := context.WithCancel(t.Context())
			served, refused, ended := f.flood(ctx, t, "acme", 4*capacity)
			time.Sleep(500 * time.Millisecond)
			beside := median(t, f)
			stop()
			ended()
			t.Logf("median alone %s, beside a flood %s, of which %d were served and %d refused", alone, beside, served.Load(), refused.Load())
			if served.Load() == 0 || (refused.Load() == 0) != tt.noticed {
				t.Errorf("%d of the flood served, %d refused", served.Load(), refused.Load())
			}
			if noticed := beside > alone+each; noticed != tt.noticed {
				t.Errorf("the median is %s alone and %s beside a flood", alone, beside)
			}
		})
	}
}

// flood asks as a tenant, so many at a time, until ctx ends.
func (p process) flood(ctx context.Context, t *testing.T, tenant string, workers int) (served, refused *atomic.Int64, ended func()) {
	t.Helper()
	served, refused = new(atomic.Int64), new(atomic.Int64)
	client, token := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers}}, p.Token(t, tenant)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for ctx.Err() == nil {
				switch status, body, err := ask(ctx, client, p.query("up"), token); {
				case ctx.Err() != nil:
				case err != nil:
					t.Error(err)
				case status == http.StatusTooManyRequests:
					refused.Add(1)
					time.Sleep(5 * time.Millisecond) // this machine has few cores for both sides
				case status == http.StatusOK:
					served.Add(1)
				default:
					t.Errorf("%d %s", status, body)
				}
			}
		})
	}
	return served, refused, all.Wait
}

// median is how long another tenant waits, who asks now and then.
func median(t *testing.T, f process) time.Duration {
	t.Helper()
	token := f.Token(t, "beta")
	all := make([]time.Duration, 25)
	for i := range all {
		begin := time.Now()
		status, body, err := ask(t.Context(), http.DefaultClient, f.query("up"), token)
		if err != nil || status != http.StatusOK {
			t.Fatalf("%d %s %v", status, body, err)
		}
		all[i] = time.Since(begin)
		time.Sleep(20 * time.Millisecond)
	}
	slices.Sort(all)
	return all[len(all)/2]
}
