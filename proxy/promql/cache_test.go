package promql

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func TestTextCacheIsBoundedInBytes(t *testing.T) {
	c := newTextCache(nil, nil)
	for i := range 50_000 {
		k := textKey{"4:acme", anExpression, fmt.Sprintf("%d%s", i, strings.Repeat("x", i%2000))}
		c.add(k, enforcedText{text: "y"})
		c.add(k, enforcedText{text: "y"}) // that it came before makes room for it
		if c.bytes > cachedBytes {
			t.Fatalf("%d bytes after %d texts", c.bytes, i)
		}
	}
	total := 0
	for _, k := range c.texts.Keys() {
		e, _ := c.texts.Peek(k)
		total += size(k, e)
	}
	if total != c.bytes || total < cachedBytes*9/10 {
		t.Errorf("%d bytes are kept, %d are counted", total, c.bytes)
	}
}

func TestEnforcersAreBoundedInBytes(t *testing.T) {
	c := &Enforcers{}
	for i := range 100 {
		names := make([]string, 1000)
		for n := range names {
			names[n] = fmt.Sprintf("t-%d-%d", i, n)
		}
		if _, err := c.For(tenants(t, names...)); err != nil {
			t.Fatal(err)
		}
	}
	total := 0
	for _, e := range c.kept.Values() {
		total += e.size()
	}
	if total != c.bytes || total > keptBytes || total < keptBytes*9/10 {
		t.Errorf("%d bytes are kept, %d are counted", total, c.bytes)
	}
}

// What is counted is what is held, whatever the names look like: many short ones make
// large maps, and those with dots are compiled.
func TestEnforcersTakeWhatIsCounted(t *testing.T) {
	for name, tt := range map[string]struct {
		policies, tenants int
		spell             string // of the numbers of a policy and of a tenant
	}{
		"short names":       {120, 1000, "%d-%x"},
		"names of hosts":    {250, 20, "team-%d-%d.example.com"},
		"distinct initials": {200, 60, "%[2]c.%[1]d"},
	} {
		t.Run(name, func(t *testing.T) {
			c := &Enforcers{}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			for i := range tt.policies {
				names := make([]string, tt.tenants)
				for n := range names {
					names[n] = fmt.Sprintf(tt.spell, i, 0x100+n)
				}
				if _, err := c.For(tenants(t, names...)); err != nil {
					t.Fatal(err)
				}
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			if held := int64(after.HeapAlloc) - int64(before.HeapAlloc); held > keptBytes*3/2 || c.bytes < keptBytes*4/5 {
				t.Errorf("%d kB are held, %d kB are counted", held>>10, c.bytes>>10)
			}
			runtime.KeepAlive(c)
		})
	}
}

func TestTextsThatComeOncePushNoOthersOut(t *testing.T) {
	c := newTextCache(nil, nil)
	key := func(n int) textKey { return textKey{"4:acme", anExpression, strconv.Itoa(n)} }
	const dashboard, once, twice = 100, 50_000, 5
	for i := range dashboard + once {
		c.add(key(i), enforcedText{text: "y"})
	}
	for i := range dashboard {
		if _, ok := c.get(key(i)); !ok {
			t.Fatalf("number %d is gone", i)
		}
	}
	for i := range twice { // 1 in 4 billion comes at the first time
		k := key(dashboard + once + i)
		c.add(k, enforcedText{text: "y"})
		if _, ok := c.get(k); ok {
			t.Errorf("%s is kept though it came once", k.text)
		}
		c.add(k, enforcedText{text: "y"})
		if _, ok := c.get(k); !ok {
			t.Errorf("%s is not kept though it came twice", k.text)
		}
	}
}

func TestCachedTextsDrawOnTheBudget(t *testing.T) {
	hits, misses := 0, 0
	c := &Enforcers{Hit: func() { hits++ }, Miss: func() { misses++ }}
	m, err := c.For(tenants(t, "acme"))
	if err != nil {
		t.Fatal(err)
	}
	text := `up{a="` + strings.Repeat("x", 8000) + `"}`
	b := newBudget() // 64 KiB: eight of them fit
	for i := range 8 {
		if _, err := m.Selector(text, b); err != nil {
			t.Fatalf("number %d: %v", i+1, err)
		}
	}
	if _, err := m.Selector(text, b); err == nil {
		t.Error("more than the budget was let through")
	}
	if hits != 7 || misses != 2 {
		t.Errorf("%v hits and %v misses, want 7 and 2", hits, misses)
	}
}

// For several tenants, whose matcher is compiled at each selector, as well.
func TestCachedTextsDrawOnTheBudgetOfManyTenants(t *testing.T) {
	var names []string
	for i := range 20 {
		names = append(names, fmt.Sprintf("%0200d", i))
	}
	c := new(Enforcers)
	m, err := c.For(tenants(t, names...))
	if err != nil {
		t.Fatal(err)
	}
	b, let := newBudget(), 0
	for i := range 50 {
		text := fmt.Sprintf("up%d", i)
		if _, err := m.Selector(text, newBudget()); err != nil { // known from now on
			t.Fatal(err)
		}
		if _, err := m.Selector(text, b); err == nil {
			let++
		}
	}
	if most := maxEnforcedRegexps / (len(m.wanted[0].Name) + len(m.wanted[0].Value)); let != most {
		t.Errorf("%d selectors are let through, want %d", let, most)
	}
}

// TestCachesDoNotMixTenants asks for the same texts as ever other tenants at
// once, more of them than are kept.
func TestCachesDoNotMixTenants(t *testing.T) {
	c := new(Enforcers)
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 2000 {
				name := fmt.Sprintf("t%d", (i*7+worker)%700)
				m, err := c.For(tenants(t, name))
				if err != nil {
					t.Error(err)
					return
				}
				query := fmt.Sprintf("sum(x%d)", i%50)
				got, err := m.Expression(query, newBudget())
				if want := fmt.Sprintf(`sum(x%d{tenant_id="%s"})`, i%50, name); got != want || err != nil {
					t.Errorf("as %s: %s, %v", name, got, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestKindsAreKeptApart(t *testing.T) {
	c := new(Enforcers)
	m, err := c.For(tenants(t, "acme"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := m.FederatedSelector(`{a=""}`, newBudget()); err != nil || got != `{a="",tenant_id="acme"}` {
			t.Errorf("federation: %s, %v", got, err)
		}
		if _, err := m.Selector(`{a=""}`, newBudget()); err == nil {
			t.Error("a selector without a non-empty matcher was let through")
		}
		if got, err := m.Expression(`{a="b"}`, newBudget()); err != nil || got != `{a="b",tenant_id="acme"}` {
			t.Errorf("an expression: %s, %v", got, err)
		}
	}
}

func TestTextCacheKeepsCopies(t *testing.T) {
	c := newTextCache(nil, nil)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 30 {
		request := fmt.Sprintf("up%02d%s", i, strings.Repeat("x", 1<<20))
		c.add(textKey{"4:acme", anExpression, request[:4]}, enforcedText{text: request[:4]})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if left := int64(after.HeapAlloc) - int64(before.HeapAlloc); left > 8<<20 {
		t.Errorf("%d MiB are left of 30 requests of 1 MiB", left>>20)
	}
	if c.texts.Len() != 30 {
		t.Errorf("%d texts are kept", c.texts.Len())
	}
}
