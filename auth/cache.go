package auth

import (
	"crypto/sha256"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// A cache remembers verified tokens, because a signature costs more than all
// the rest of a request. It is keyed by the token's SHA-256, so that memory
// holds no tokens and no two tokens share an entry, and bounded in number.
type cache struct {
	entries *lru.Cache[[sha256.Size]byte, *verified]
}

// A verified token, as long as its exp and the keys that verified it last.
type verified struct {
	id     Identity
	issuer *issuer
	keys   *keySet
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
