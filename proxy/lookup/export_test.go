package lookup

// Kept is how many entries there are, and how many bytes they take.
func (c *Cache[T]) Kept() (entries, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.kept), c.bytes
}

// The bounds of a Cache.
const (
	TTL     = standardTTL
	Entries = standardEntries
	Bytes   = maxBytes
)
