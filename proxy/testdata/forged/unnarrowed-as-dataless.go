// in: proxy
// want: scope.Unnarrowed

package proxy

import "github.com/promfence/promfence/proxy/scope"

var _ = holdsNoTenantData(scope.LeaveToFilter(nil))
