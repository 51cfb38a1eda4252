package auth

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/promfence/promfence/auth/policy"
)

// A cache remembers verified tokens, because a signature costs more than all
// the rest of a request, and what they let their bearers see. It is keyed by
// [cacheKey], and bounded in number and in bytes: a bearer of hundreds of policies
// takes the place of several.
type cache struct {
	mu      sync.Mutex
	entries *simplelru.LRU[[sha256.Size]byte, *verified]
	bytes   int
	most    int // bytes
}

// What an entry takes without what it names, and what it may take when all are taken.
const (
	entryBytes = 600
	entryShare = 1 << 10
)

// A verified token, as long as its exp and the keys that verified it last.
type verified struct {
	id     Identity
	issuer *issuer
	keys   *keySet
}

// size is about how many bytes a verified token takes. The key of a label policy has
// each of its values once.
func (v *verified) size() int {
	const header, copies = 16, 4 // of a string; the values with their headers, and the key
	labels := len(v.id.Labels.Key()) + len(v.id.Silences.Key())
	return entryBytes + len(v.id.Subject) + header*len(v.id.Policies) + copies*labels
}

// cacheKey is the SHA-256 of a token, so that memory holds no tokens and no two
// tokens share an entry, and of the headers by which its bearer asks for less.
func cacheKey(token string, n policy.Narrowing) [sha256.Size]byte {
	var room [2 << 10]byte // most tokens fit: no allocation for a copy
	key := sha256.Sum256(append(room[:0], token...))
	if n.IsZero() {
		return key
	}
	return sha256.Sum256(append(key[:], n.Key()...)) // longer than any token's hash, and so apart from tokens'
}

func newCache(size int) (*cache, error) {
	c := &cache{most: size * entryShare}
	var err error
	c.entries, err = simplelru.NewLRU(size, func(_ [sha256.Size]byte, v *verified) { c.bytes -= v.size() })
	return c, err
}

// get returns the identity of a token verified before. There is no leeway here:
// after exp a token has to show again that it is acceptable.
func (c *cache) get(key [sha256.Size]byte, now time.Time) (Identity, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.entries.Get(key)
	if !ok {
		return Identity{}, false
	}
	if !now.Before(v.id.Expires) || v.issuer.keys.Load() != v.keys {
		c.entries.Remove(key)
		return Identity{}, false
	}
	return v.id, true
}

func (c *cache) add(key [sha256.Size]byte, v *verified) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries.Remove(key) // another request may have added it; its bytes go with it
	c.entries.Add(key, v)
	for c.bytes += v.size(); c.bytes > c.most; {
		c.entries.RemoveOldest()
	}
}
