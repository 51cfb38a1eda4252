package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promfence/promfence/proxy"
)

func gives(text string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return text, nil }
}

func TestLookupKeepsAnAnswerForItsKeyAndTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := proxy.NewLookup()
		steps := []struct {
			after             time.Duration
			key, answer, want string
		}{
			{0, "acme", "one", "one"},
			{proxy.LookupTTL - 1, "acme", "two", "one"},
			{0, "globex", "other", "other"},
			{1, "acme", "three", "three"},
			{proxy.LookupTTL - 1, "acme", "four", "three"},
		}
		for i, s := range steps {
			time.Sleep(s.after)
			if got, err := l.Of(t.Context(), s.key, gives(s.answer)); err != nil || got != s.want {
				t.Errorf("step %d: %q %v, want %q", i, got, err, s.want)
			}
		}
		time.Sleep(proxy.LookupTTL)
		synctest.Wait()
		if n, bytes := l.Kept(); n != 0 || bytes != 0 {
			t.Errorf("%d entries of %d bytes are left of no use", n, bytes)
		}
	})
}

func TestLookupKeepsNoFailure(t *testing.T) {
	l, broken := proxy.NewLookup(), errors.New("away")
	for what, fetch := range map[string]func(context.Context) (string, error){
		"an error": func(context.Context) (string, error) { return "half", broken },
		"a panic":  func(context.Context) (string, error) { panic("no") },
	} {
		if got, err := l.Of(t.Context(), "k", fetch); err == nil || got != "" {
			t.Errorf("%s: %q %v", what, got, err)
		}
	}
	if got, err := l.Of(t.Context(), "k", gives("good")); err != nil || got != "good" {
		t.Errorf("%q %v", got, err)
	}
}

func TestLookupIsBounded(t *testing.T) {
	l := proxy.NewLookup()
	for i := range proxy.LookupEntries + 10 {
		if _, err := l.Of(t.Context(), fmt.Sprint(i), gives("x")); err != nil {
			t.Fatal(err)
		}
	}
	if n, _ := l.Kept(); n != proxy.LookupEntries {
		t.Errorf("%d entries", n)
	}
	large := strings.Repeat("x", proxy.LookupBytes/4)
	for i := range 10 {
		_, _ = l.Of(t.Context(), fmt.Sprint("large", i), gives(large))
	}
	if n, bytes := l.Kept(); bytes > proxy.LookupBytes || n != 3 {
		t.Errorf("%d entries of %d bytes", n, bytes)
	}
	if got, _ := l.Of(t.Context(), "larger", gives(strings.Repeat(large, 5))); len(got) != 5*len(large) {
		t.Errorf("%d bytes", len(got))
	}
	if n, _ := l.Kept(); n != 3 {
		t.Errorf("%d entries after one that does not fit", n)
	}
}

// One question at a time for each key, and it is nobody's who leaves.
func TestLookupAsksOnceForAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := proxy.NewLookup()
		var count atomic.Int32
		slow := func(ctx context.Context) (string, error) {
			count.Add(1)
			time.Sleep(time.Second)
			return "x", ctx.Err()
		}
		first, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := l.Of(first, "k", slow); !errors.Is(err, context.Canceled) {
				t.Errorf("who left: %v", err)
			}
		})
		synctest.Wait()
		for range 5 {
			wg.Go(func() {
				if got, err := l.Of(t.Context(), "k", slow); err != nil || got != "x" {
					t.Errorf("%q %v", got, err)
				}
			})
		}
		wg.Go(func() {
			if _, err := l.Of(t.Context(), "other", slow); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		leave()
		wg.Wait()
		if count.Load() != 2 {
			t.Errorf("asked %d times", count.Load())
		}
		time.Sleep(2 * proxy.LookupTTL)
	})
}
