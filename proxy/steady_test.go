package proxy_test

import (
	"os"
	"testing"
	"time"

	"github.com/promfence/promfence/auth/authtest"
)

func TestMain(m *testing.M) { os.Exit(authtest.RunWaiting(m)) }

// steady repeats a try until it passes. A failure counts only if the machine kept time
// meanwhile: with too much to do it exceeds limits that nobody else has.
func steady(t *testing.T, try func() (failure string)) {
	t.Helper()
	const onTime, tries = 30 * time.Millisecond, 20
	for range tries {
		lateness := measureLateness()
		failure := try()
		if late := lateness(); failure == "" {
			return
		} else if t.Logf("%s, while the machine was late by %s", failure, late); late < onTime {
			t.FailNow()
		}
	}
	t.Fatalf("it fails %d times, on a machine that does not keep time", tries)
}

// measureLateness returns a function that tells how late at most somebody woke who has
// slept again and again since.
func measureLateness() func() time.Duration {
	const nap = 10 * time.Millisecond
	end, worst := make(chan struct{}), make(chan time.Duration)
	go func() {
		longest := time.Duration(0)
		for ended := false; !ended; {
			begin := time.Now()
			select {
			case <-end:
				ended = true
			case <-time.After(nap):
			}
			longest = max(longest, time.Since(begin)-nap)
		}
		worst <- longest
	}()
	return func() time.Duration {
		close(end)
		return <-worst
	}
}
