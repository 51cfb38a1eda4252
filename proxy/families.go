package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/expirable"
	"golang.org/x/sync/singleflight"
)

// families knows which metric names a tenant has series of: asked of the
// upstream with the tenant's own selector, and kept briefly.
type families struct {
	p     *Proxy
	cache *lru.LRU[string, map[string]bool]
	calls singleflight.Group // keyed as the cache: never across tenants
}

const (
	familiesTTL   = 30 * time.Second
	familiesKept  = 64      // tenant sets
	maxFamilies   = 8 << 20 // bytes of one answer
	familiesQuery = "/label/__name__/values"
)

func newFamilies(p *Proxy) *families {
	return &families{p: p, cache: lru.NewLRU[string, map[string]bool](familiesKept, nil, familiesTTL)}
}

func (f *families) of(ctx context.Context, x *exchange) (map[string]bool, error) {
	key := x.identity.Tenants.Key()
	if names, ok := f.cache.Get(key); ok {
		return names, nil
	}
	// Whoever asked first may leave; the others still want the answer.
	ch := f.calls.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		names, err := f.ask(ctx, x)
		if err == nil {
			f.cache.Add(key, names)
		}
		return names, err
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case got := <-ch:
		names, ok := got.Val.(map[string]bool)
		if got.Err == nil && !ok {
			return nil, errors.New("families: no answer")
		}
		return names, got.Err
	}
}

// ask reads the names with the request that the caller could have made.
func (f *families) ask(ctx context.Context, x *exchange) (map[string]bool, error) {
	u := *f.p.target
	u.Path, u.RawPath = f.p.target.JoinPath(apiBase, familiesQuery).Path, ""
	u.RawQuery = url.Values{"match[]": {x.matcher.own()}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Request-Id", x.id)
	f.p.setTenantHeader(req.Header, x.matcher)
	resp, err := f.p.upstream.Transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the names of the tenant's metrics: status %d", resp.StatusCode)
	}
	var answer struct {
		Status string   `json:"status"`
		Data   []string `json:"data"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxFamilies)).Decode(&answer); err != nil {
		return nil, err
	}
	if answer.Status != "success" {
		return nil, errors.New("the names of the tenant's metrics: no success")
	}
	names := make(map[string]bool, len(answer.Data))
	for _, name := range answer.Data {
		names[name] = true
	}
	return names, nil
}
