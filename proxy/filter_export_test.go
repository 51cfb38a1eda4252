package proxy

import (
	"context"
	"io"
	"net/url"

	"github.com/promfence/promfence/auth"
)

// A FilterView spells a view for the tests of package proxy_test.
type FilterView struct {
	Label                       string
	Tenants                     auth.Tenants
	Params                      url.Values
	SharedRules, SharedMetadata bool
	Families                    map[string]bool
	FamiliesErr                 error
	TargetTexts                 io.Reader // an answer of /api/v1/targets/metadata
}

// Filters are the answer filters by the last part of their path.
var Filters = map[string]func(dst io.Writer, src io.Reader, v FilterView) error{
	"rules":            exportFilter(filterRules),
	"alerts":           exportFilter(filterAlerts),
	"targets":          exportFilter(filterTargets),
	"targets/metadata": exportFilter(filterTargetsMetadata),
	"metadata":         exportFilter(filterMetadata),
	"query_exemplars":  exportFilter(filterExemplars),
}

// What the request's side refuses before a filter runs.
var (
	CheckRulesParams    = checkRulesParams
	CheckMetadataParams = checkMetadataParams
	ErrAnswer           = errAnswer
)

// MaxElement is the bound of one element.
const MaxElement = maxElement

func exportFilter(f filter) func(io.Writer, io.Reader, FilterView) error {
	return func(dst io.Writer, src io.Reader, v FilterView) error {
		inner := view{
			ctx: context.Background(), label: v.Label, tenants: v.Tenants, params: v.Params,
			sharedRules: v.SharedRules, sharedMetadata: v.SharedMetadata,
			families: func(context.Context) (map[string]bool, error) { return v.Families, v.FamiliesErr },
		}
		if v.TargetTexts != nil {
			inner.texts = func(context.Context) (map[string][]familyText, error) {
				return readTargetTexts(v.TargetTexts, inner)
			}
		}
		return f(dst, src, inner)
	}
}

// HTTPStatus is the status that an error is answered with.
func HTTPStatus(err error) int { return asAPIError(err).Status }
