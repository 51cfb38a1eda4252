// in: forged
// want: body

package forged

import (
	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy"
	"github.com/promfence/promfence/proxy/promql"
	"github.com/promfence/promfence/proxy/scope"
)

var (
	_ policy.Labels
	_ proxy.Route
	_ promql.Enforcer
	_ scope.Request
)

var _ = scope.Rule{body: true}
