package proxy

import (
	"context"
	"io"
	"net/url"
	"time"

	"github.com/promfence/promfence/auth"
)

// A FilterView spells a view for the tests of package proxy_test.
type FilterView struct {
	Label                       string
	Tenants                     auth.Tenants
	Params                      url.Values
	SharedRules, SharedMetadata bool
	Families                    map[string]bool
	FamiliesErr                 error
	TargetTexts                 io.Reader // an answer of /api/v1/targets/metadata
}

// Filters are the answer filters by the last part of their path.
var Filters = map[string]func(dst io.Writer, src io.Reader, v FilterView) error{
	"rules":            exportFilter(filterRules),
	"alerts":           exportFilter(filterAlerts),
	"targets":          exportFilter(filterTargets),
	"targets/metadata": exportFilter(filterTargetsMetadata),
	"metadata":         exportFilter(filterMetadata),
	"query_exemplars":  exportFilter(filterExemplars),
}

// What the request's side refuses before a filter runs.
var (
	CheckRulesParams    = checkRulesParams
	CheckMetadataParams = checkMetadataParams
	ErrAnswer           = errAnswer
)

// ScanValue reads one value with the scanner and returns what it kept of it.
func ScanValue(src io.Reader) ([]byte, error) {
	s, h := newScanner(src), hold{}
	if _, err := s.peek(); err != nil {
		return nil, err
	}
	s.keep(&h)
	err := s.value()
	s.kept()
	if err == nil {
		if _, trailing := s.peek(); trailing == nil {
			err = s.malformed()
		}
	}
	return h.bytes, err
}

// ScanText reads one string with the scanner.
func ScanText(src io.Reader, limit int) (string, bool, error) {
	text, whole, err := newScanner(src).text(limit)
	return string(text), whole, err
}

// RunFilter runs a filter as a request does: its panic is an error.
func RunFilter(name string, dst io.Writer, src io.Reader, v FilterView) error {
	return runFilter(func(dst io.Writer, src io.Reader, _ view) error { return Filters[name](dst, src, v) }, dst, src, view{})
}

// NoSuchPath reports whether a text with status 400 is known to mean a 404.
var NoSuchPath = noSuchPath

// MaxDepth is how many brackets may be open, and MaxElement the bound of one element.
const (
	MaxDepth   = maxDepth
	MaxElement = maxElement
)

func exportFilter(f filter) func(io.Writer, io.Reader, FilterView) error {
	return func(dst io.Writer, src io.Reader, v FilterView) error {
		inner := view{
			ctx: context.Background(), label: v.Label, tenants: v.Tenants, params: v.Params,
			sharedRules: v.SharedRules, sharedMetadata: v.SharedMetadata,
			families: func(context.Context) (map[string]bool, error) { return v.Families, v.FamiliesErr },
		}
		if v.TargetTexts != nil {
			inner.texts = func(context.Context) (map[string][]familyText, error) {
				return readTargetTexts(v.TargetTexts, inner)
			}
		}
		return f(dst, src, inner)
	}
}

// HTTPStatus is the status that an error is answered with.
func HTTPStatus(err error) int { return asAPIError(err).Status }

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
