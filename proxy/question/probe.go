package question

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/scope"
	"github.com/promfence/promfence/proxy/upstream"
)

const (
	probeTTL     = 10 * time.Minute // how long an upstream that held a label policy is believed
	probeRetry   = 10 * time.Second // how long one that did not is asked nothing
	probeTenants = 4096             // latest tenants, each with what its policy says
)

var errLeaked = errors.New("the upstream shows what the label policy forbids")

// A probeOutcome is what a probe found: nil = the policy was held.
type probeOutcome struct{ err error }

// ttl is how long an outcome is good.
func (o probeOutcome) ttl() time.Duration {
	if o.err != nil {
		return probeRetry
	}
	return probeTTL
}

// size is about what an error takes; its key is counted by itself.
func (probeOutcome) size() int { return 1 << 10 }

// HoldsLabelPolicy refuses a label policy that the upstream was not seen to enforce, for
// any of its tenants. An upstream that ignores the header X-Prom-Label-Policy answers as
// if there were no policy: before the first request of a tenant it is asked for what the
// tenant's policy forbids. The id is that of the request that asks.
func (a *Asker) HoldsLabelPolicy(ctx context.Context, id string, labels policy.Labels) error {
	if !a.LabelPolicy || labels.WithoutTenants() == "" {
		return nil
	}
	names, _ := labels.Tenants() // none of all tenants: upstream refuses to name them
	for _, name := range names {
		l, err := labels.ForTenant(name)
		if err == nil {
			err = a.probe(ctx, id, name, l)
		}
		if err == nil {
			continue
		}
		if errors.Is(err, context.Canceled) && ctx.Err() != nil {
			return upstream.Failure(err) // the caller has left
		}
		if e, ok := errors.AsType[*apierr.Error](err); ok && e.Status == http.StatusForbidden {
			return e // a tenant that the header cannot name
		}
		return apierr.New(http.StatusBadGateway, "the upstream was not seen to enforce what this token may see, so it was not asked; its operator finds the cause in the log").Because(err)
	}
	return nil
}

// probe returns what the latest probe for a label policy of one tenant found, or waits
// for a new one. Requests for one key that come at the same time wait for the same.
func (a *Asker) probe(ctx context.Context, id, tenant string, l policy.Labels) error {
	found, err := a.probes.Of(ctx, l.Key(), a.Timeout, func(ctx context.Context) (probeOutcome, error) {
		err := a.askForbidden(ctx, id, l)
		a.Probed(tenant, l.WithoutTenants(), errors.Is(err, errLeaked), err)
		return probeOutcome{err}, nil
	})
	if err != nil {
		return err
	}
	return found.err
}

// askForbidden asks for what a label policy forbids, under the policy's own header. Only
// an answer that is whole and empty is good.
func (a *Asker) askForbidden(ctx context.Context, id string, l policy.Labels) error {
	req, ok := scope.Forbidden(l)
	if !ok {
		return nil
	}
	resp, err := a.Upstream.Ask(ctx, upstream.Call{Request: req, Method: http.MethodPost, Path: api + "/query", ID: []string{id}})
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the probe: status %d", resp.StatusCode)
	}
	text, err := readText(resp)
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
