package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A fetcher gets one issuer's key set over HTTP, from a given URL or from the
// one that the issuer's discovery document names.
type fetcher struct {
	access     access
	issuer     string
	discover   bool
	rediscover time.Duration // how old what we discovered may get
	log        *slog.Logger

	jwksURL      string    // "" until discovered
	discoveredAt time.Time // or tried, last
}

func newFetcher(is IssuerOptions, o Options) *fetcher {
	return &fetcher{
		access: access{client: o.HTTPClient, caFile: is.CAFile, tokenFile: is.BearerTokenFile},
		issuer: is.Issuer, discover: is.JWKSURL == "", jwksURL: is.JWKSURL,
		rediscover: o.RefreshInterval / 2, log: o.Logger,
	}
}

// keys returns the key set's bytes. Providers do move their keys, so what was
// discovered is looked for again at the regular fetches and after a failure, but
// not at those that a token causes.
func (f *fetcher) keys(ctx context.Context) ([]byte, error) {
	if f.discover && time.Since(f.discoveredAt) > f.rediscover {
		switch u, err := f.discovered(ctx); {
		case err == nil:
			f.jwksURL = u
		case f.jwksURL == "" || !errors.Is(err, errNoDocument) || ctx.Err() != nil:
			return nil, fmt.Errorf("discovery: %w", err)
		default:
			f.log.Warn("discovery failed, fetching keys from where they were", "error", err)
		}
		f.discoveredAt = time.Now()
	}
	b, err := f.get(ctx, f.jwksURL, acceptKeys)
	if err != nil {
		f.discoveredAt = time.Time{}
	}
	return b, err
}

// acceptKeys is what Kubernetes serves, and what everybody else takes.
const acceptKeys = "application/jwk-set+json, application/json"

// errNoDocument is an outage of discovery, of which the keys may know nothing.
var errNoDocument = errors.New("no document")

// discovered reads the jwks_uri from the issuer's metadata.
func (f *fetcher) discovered(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout/2) // the other half is for the keys
	defer cancel()
	doc, err := f.document(ctx)
	if err != nil {
		return "", err
	}
	u, _ := doc.text("jwks_uri")
	if err := checkURL(u); err != nil {
		return "", fmt.Errorf("jwks_uri: %w", err)
	}
	if hasHTTPS(f.issuer) && !hasHTTPS(u) {
		return "", errors.New("jwks_uri: want https, as the issuer's own URL")
	}
	return u, nil
}

// document reads the issuer's metadata (OpenID Connect Discovery 1.0 section 4).
func (f *fetcher) document(ctx context.Context) (object, error) {
	body, err := f.get(ctx, strings.TrimSuffix(f.issuer, "/")+"/.well-known/openid-configuration", "application/json")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoDocument, err)
	}
	doc, err := parseObject(bytes.TrimPrefix(body, byteOrderMark))
	if err != nil {
		return nil, fmt.Errorf("the document %w", err)
	}
	// Section 4.3: a document about someone else must not choose our keys.
	if iss, _ := doc.text("issuer"); iss != f.issuer {
		return nil, fmt.Errorf("the document is about the issuer %s, want %q", quote(iss), f.issuer)
	}
	return doc, nil
}

func hasHTTPS(u string) bool { return strings.HasPrefix(strings.ToLower(u), "https:") }

// get reads at most maxKeysBytes from a 200; ctx bounds the time. Accept names one
// type: Kubernetes answers 406 to a list that begins with another than its own.
func (f *fetcher) get(ctx context.Context, u, accept string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	req.Header.Set("User-Agent", "promfence")
	client, err := f.access.httpClient()
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	if err := f.access.authorize(req); err != nil {
		return nil, fmt.Errorf("bearer_token_file: %w", err)
	}
	resp, err := client.Do(req)
	if ue, ok := errors.AsType[*url.Error](err); ok {
		ue.URL = withoutQuery(ue.URL)
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", withoutQuery(u), quote(resp.Status))
	}
	return readBounded(resp.Body)
}

// withoutQuery is what a log may hold of a URL: some providers want a key in it.
func withoutQuery(u string) string {
	if before, _, found := strings.Cut(u, "?"); found {
		return before + "?xxxxx" // as net/url writes what it redacts
	}
	return u
}

// readBounded reads all of r, or fails if that is more than a key set may be.
func readBounded(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxKeysBytes+1))
	if err == nil && len(b) > maxKeysBytes {
		err = fmt.Errorf("more than %d bytes", maxKeysBytes)
	}
	return b, err
}
