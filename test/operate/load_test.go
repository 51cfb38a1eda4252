package operate_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// One tenant asks as fast as it can, through an upstream that does only so much
// at a time. Without limits it is in everybody's way, which shows that the test
// would see it; with limits, another tenant finds room at once.
func TestFloodOfOneTenantLeavesOthersAlone(t *testing.T) {
	const capacity, each, asked = 8, 50 * time.Millisecond, 10
	room := make(chan bool, capacity)
	var waited atomic.Int64 // requests of beta that found no room
	up := stub(t, map[string]http.HandlerFunc{"up": func(w http.ResponseWriter, r *http.Request) {
		select {
		case room <- true:
		default:
			if strings.Contains(r.FormValue("query"), `"beta"`) {
				waited.Add(1)
			}
			select {
			case room <- true:
			case <-r.Context().Done():
				return
			}
		}
		time.Sleep(each)
		<-room
		respond(w)
	}})
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
			for served.Load() < capacity { // the flood has begun
				time.Sleep(time.Millisecond)
			}
			waited.Store(0)
			for range asked {
				f.wants(t, "beta", "up", http.StatusOK)
			}
			found := waited.Load()
			stop()
			ended()
			t.Logf("%d of %d found no room beside a flood, of which %d were served and %d refused", found, asked, served.Load(), refused.Load())
			if served.Load() == 0 || (refused.Load() == 0) != tt.noticed {
				t.Errorf("%d of the flood served, %d refused", served.Load(), refused.Load())
			}
			if tt.noticed != (found > 0) {
				t.Errorf("%d of another tenant's %d requests found no room", found, asked)
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
