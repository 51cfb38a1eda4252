package proxy

import (
	"strings"
	"sync"

	"github.com/hashicorp/golang-lru/v2"
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/promfence/promfence/auth"
)

// A matcherCache keeps the matchers of the latest tenant sets.
type matcherCache struct {
	label, onConflict string
	queries           *queryCache
	kept              *lru.Cache[string, *tenantMatcher]
}

const keptMatchers = 512

func newMatcherCache(label, onConflict string, m *metrics) *matcherCache {
	kept, err := lru.New[string, *tenantMatcher](keptMatchers)
	if err != nil { // the size is a positive constant
		panic(err)
	}
	return &matcherCache{label, onConflict, newQueryCache(m), kept}
}

func (c *matcherCache) of(tenants auth.Tenants) (*tenantMatcher, error) {
	if m, ok := c.kept.Get(tenants.Key()); ok {
		return m, nil
	}
	m, err := newTenantMatcher(c.label, tenants, c.onConflict)
	if err != nil {
		return nil, err
	}
	m.queries = c.queries
	c.kept.Add(tenants.Key(), m)
	return m, nil
}

// A queryKey is everything that decides what an enforced text is: the tenants,
// unambiguously joined, how the text is read, and the text as it was sent. The
// label and the settings are the Proxy's, and do not change.
type queryKey struct {
	tenants string
	kind    textKind
	text    string
}

type textKind byte

const (
	anExpression textKind = iota
	aSelector             // with a non-empty matcher
	aFederated            // as federation takes it
)

// An enforcedText is a text that was verified, and what it cost of a budget.
type enforcedText struct {
	text string
	cost charges
}

// A queryCache keeps the latest enforced texts, bounded in bytes. What was
// refused is not kept.
type queryCache struct {
	metrics *metrics

	mu    sync.Mutex
	texts *simplelru.LRU[queryKey, enforcedText]
	bytes int
}

const (
	cachedBytes   = 3 << 20
	cachedText    = 16 << 10 // longer texts are rarely sent again
	entryOverhead = 256      // of the map, the list and the structs
)

func newQueryCache(m *metrics) *queryCache {
	c := &queryCache{metrics: m}
	texts, err := simplelru.NewLRU(cachedBytes/entryOverhead, func(k queryKey, e enforcedText) { c.bytes -= size(k, e) })
	if err != nil { // the size is a positive constant
		panic(err)
	}
	c.texts = texts
	return c
}

func size(k queryKey, e enforcedText) int {
	return entryOverhead + len(k.tenants) + len(k.text) + len(e.text)
}

func (c *queryCache) get(k queryKey) (enforcedText, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.texts.Get(k)
}

// add keeps copies: a text may be a part of a request, all of which it would keep.
func (c *queryCache) add(k queryKey, e enforcedText) {
	if size(k, e) > cachedText {
		return
	}
	k.text, e.text = strings.Clone(k.text), strings.Clone(e.text)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.texts.Contains(k) {
		return
	}
	c.texts.Add(k, e)
	for c.bytes += size(k, e); c.bytes > cachedBytes; {
		c.texts.RemoveOldest()
	}
}

// cached returns the enforced form of a text, from the cache or by compute. A
// kept text draws on the budget as it did when it was new; where it does not
// fit, compute says why.
func (m *tenantMatcher) cached(kind textKind, text string, b *budget, compute func() (string, error)) (string, error) {
	if m.queries == nil {
		return compute()
	}
	key := queryKey{m.tenants.Key(), kind, text}
	if e, ok := m.queries.get(key); ok && b.take(e.cost, m.Matcher) {
		m.queries.metrics.cacheHits.Inc()
		return e.text, nil
	}
	m.queries.metrics.cacheMisses.Inc()
	before := b.charges
	enforced, err := compute()
	if err == nil {
		m.queries.add(key, enforcedText{enforced, b.minus(before)})
	}
	return enforced, err
}
