package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/promfence/promfence/proxy/upstream"
)

// ownTimeout ends promfence's own questions where upstream.timeout is off: nobody's
// context does.
const ownTimeout = 2 * time.Minute

// ownAnswer answers a question of promfence's own on behalf of an exchange's tenants. A
// failure is one: what is not known must not be taken for what is not there.
func ownAnswer[T any](ctx context.Context, l *lookup[T], x *exchange, fetch func(context.Context, *exchange) (T, error)) (T, error) {
	// What is asked outlives the request that asks first, so it has its own exchange,
	// without that request's parameters.
	asker := &exchange{record: &record{proxy: x.proxy, id: x.id, identity: x.identity, matcher: x.matcher}, idHeader: x.idHeader}
	v, err := l.of(ctx, x.identity.Tenants.Key(), cmp.Or(x.proxy.timeout, ownTimeout), func(ctx context.Context) (T, error) {
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
func (p *Proxy) metricNames(ctx context.Context, x *exchange) (map[string]bool, error) {
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
	return readNames(src, view{ctx: ctx, label: p.label, tenants: x.identity.Tenants})
}

// readNames reads an answer of /api/v1/label/__name__/values.
func readNames(src io.Reader, v view) (map[string]bool, error) {
	a, err := newAnswer(io.Discard, src, v)
	if err != nil {
		return nil, err
	}
	names, size := map[string]bool{}, 0
	err = a.filter(func() error {
		if isNull, err := a.null(); isNull || err != nil {
			return err
		}
		return a.array(func() error {
			name, whole, err := a.text(maxName)
			if err != nil || !whole || names[string(name)] {
				return err
			}
			if size += len(name); size > maxElement {
				return oversized("the list of your metrics' names")
			}
			names[string(name)] = true
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return names, nil
}

// namesSize and textsSize are about what maps take beside their texts.
const mapEntry = 64

func namesSize(names map[string]bool) int {
	size := 0
	for name := range names {
		size += mapEntry + len(name)
	}
	return size
}

func textsSize(families map[string][]familyText) int {
	size := 0
	for name, texts := range families {
		size += mapEntry + len(name)
		for _, t := range texts {
			size += mapEntry + len(t.help) + len(t.unit)
		}
	}
	return size
}

// targetTexts asks for what the tenants' own targets say about their families.
// Not every upstream can tell (Thanos cannot): then nothing is known.
func (p *Proxy) targetTexts(ctx context.Context, x *exchange) (map[string][]familyText, error) {
	resp, err := p.ask(ctx, x, "/targets/metadata", "match_target")
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	switch {
	case resp.StatusCode == http.StatusOK:
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusBadRequest && noSuchPath(string(readError(resp))):
		return map[string][]familyText{}, nil
	default:
		return nil, fmt.Errorf("the metadata of the tenant's targets: status %d", resp.StatusCode)
	}
	src, err := plainBody(resp)
	if err != nil {
		return nil, err
	}
	return readTargetTexts(src, view{ctx: ctx, label: p.label, tenants: x.identity.Tenants})
}

// noSuchPaths are how servers that do not know /targets/metadata say so with a
// status 400, each with a path that ends in it. Prometheus says what is wrong with
// a request in the same status.
var noSuchPaths = []*regexp.Regexp{
	// VictoriaMetrics, in the older form with what it calls the request.
	regexp.MustCompile(`^(remoteAddr: "[^;]*"; requestURI: [^ ;]*; )?unsupported path requested: "[^" ]*/api/v1/targets/metadata"$`),
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
