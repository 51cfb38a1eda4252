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

	"github.com/promfence/promfence/proxy/answer"
	"github.com/promfence/promfence/proxy/filter"
	"github.com/promfence/promfence/proxy/lookup"
	"github.com/promfence/promfence/proxy/promql"
	"github.com/promfence/promfence/proxy/scope"
	"github.com/promfence/promfence/proxy/upstream"
)

// A question is one of promfence's own, whose answer a filter needs.
type question[T any] struct {
	about    string // for the log
	path     string // below the API's base
	selector string // the parameter for the label policy's own selector; empty = only a filter narrows the answer
	optional bool   // a server that does not know the path knows nothing
	read     func(io.Reader, filter.View) (T, error)
}

var (
	metricNames = question[filter.Names]{about: "the names of the tenant's metrics", path: "/label/__name__/values", selector: "match[]", read: filter.ReadNames}

	// targetTexts are what the tenants' own targets say about their families. Thanos
	// cannot tell.
	targetTexts = question[filter.Texts]{about: "the metadata of the tenant's targets", path: "/targets/metadata", selector: "match_target", optional: true, read: filter.ReadTexts}

	// metricFamilies are what /metadata shows of the tenants' metrics.
	metricFamilies = question[filter.Families]{about: "the metadata of the tenant's metrics", path: "/metadata", optional: true, read: filter.ReadFamilies}
)

// known are the latest answers.
type known struct {
	names    *lookup.Cache[filter.Names]
	texts    *lookup.Cache[filter.Texts]
	families *lookup.Cache[filter.Families]
	timeout  time.Duration
}

// questionTimeout ends a question where upstream.timeout is off: nobody's context does.
const questionTimeout = 2 * time.Minute

func newKnown(timeout time.Duration) known {
	return known{lookup.New(filter.Names.Size), lookup.New(filter.Texts.Size), lookup.New(filter.Families.Size), cmp.Or(timeout, questionTimeout)}
}

// An asker is on whose behalf promfence asks. What is asked outlives the request that
// asks first, so an asker holds no part of one.
type asker struct {
	proxy    *Proxy
	id       string
	enforcer *promql.Enforcer
}

// view is what a filter may show to the asker's tenants.
func (a asker) view(ctx context.Context) filter.View {
	k := a.proxy.known
	return filter.View{
		Labels: a.enforcer.Labels(), SharedRules: a.proxy.shared.rules, SharedMetadata: a.proxy.shared.metadata,
		Names:    func() (filter.Names, error) { return look(ctx, k.names, a, metricNames) },
		Texts:    func() (filter.Texts, error) { return look(ctx, k.texts, a, targetTexts) },
		Families: func() (filter.Families, error) { return look(ctx, k.families, a, metricFamilies) },
	}
}

// look answers a question as kept, or asks it. A failure is one: what is not known
// must not be taken for what is not there.
func look[T any](ctx context.Context, c *lookup.Cache[T], a asker, q question[T]) (T, error) {
	v, err := c.Of(ctx, a.enforcer.Labels().Key(), a.proxy.known.timeout, func(ctx context.Context) (T, error) { return ask(ctx, a, q) })
	switch {
	case err == nil:
		return v, nil
	case upstream.IsTimeout(err) && ctx.Err() == nil:
		err = upstreamError(err)
	default:
		err = errors.Join(answer.ErrUnfiltered, err)
	}
	var none T
	return none, err
}

// ask asks the upstream for what the asker's label policy allows.
func ask[T any](ctx context.Context, a asker, q question[T]) (none T, err error) {
	req, err := scope.Everything(a.enforcer, q.selector)
	if q.selector == "" {
		req, err = scope.LeaveToFilter(nil).Narrow(scope.Input{Enforcer: a.enforcer})
	}
	if err != nil {
		return none, err
	}
	resp, err := a.proxy.upstream.Ask(ctx, upstream.Call{
		Request: req, Kind: upstream.Filtered, Method: http.MethodGet, Path: apiBase + q.path, ID: []string{a.id},
	})
	if err != nil {
		return none, err
	}
	defer func() { _ = resp.Body.Close() }()
	switch {
	case resp.StatusCode == http.StatusOK:
	case q.optional && unknownPath(resp):
		return none, nil
	default:
		return none, fmt.Errorf("%s: status %d", q.about, resp.StatusCode)
	}
	src, err := answer.Plain(resp)
	if err != nil {
		return none, err
	}
	return q.read(src, a.view(ctx))
}

// unknownPath reports whether a server says that it does not have the path.
func unknownPath(resp *http.Response) bool {
	return resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusBadRequest && noSuchPath(string(answer.ErrorText(resp)))
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
