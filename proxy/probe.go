package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/answer"
	"github.com/promfence/promfence/proxy/scope"
	"github.com/promfence/promfence/proxy/upstream"
)

const (
	probeTTL      = 10 * time.Minute // how long an upstream that held a label policy is believed
	probeRetry    = 10 * time.Second // how long one that did not is asked nothing
	probeTenants  = 4096             // latest tenants, each with what its policy says
	maxProbeBytes = 64 << 10
)

// The values of the label result of promfence_label_policy_probes_total.
const (
	probeHeld   = "held"   // what is forbidden did not come
	probeLeaked = "leaked" // it did
	probeFailed = "failed" // the upstream gave no answer that says so
)

var errLeaked = errors.New("the upstream shows what the label policy forbids")

// probes are how promfence knows that an upstream enforces the header
// X-Prom-Label-Policy: one that ignores it answers as if there were no policy. Before
// the first request of a tenant it is asked for what the tenant's policy forbids.
type probes struct {
	on       bool // upstream.label_policy
	calls    *singleflight.Group
	outcomes *lru.Cache[string, probeOutcome]
}

type probeOutcome struct {
	err   error // nil: the policy was held
	until time.Time
}

func newProbes(on bool) probes {
	outcomes, err := lru.New[string, probeOutcome](probeTenants)
	if err != nil { // the size is a positive constant
		panic(err)
	}
	return probes{on, &singleflight.Group{}, outcomes}
}

// holdsLabelPolicy refuses a request whose label policy the upstream was not seen to
// enforce, for any of its tenants.
func (p *Proxy) holdsLabelPolicy(ctx context.Context, x *exchange) error {
	if !p.probes.on || x.identity.Labels.WithoutTenants() == "" {
		return nil
	}
	names, _ := x.identity.Labels.Tenants() // none of all tenants: upstream refuses to name them
	for _, name := range names {
		l, err := x.identity.Labels.ForTenant(name)
		if err == nil {
			err = p.probe(ctx, x.id, name, l)
		}
		if err == nil {
			continue
		}
		if errors.Is(err, context.Canceled) && ctx.Err() != nil {
			return upstreamError(err) // the caller has left
		}
		if e, ok := errors.AsType[*apiError](err); ok && e.Status == http.StatusForbidden {
			return e // a tenant that the header cannot name
		}
		e := failure(http.StatusBadGateway, "the upstream was not seen to enforce what this token may see, so it was not asked; its operator finds the cause in the log")
		e.Err = err
		return e
	}
	return nil
}

// probe returns what the latest probe for a label policy of one tenant found, or waits
// for a new one. Requests for one key that come at the same time wait for the same.
func (p *Proxy) probe(ctx context.Context, id, tenant string, l policy.Labels) error {
	if o, ok := p.probes.outcomes.Get(l.Key()); ok && time.Now().Before(o.until) {
		return o.err
	}
	ch := p.probes.calls.DoChan(l.Key(), func() (_ any, err error) {
		defer func() {
			if v := recover(); v != nil { // it would end the process: it runs beside the request
				err = fmt.Errorf("panic: %v", v)
			}
		}()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.known.timeout)
		defer cancel()
		err = p.askForbidden(ctx, id, l)
		p.remember(tenant, l, err)
		return nil, err
	})
	select {
	case <-ctx.Done():
		return ctx.Err()
	case got := <-ch:
		return got.Err
	}
}

// remember keeps a probe's outcome, and tells of it.
func (p *Proxy) remember(tenant string, l policy.Labels, err error) {
	result, ttl := probeHeld, probeTTL
	if err != nil {
		result, ttl = probeFailed, probeRetry
		if errors.Is(err, errLeaked) {
			result = probeLeaked
		}
		p.log.Error().Str("tenant", tenant).Str("label_policy", l.WithoutTenants()).Err(err).
			Msg("the upstream was not seen to enforce X-Prom-Label-Policy: this tenant's requests are refused")
	}
	p.metrics.probes.WithLabelValues(result).Inc()
	p.probes.outcomes.Add(l.Key(), probeOutcome{err, time.Now().Add(ttl)})
}

// askForbidden asks for what a label policy forbids, under the policy's own header. Only
// an answer that is whole and empty is good.
func (p *Proxy) askForbidden(ctx context.Context, id string, l policy.Labels) error {
	req, ok := scope.Forbidden(l)
	if !ok {
		return nil
	}
	resp, err := p.upstream.Ask(ctx, upstream.Call{Request: req, Kind: upstream.Filtered, Method: http.MethodPost, Path: apiBase + "/query", ID: []string{id}})
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the probe: status %d", resp.StatusCode)
	}
	src, err := answer.Plain(resp)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(src, maxProbeBytes))
	if err != nil {
		return err
	}
	var got struct {
		Status string
		Data   struct{ Result *[]json.RawMessage }
	}
	switch err := json.Unmarshal(text, &got); {
	case err != nil:
		return fmt.Errorf("the probe's answer: %w", err)
	case got.Status != "success" || got.Data.Result == nil:
		return errors.New("the probe's answer has no result")
	case len(*got.Data.Result) > 0:
		return errLeaked
	}
	return nil
}
