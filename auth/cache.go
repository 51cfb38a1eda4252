package auth

import (
	"crypto/sha256"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/promfence/promfence/auth/policy"
)

// A cache remembers verified tokens, because a signature costs more than all
// the rest of a request, and what they let their bearers see. It is keyed by
// [cacheKey] and bounded in number.
type cache struct {
	entries *lru.Cache[[sha256.Size]byte, *verified]
}

// A verified token, as long as its exp and the keys that verified it last.
type verified struct {
	id     Identity
	issuer *issuer
	keys   *keySet
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
	entries, err := lru.New[[sha256.Size]byte, *verified](size)
	return &cache{entries: entries}, err
}

// get returns the identity of a token verified before. There is no leeway here:
// after exp a token has to show again that it is acceptable.
func (c *cache) get(key [sha256.Size]byte, now time.Time) (Identity, bool) {
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

func (c *cache) add(key [sha256.Size]byte, v *verified) { c.entries.Add(key, v) }
