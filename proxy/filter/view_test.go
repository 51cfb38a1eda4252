package filter_test

import (
	"io"
	"net/url"
	"testing"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/filter"
)

// A view spells a filter.View for tests.
type view struct {
	Labels                      policy.Labels
	Params                      url.Values
	SharedRules, SharedMetadata bool
	Families                    filter.Names
	FamiliesErr                 error
	TargetTexts                 io.Reader // an answer of /api/v1/targets/metadata
}

// filters are the answer filters by the last part of their path.
var filters = map[string]func(dst io.Writer, src io.Reader, v view) error{
	"rules":            viewed(filter.View.Rules),
	"alerts":           viewed(filter.View.Alerts),
	"targets":          viewed(filter.View.Targets),
	"targets/metadata": viewed(filter.View.TargetsMetadata),
	"metadata":         viewed(filter.View.Metadata),
	"query_exemplars":  viewed(filter.View.Exemplars),
}

func viewed(f filter.Filter) func(io.Writer, io.Reader, view) error {
	return func(dst io.Writer, src io.Reader, v view) error {
		inner := filter.View{
			Labels: v.Labels, Params: v.Params, SharedRules: v.SharedRules, SharedMetadata: v.SharedMetadata,
			Names: func() (filter.Names, error) { return v.Families, v.FamiliesErr },
		}
		if v.TargetTexts != nil {
			inner.Texts = func() (filter.Texts, error) { return inner.ReadTexts(v.TargetTexts) }
		}
		return f(inner, dst, src)
	}
}

// status is the status that an error is answered with.
func status(err error) int { return apierr.From(err).Status }

func labels(tb testing.TB, names ...string) policy.Labels {
	tb.Helper()
	l, err := policy.ForTenants("tenant_id", names...)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func acme(tb testing.TB) view {
	tb.Helper()
	return view{Labels: labels(tb, "acme")}
}

// has reports a label set's own word for acme's.
func has(l policy.Labels, value string) bool {
	return l.Allows(func(string) string { return value })
}

type repeat struct {
	s   string
	pos int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := copy(p, r.s[r.pos:])
	r.pos = (r.pos + n) % len(r.s)
	return n, nil
}
