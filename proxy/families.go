package proxy

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"github.com/promfence/promfence/proxy/upstream"
)

// What the filter of /metadata asks the upstream for beside the answer that it
// filters is kept briefly, for the latest tenant sets.
const (
	askedTTL     = 30 * time.Second
	askedKept    = 64
	askedTimeout = 2 * time.Minute // without upstream.timeout: nobody's context ends these requests
	maxNames     = 8 << 20         // bytes of the answer that lists a tenant's metric names
)

// asked is something that tenants may know, fetched as they could fetch it. It
// is kept by tenant set, and so are the calls that are shared.
type asked[T any] struct {
	fetch func(ctx context.Context, x *exchange) (T, error)
	kept  *lru.Cache[string, briefly[T]]
	calls singleflight.Group
}

// briefly is a value that is good until some time. Nothing runs to drop it.
type briefly[T any] struct {
	value T
	until time.Time
}

func newAsked[T any](fetch func(context.Context, *exchange) (T, error)) *asked[T] {
	kept, err := lru.New[string, briefly[T]](askedKept)
	if err != nil { // the size is a positive constant
		panic(err)
	}
	return &asked[T]{fetch: fetch, kept: kept}
}

func (a *asked[T]) of(ctx context.Context, x *exchange) (T, error) {
	key := x.identity.Tenants.Key()
	if v, ok := a.kept.Get(key); ok && time.Now().Before(v.until) {
		return v.value, nil
	}
	// Whoever asked first may leave; the others still want the answer.
	ch := a.calls.DoChan(key, func() (_ any, err error) {
		defer func() {
			if v := recover(); v != nil { // it would end the process: it runs beside the request
				err = fmt.Errorf("panic: %v", v)
			}
		}()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cmp.Or(x.proxy.timeout, askedTimeout))
		defer cancel()
		v, err := a.fetch(ctx, x)
		if err == nil {
			a.kept.Add(key, briefly[T]{v, time.Now().Add(askedTTL)})
		}
		return v, err
	})
	var none T
	select {
	case <-ctx.Done():
		return none, ctx.Err()
	case got := <-ch:
		v, ok := got.Val.(T)
		if upstream.IsTimeout(got.Err) {
			return none, upstreamError(got.Err)
		}
		if got.Err != nil || !ok {
			return none, errors.Join(errUnfiltered, got.Err)
		}
		return v, nil
	}
}

// metricNames asks for the names that the tenants have series of, with the
// tenants' own selector.
func (p *Proxy) metricNames(ctx context.Context, x *exchange) (map[string]bool, error) {
	resp, err := p.ask(ctx, x, "/label/__name__/values", "match[]")
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
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxNames)).Decode(&answer); err != nil {
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

// targetTexts asks for what the tenants' own targets say about their families.
// Not every upstream can tell (Thanos cannot): then nothing is known.
func (p *Proxy) targetTexts(ctx context.Context, x *exchange) (map[string][]familyText, error) {
	resp, err := p.ask(ctx, x, "/targets/metadata", "match_target")
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return map[string][]familyText{}, nil
	}
	return readTargetTexts(resp.Body, view{ctx: ctx, label: p.label, tenants: x.identity.Tenants})
}

// ask sends a request of promfence's own for what the tenants' own selector
// selects.
func (p *Proxy) ask(ctx context.Context, x *exchange, path, selector string) (*http.Response, error) {
	s, err := p.ownRequest(ctx, x, path, selector)
	if err != nil {
		return nil, err
	}
	return p.upstream.Send(s.r, upstream.Filtered)
}
