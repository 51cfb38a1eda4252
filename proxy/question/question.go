// Package question asks upstream and Alertmanager what promfence itself has to know:
// the metric names and other facts by which a filter decides what to show, and whether
// the upstream enforces the label policies that it is sent.
//
// It stops two threats. The first is an answer to one tenant's question that is used for
// another tenant: every question is narrowed to a label policy, and the answer is kept
// under that label policy as its key. The second is a question that failed and counts as
// answered, with nothing forbidden in it: what is not known is an error, and nothing is
// shown by it. A question may outlive the request that asks first, so it holds no part
// of that request.
package question

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
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

// api is the base of the upstream's API.
const api = "/api/v1"

// A question is one of promfence's own, whose answer a filter needs.
type question[T any] struct {
	about    string // for the log
	path     string // below the API's base
	rule     rule   // asks for what the label policy allows
	optional bool   // a server that does not know the path knows nothing
	read     func(filter.View, io.Reader) (T, error)
}

// A rule is one of the sealed rules of package scope.
type rule interface {
	Narrow(in scope.Input) (scope.Request, error)
}

var (
	metricNames = question[filter.Names]{about: "the names of the tenant's metrics", path: "/label/__name__/values", rule: scope.Selectors().Added(), read: filter.View.ReadNames}

	// targetTexts are what the tenants' own targets say about their families. Thanos
	// cannot tell.
	targetTexts = question[filter.Texts]{about: "the metadata of the tenant's targets", path: "/targets/metadata", rule: scope.TargetSelector(), optional: true, read: filter.View.ReadTexts}

	// metricFamilies are what /metadata shows of the tenants' metrics.
	metricFamilies = question[filter.Families]{about: "the metadata of the tenant's metrics", path: "/metadata", rule: scope.LeaveToFilter(nil), optional: true, read: filter.View.ReadFamilies}
)

// Options are what an Asker is made of.
type Options struct {
	Upstream     *upstream.Client
	Alertmanager *upstream.Client // nil = none, and AlertingView must not be called
	Timeout      time.Duration    // of a question, which no caller's context ends; 0 = two minutes
	LabelPolicy  bool             // the upstream is held to what the label policies say

	SharedRules    bool // what a view shows besides: rules that carry no tenant label
	SharedMetadata bool // and a family's texts, to every tenant that has it

	// Probed takes what a probe of a tenant's label policy has shown: that the policy
	// leaked, or another error, or nil. Nil takes none.
	Probed func(tenant, labelPolicy string, leaked bool, err error)
}

// An Asker asks, and keeps the latest answers for a short time.
type Asker struct {
	Options
	names    *lookup.Cache[filter.Names]
	texts    *lookup.Cache[filter.Texts]
	families *lookup.Cache[filter.Families]
	probes   *lookup.Cache[probeOutcome]
}

// questionTimeout ends a question where there is no other limit.
const questionTimeout = 2 * time.Minute

// New makes an Asker.
func New(o Options) *Asker {
	o.Timeout = cmp.Or(o.Timeout, questionTimeout)
	if o.Probed == nil {
		o.Probed = func(string, string, bool, error) {}
	}
	return &Asker{
		o, lookup.New(filter.Names.Size, 0, nil), lookup.New(filter.Texts.Size, 0, nil), lookup.New(filter.Families.Size, 0, nil),
		lookup.New(probeOutcome.size, probeTenants, probeOutcome.ttl),
	}
}

// A caller is on whose behalf promfence asks: the id of the request that asks first, and
// the label policy.
type caller struct {
	id       string
	enforcer *promql.Enforcer
}

// View is what a filter may show on behalf of the label policy that e enforces. The id is
// that of the request whose answer is filtered.
func (a *Asker) View(ctx context.Context, id string, e *promql.Enforcer) filter.View {
	return a.view(ctx, caller{id, e})
}

func (a *Asker) view(ctx context.Context, c caller) filter.View {
	return filter.View{
		Labels: c.enforcer.Labels(), SharedRules: a.SharedRules, SharedMetadata: a.SharedMetadata,
		Names:    func() (filter.Names, error) { return look(ctx, a, a.names, c, metricNames) },
		Texts:    func() (filter.Texts, error) { return look(ctx, a, a.texts, c, targetTexts) },
		Families: func() (filter.Families, error) { return look(ctx, a, a.families, c, metricFamilies) },
	}
}

// look answers a question as kept, or asks it. A failure is one: what is not known
// must not be taken for what is not there.
func look[T any](ctx context.Context, a *Asker, kept *lookup.Cache[T], c caller, q question[T]) (T, error) {
	v, err := kept.Of(ctx, c.enforcer.Labels().Key(), a.Timeout, func(ctx context.Context) (T, error) { return ask(ctx, a, c, q) })
	late, ok := errors.AsType[net.Error](err)
	switch {
	case err == nil:
		return v, nil
	case ok && late.Timeout() && ctx.Err() == nil:
		err = upstream.Failure(err)
	default:
		err = answer.Unfilterable(err)
	}
	var none T
	return none, err
}

// ask asks the upstream for what the caller's label policy allows.
func ask[T any](ctx context.Context, a *Asker, c caller, q question[T]) (none T, err error) {
	req, err := q.rule.Narrow(scope.Input{Enforcer: c.enforcer})
	if err != nil {
		return none, err
	}
	resp, err := a.Upstream.Ask(ctx, upstream.Call{
		Request: req, Method: http.MethodGet, Path: api + q.path, ID: []string{c.id},
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
	return q.read(a.view(ctx, c), src)
}

// unknownPath reports whether a server says that it does not have the path.
func unknownPath(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusNotFound:
		return true
	case http.StatusBadRequest:
		text, err := readText(resp)
		return err == nil && noSuchPath(string(text))
	}
	return false
}

// maxText bounds an answer that is read as a whole.
const maxText = 64 << 10

func readText(resp *http.Response) ([]byte, error) {
	src, err := answer.Plain(resp)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(src, maxText))
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
