package lookup_test

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

	"github.com/promfence/promfence/proxy/lookup"
)

func newCache() *lookup.Cache[string] {
	return lookup.New(func(s string) int { return len(s) }, 0, nil)
}

func gives(text string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return text, nil }
}

func TestKeepsAnAnswerForItsKeyAndTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newCache()
		steps := []struct {
			after             time.Duration
			key, answer, want string
		}{
			{0, "acme", "one", "one"},
			{lookup.TTL - 1, "acme", "two", "one"},
			{0, "globex", "other", "other"},
			{1, "acme", "three", "three"},
			{lookup.TTL - 1, "acme", "four", "three"},
		}
		for i, s := range steps {
			time.Sleep(s.after)
			if got, err := l.Of(t.Context(), s.key, time.Minute, gives(s.answer)); err != nil || got != s.want {
				t.Errorf("step %d: %q %v, want %q", i, got, err, s.want)
			}
		}
		time.Sleep(lookup.TTL)
		synctest.Wait()
		if n, bytes := l.Kept(); n != 0 || bytes != 0 {
			t.Errorf("%d entries of %d bytes are left of no use", n, bytes)
		}
	})
}

func TestKeepsNoFailure(t *testing.T) {
	l, broken := newCache(), errors.New("away")
	for what, fetch := range map[string]func(context.Context) (string, error){
		"an error": func(context.Context) (string, error) { return "half", broken },
		"a panic":  func(context.Context) (string, error) { panic("no") },
	} {
		if got, err := l.Of(t.Context(), "k", time.Minute, fetch); err == nil || got != "" {
			t.Errorf("%s: %q %v", what, got, err)
		}
	}
	if got, err := l.Of(t.Context(), "k", time.Minute, gives("good")); err != nil || got != "good" {
		t.Errorf("%q %v", got, err)
	}
}

func TestIsBounded(t *testing.T) {
	l := newCache()
	for i := range lookup.Entries + 10 {
		if _, err := l.Of(t.Context(), fmt.Sprint(i), time.Minute, gives("x")); err != nil {
			t.Fatal(err)
		}
	}
	if n, _ := l.Kept(); n != lookup.Entries {
		t.Errorf("%d entries", n)
	}
	large := strings.Repeat("x", lookup.Bytes/4)
	for i := range 10 {
		_, _ = l.Of(t.Context(), fmt.Sprint("large", i), time.Minute, gives(large))
	}
	if n, bytes := l.Kept(); bytes > lookup.Bytes || n != 3 {
		t.Errorf("%d entries of %d bytes", n, bytes)
	}
	if got, _ := l.Of(t.Context(), "larger", time.Minute, gives(strings.Repeat(large, 5))); len(got) != 5*len(large) {
		t.Errorf("%d bytes", len(got))
	}
	if n, _ := l.Kept(); n != 3 {
		t.Errorf("%d entries after one that does not fit", n)
	}
}

// One question at a time for each key, and it is nobody's who leaves.
func TestAsksOnceForAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newCache()
		var count atomic.Int32
		slow := func(ctx context.Context) (string, error) {
			count.Add(1)
			time.Sleep(time.Second)
			return "x", ctx.Err()
		}
		first, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := l.Of(first, "k", time.Minute, slow); !errors.Is(err, context.Canceled) {
				t.Errorf("who left: %v", err)
			}
		})
		synctest.Wait()
		for range 5 {
			wg.Go(func() {
				if got, err := l.Of(t.Context(), "k", time.Minute, slow); err != nil || got != "x" {
					t.Errorf("%q %v", got, err)
				}
			})
		}
		wg.Go(func() {
			if _, err := l.Of(t.Context(), "other", time.Minute, slow); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		leave()
		wg.Wait()
		if count.Load() != 2 {
			t.Errorf("asked %d times", count.Load())
		}
		time.Sleep(2 * lookup.TTL)
	})
}

// Where answers are good for times of their own, each is kept for its own.
func TestAnAnswerIsGoodForItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := lookup.New(func(s string) int { return len(s) }, 2, func(s string) time.Duration { return time.Duration(len(s)) * time.Hour })
		for _, step := range []struct {
			after             time.Duration
			key, answer, want string
		}{
			{0, "short", "a", "a"},
			{0, "long", "bb", "bb"},
			{time.Hour - 1, "short", "c", "a"},
			{1, "short", "ccc", "ccc"},
			{time.Hour - 1, "long", "d", "bb"},
			{0, "third", "e", "e"}, // and the one that ends first makes room
			{0, "long", "d", "d"},
		} {
			time.Sleep(step.after)
			if got, err := c.Of(t.Context(), step.key, time.Minute, gives(step.answer)); err != nil || got != step.want {
				t.Errorf("%s: %q %v, want %q", step.key, got, err, step.want)
			}
		}
	})
}
