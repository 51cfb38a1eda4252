// in: proxy
// want: not enough arguments

package proxy

import "github.com/promfence/promfence/proxy/scope"

var _ = both(scope.Expression())
