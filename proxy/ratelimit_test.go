package proxy_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promfence/promfence/proxy"
)

func TestGateGivesOneRequestForEachPartOfASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := proxy.NewGate(proxy.Limits{RequestsPerSecond: 4})
		admitted := 0
		for range 10 * 20 { // ten seconds
			leave, wait := g.Enter("acme")
			if wait > 250*time.Millisecond {
				t.Fatalf("to be tried again after %s", wait)
			}
			if wait == 0 {
				admitted++
				leave()
			}
			time.Sleep(50 * time.Millisecond)
		}
		if admitted < 4+39 || admitted > 4+40 { // the burst, and then four a second
			t.Errorf("%d requests in ten seconds", admitted)
		}
	})
}

// A flood of tenants costs a bounded amount of memory.
func TestGateForgets(t *testing.T) {
	g := proxy.NewGate(proxy.Limits{RequestsPerSecond: 1, ConcurrentRequests: 1})
	for i := range 3 * proxy.TrackedBuckets {
		leave, wait := g.Enter(strconv.Itoa(i))
		if wait > 0 {
			t.Fatal("a tenant's first request is refused")
		}
		leave()
	}
	if buckets, running := g.State(); buckets != proxy.TrackedBuckets || running != 0 {
		t.Errorf("%d buckets, %d running", buckets, running)
	}
}
