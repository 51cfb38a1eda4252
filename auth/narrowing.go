package auth

import (
	"net/http"
	"strings"

	"github.com/promfence/promfence/auth/policy"
)

// ourPrefix begins the names of all headers that speak to promfence.
const ourPrefix = "X-Promfence-"

// narrowing reads the headers by which a caller asks for less. Another header that
// begins as they do may be one of them, misspelled, and a hop before us that takes
// Connection at its word would have removed them: both would show more than was
// asked for, and are refused.
func narrowing(h http.Header, most int) (policy.Narrowing, *Error) {
	for name := range h {
		if isOurs(name) && name != policy.PolicyHeader && name != policy.TenantHeader {
			return policy.Narrowing{}, refuse(BadHeader, "want no header that begins with %s but %s and %s", ourPrefix, policy.PolicyHeader, policy.TenantHeader)
		}
	}
	for _, line := range h["Connection"] {
		for option := range strings.SplitSeq(line, ",") {
			if isOurs(strings.TrimSpace(option)) {
				return policy.Narrowing{}, refuse(BadHeader, "want no header that begins with %s in Connection", ourPrefix)
			}
		}
	}
	n, err := policy.ParseNarrowing(h[policy.PolicyHeader], h[policy.TenantHeader], most)
	if err != nil {
		return policy.Narrowing{}, refuse(BadHeader, "%v", err)
	}
	return n, nil
}

func isOurs(header string) bool {
	return len(header) >= len(ourPrefix) && strings.EqualFold(header[:len(ourPrefix)], ourPrefix)
}
