package admission_test

import (
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/admission"
	"github.com/promfence/promfence/proxy/apierr"
)

func TestGateGivesOneRequestForEachPartOfASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := new(admission.Gate)
		admitted := 0
		for range 10 * 20 { // ten seconds
			leave, err := g.Enter("acme", policy.Limits{RequestsPerSecond: 4})
			switch {
			case err == nil:
				admitted++
				leave()
			case apierr.From(err).RetryAfter > 250*time.Millisecond:
				t.Fatalf("to be tried again after %s", apierr.From(err).RetryAfter)
			}
			time.Sleep(50 * time.Millisecond)
		}
		if admitted < 4+39 || admitted > 4+40 { // the burst, and then four a second
			t.Errorf("%d requests in ten seconds", admitted)
		}
	})
}

func TestABucketAtItsLimitIsRefusedAlone(t *testing.T) {
	for limit, l := range map[string]policy.Limits{
		"concurrent_requests": {ConcurrentRequests: 1},
		"requests_per_second": {RequestsPerSecond: 1, Burst: 1},
	} {
		t.Run(limit, func(t *testing.T) {
			g := new(admission.Gate)
			leave, err := g.Enter("acme", l)
			if err != nil {
				t.Fatal(err)
			}
			_, err = g.Enter("acme", l)
			if e := apierr.From(err); err == nil || e.Status != http.StatusTooManyRequests || e.Limit != limit || e.RetryAfter <= 0 {
				t.Errorf("a second request: %v", err)
			}
			if _, err := g.Enter("globex", l); err != nil {
				t.Errorf("another bucket: %v", err)
			}
			leave()
			if _, err := g.Enter("acme", l); (err == nil) != (limit == "concurrent_requests") {
				t.Errorf("when the first has ended: %v", err)
			}
			if _, err := g.Enter("acme", policy.Limits{}); err != nil {
				t.Errorf("without limits: %v", err)
			}
		})
	}
}

// A bucket whose limit changes keeps what is in it.
func TestAChangedLimitFillsNoBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := new(admission.Gate)
		for range 2 {
			if _, err := g.Enter("acme", policy.Limits{RequestsPerSecond: 2}); err != nil {
				t.Fatal(err)
			}
		}
		more := policy.Limits{RequestsPerSecond: 4}
		if _, err := g.Enter("acme", more); err == nil {
			t.Error("a new limit, and a full bucket at once")
		}
		time.Sleep(time.Second)
		if _, err := g.Enter("acme", more); err != nil {
			t.Errorf("a second later: %v", err)
		}
	})
}

// A flood of tenants costs a bounded amount of memory.
func TestGateForgets(t *testing.T) {
	g := new(admission.Gate)
	for i := range 3 * admission.TrackedBuckets {
		leave, err := g.Enter(strconv.Itoa(i), policy.Limits{RequestsPerSecond: 1, ConcurrentRequests: 1})
		if err != nil {
			t.Fatal("a tenant's first request is refused")
		}
		leave()
	}
	if buckets, running := g.State(); buckets != admission.TrackedBuckets || running != 0 {
		t.Errorf("%d buckets, %d running", buckets, running)
	}
}
