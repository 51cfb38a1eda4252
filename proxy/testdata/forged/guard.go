// in: forged
// want: dataless

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

var _ = proxy.Route{Path: "/x", Guard: proxy.Guard{dataless: true}}
