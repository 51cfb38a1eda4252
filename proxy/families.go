package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/promfence/promfence/proxy/filter"
	"github.com/promfence/promfence/proxy/upstream"
)

// ownTimeout ends promfence's own questions where upstream.timeout is off: nobody's
// context does.
const ownTimeout = 2 * time.Minute

// ownAnswer answers a question of promfence's own on behalf of an exchange's label policy. A
// failure is one: what is not known must not be taken for what is not there.
func ownAnswer[T any](ctx context.Context, l *lookup[T], x *exchange, fetch func(context.Context, *exchange) (T, error)) (T, error) {
	// What is asked outlives the request that asks first, so it has its own exchange,
	// without that request's parameters.
	asker := &exchange{record: &record{proxy: x.proxy, id: x.id, identity: x.identity, matcher: x.matcher}, idHeader: x.idHeader}
	v, err := l.of(ctx, x.identity.Labels.Key(), cmp.Or(x.proxy.timeout, ownTimeout), func(ctx context.Context) (T, error) {
		return fetch(ctx, asker)
	})
	switch {
	case err == nil:
		return v, nil
	case upstream.IsTimeout(err) && ctx.Err() == nil:
		err = upstreamError(err)
	default:
		err = errors.Join(errUnfiltered, err)
	}
	var none T
	return none, err
}

// metricNames asks for the names that the tenants have series of, with the
// tenants' own selector.
func (p *Proxy) metricNames(ctx context.Context, x *exchange) (filter.Names, error) {
	resp, err := p.ask(ctx, x, "/label/__name__/values", "match[]")
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the names of the tenant's metrics: status %d", resp.StatusCode)
	}
	src, err := plainBody(resp)
	if err != nil {
		return nil, err
	}
	return filter.ReadNames(src, filter.View{Labels: x.identity.Labels})
}

// targetTexts asks for what the tenants' own targets say about their families.
// Not every upstream can tell (Thanos cannot): then nothing is known.
func (p *Proxy) targetTexts(ctx context.Context, x *exchange) (filter.Texts, error) {
	resp, err := p.ask(ctx, x, "/targets/metadata", "match_target")
	if err != nil {
		return filter.Texts{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	switch {
	case resp.StatusCode == http.StatusOK:
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusBadRequest && noSuchPath(string(readError(resp))):
		return filter.Texts{}, nil
	default:
		return filter.Texts{}, fmt.Errorf("the metadata of the tenant's targets: status %d", resp.StatusCode)
	}
	src, err := plainBody(resp)
	if err != nil {
		return filter.Texts{}, err
	}
	return filter.ReadTexts(src, filter.View{Labels: x.identity.Labels})
}

// metricFamilies asks for what /metadata shows of the tenants' metrics.
func (p *Proxy) metricFamilies(ctx context.Context, x *exchange) (filter.Families, error) {
	resp, err := p.ask(ctx, x, "/metadata", "")
	if err != nil {
		return filter.Families{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	switch {
	case resp.StatusCode == http.StatusOK:
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusBadRequest && noSuchPath(string(readError(resp))):
		return filter.Families{}, nil
	default:
		return filter.Families{}, fmt.Errorf("the metadata of the tenant's metrics: status %d", resp.StatusCode)
	}
	src, err := plainBody(resp)
	if err != nil {
		return filter.Families{}, err
	}
	return filter.ReadFamilies(src, filter.View{
		Labels: x.identity.Labels, SharedMetadata: p.shared.metadata,
		Names: func() (filter.Names, error) { return ownAnswer(ctx, p.names, x, p.metricNames) },
		Texts: func() (filter.Texts, error) { return ownAnswer(ctx, p.texts, x, p.targetTexts) },
	})
}

// noSuchPaths are how servers that do not know /targets/metadata or /metadata say so
// with a status 400, each with a path that ends in it. Prometheus says what is wrong
// with a request in the same status.
var noSuchPaths = []*regexp.Regexp{
	// VictoriaMetrics, in the older form with what it calls the request.
	regexp.MustCompile(`^(remoteAddr: "[^;]*"; requestURI: [^ ;]*; )?unsupported path requested: "[^" ]*/api/v1/(targets/)?metadata"$`),
}

func noSuchPath(text string) bool {
	text = strings.TrimSpace(text)
	for _, known := range noSuchPaths {
		if known.MatchString(text) {
			return true
		}
	}
	return false
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
