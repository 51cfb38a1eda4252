// in: proxy
// want: scope.Dataless

package proxy

import "github.com/promfence/promfence/proxy/scope"

var _ = narrowed(scope.NoParameters())
