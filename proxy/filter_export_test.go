package proxy

import (
	"context"
	"io"
	"time"

	"github.com/promfence/promfence/proxy/filter"
)

// RunFilter runs a filter as a request does: its panic is an error.
func RunFilter(f filter.Filter, dst io.Writer, src io.Reader) error {
	return runFilter(f, dst, src, filter.View{})
}

// NoSuchPath reports whether a text with status 400 is known to mean a 404.
var NoSuchPath = noSuchPath

// A Lookup is a lookup of texts.
type Lookup struct{ l *lookup[string] }

// NewLookup makes one whose entries are as large as their texts.
func NewLookup() *Lookup {
	return &Lookup{newLookup(func(s string) int { return len(s) })}
}

func (l *Lookup) Of(ctx context.Context, key string, fetch func(context.Context) (string, error)) (string, error) {
	return l.l.of(ctx, key, time.Minute, fetch)
}

// Kept is how many entries there are, and how many bytes they take.
func (l *Lookup) Kept() (entries, bytes int) {
	l.l.mu.Lock()
	defer l.l.mu.Unlock()
	return len(l.l.kept), l.l.bytes
}

// The bounds of a lookup.
const (
	LookupEntries = lookupEntries
	LookupBytes   = lookupBytes
	LookupTTL     = lookupTTL
)
