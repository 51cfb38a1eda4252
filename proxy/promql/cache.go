package promql

import (
	"hash/maphash"
	"strings"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/apierr"
)

// Enforcers makes an Enforcer of each label policy. It keeps those of the latest
// label policies, and the latest texts. The fields are set before the first use; then
// it is safe for concurrent use.
type Enforcers struct {
	// RejectConflicts refuses, with a 403, a caller's own matcher on an enforced label
	// that can select nothing of what they may see. Without it such a matcher stays
	// beside the enforced one: asking for somebody else's series answers nothing.
	RejectConflicts bool

	// Hit counts a text that had been enforced before, Miss one that was enforced
	// anew or refused. Nil counts nothing.
	Hit, Miss func()

	once  sync.Once
	texts *textCache

	mu    sync.Mutex
	kept  *simplelru.LRU[string, *Enforcer]
	bytes int
}

// What is kept of Enforcers: so many, and so many bytes.
const (
	keptEnforcers = 512
	keptBytes     = 6 << 20
)

func (c *Enforcers) prepare() {
	kept, err := simplelru.NewLRU(keptEnforcers, func(_ string, e *Enforcer) { c.bytes -= e.size() })
	if err != nil { // the size is a positive constant
		panic(err)
	}
	c.kept, c.texts = kept, newTextCache(c.Hit, c.Miss)
}

// For returns the Enforcer of a label policy. The zero Labels is an error, and so is
// one that is too long to be written into every selector.
func (c *Enforcers) For(l policy.Labels) (*Enforcer, error) {
	c.once.Do(c.prepare)
	c.mu.Lock()
	e, ok := c.kept.Get(l.Key())
	c.mu.Unlock()
	if ok {
		return e, nil
	}
	e, err := newEnforcer(l, c.RejectConflicts)
	if err != nil {
		return nil, err
	}
	e.cache = c.texts
	c.keep(e)
	return e, nil
}

// keep keeps one more, and gives up those that were not used for the longest time.
func (c *Enforcers) keep(e *Enforcer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept.Remove(e.labels.Key()) // another request may have made one, too
	c.kept.Add(e.labels.Key(), e)
	for c.bytes += e.size(); c.bytes > keptBytes; {
		c.kept.RemoveOldest()
	}
}

// size is about how many bytes an Enforcer takes, measured with 1 to 1,000 tenants: its
// values in lists and maps, and copies of the text. Where values have a dot or another
// byte with a meaning, it holds a compiled expression, too; small ones have tables.
func (e *Enforcer) size() int {
	const fixed, value, copies, compiled, small, tables = 1 << 10, 112, 4, 45, 150, 50 << 10
	n := fixed + copies*len(e.everything)
	for _, m := range e.matchers {
		n += value * len(m.policy.Values)
		if strings.Contains(m.Value, `\`) {
			n += min(small*len(m.Value), compiled*len(m.Value)+tables)
		}
	}
	return n
}

// A textKey is everything that decides what an enforced text is: the label policy's
// key, how the text is read, and the text as it was sent. RejectConflicts does not change.
type textKey struct {
	policy string
	kind   textKind
	text   string
}

type textKind byte

const (
	anExpression textKind = iota
	aSelector             // with a non-empty matcher
	aFederated            // as federation takes it
)

// An enforcedText is a text that was verified, what it cost of a budget, and which of
// its matchers can select nothing.
type enforcedText struct {
	text     string
	cost     charges
	conflict string
}

// A textCache keeps enforced texts, bounded in bytes. While it is full, a text has to
// come twice to take the place of the one that was not used for the longest time:
// queries that come once push no dashboard out. What was refused is not kept.
type textCache struct {
	hit, miss func()

	mu    sync.Mutex
	texts *simplelru.LRU[textKey, enforcedText]
	bytes int
	seed  maphash.Seed
	seen  [seenTexts]uint32 // the upper half of a text's hash, at the lower half
}

const (
	cachedBytes   = 2 << 20
	cachedText    = 16 << 10 // longer texts are rarely sent again
	entryOverhead = 256      // of the map, the list and the structs
	seenTexts     = 4 << 10
)

func newTextCache(hit, miss func()) *textCache {
	c := &textCache{hit: hit, miss: miss, seed: maphash.MakeSeed()}
	if hit == nil {
		c.hit = func() {}
	}
	if miss == nil {
		c.miss = func() {}
	}
	texts, err := simplelru.NewLRU(cachedBytes/entryOverhead, func(k textKey, e enforcedText) { c.bytes -= size(k, e) })
	if err != nil { // the size is a positive constant
		panic(err)
	}
	c.texts = texts
	return c
}

func size(k textKey, e enforcedText) int {
	return entryOverhead + len(k.policy) + len(k.text) + len(e.text) + len(e.conflict)
}

func (c *textCache) get(k textKey) (enforcedText, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.texts.Get(k)
}

// add keeps copies: a text may be a part of a request, all of which it would keep.
func (c *textCache) add(k textKey, e enforcedText) {
	taken := size(k, e)
	if taken > cachedText {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.texts.Contains(k) || c.bytes+taken > cachedBytes && !c.cameBefore(k) {
		return
	}
	k.text, e.text, e.conflict = strings.Clone(k.text), strings.Clone(e.text), strings.Clone(e.conflict)
	c.texts.Add(k, e)
	for c.bytes += taken; c.bytes > cachedBytes; {
		c.texts.RemoveOldest()
	}
}

// cameBefore reports whether a text, or another one with its hash, is among the latest
// that came while the cache was full.
func (c *textCache) cameBefore(k textKey) bool {
	hash := maphash.Comparable(c.seed, k)
	latest, upper := &c.seen[hash%seenTexts], uint32(hash>>32)
	before := *latest == upper
	*latest = upper
	return before
}

// cached returns the enforced form of a text, from the cache or by compute. A
// kept text draws on the budget as it did when it was new; where it does not
// fit, compute says why.
func (e *Enforcer) cached(kind textKind, text string, b *Budget, compute func() (string, error)) (string, error) {
	if e.labels.IsZero() {
		return "", apierr.Internal(errNoPolicy)
	}
	key := textKey{e.labels.Key(), kind, text}
	if kept, ok := e.cache.get(key); ok && b.take(kept.cost) {
		e.cache.hit()
		b.noteConflict(kept.conflict)
		return kept.text, nil
	}
	e.cache.miss()
	before, conflict := b.charges, b.conflict
	b.conflict = "" // to see whether this text has one
	enforced, err := compute()
	if err == nil {
		e.cache.add(key, enforcedText{enforced, b.minus(before), b.conflict})
	}
	if conflict != "" {
		b.conflict = conflict
	}
	return enforced, err
}
