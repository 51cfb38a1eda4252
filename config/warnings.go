package config

import (
	"fmt"
	"net/url"
	"strings"
)

// Warnings names settings that are right and hardly what their operator means.
// Each Want says what they do mean.
func (c *Config) Warnings() (found []Mistake) {
	warn := func(key, text string) { found = append(found, Mistake{key, text}) }
	if u, err := url.Parse(c.Upstream.URL); err == nil {
		path := strings.TrimSuffix(u.Path, "/")
		if strings.HasSuffix(path, "/api/v1") || strings.Contains(path, "/api/v1/") {
			warn("upstream.url", "promfence adds /api/v1 to it; want the URL without that")
		}
	}
	claim := func(key, path string) {
		if !strings.Contains(path, `"`) && strings.ContainsAny(path, "[]") {
			warn(key, "brackets are part of the claim's name; an array is taken whole, without an index")
		}
	}
	claim("auth.tenant_claim", c.Auth.TenantClaim)
	for i, is := range c.Auth.Issuers {
		at := fmt.Sprintf("%s[%d].", issuersKey, i)
		claim(at+"tenant_claim", is.TenantClaim)
		switch {
		case strings.Contains(is.Tenant, "*"):
			warn(at+"tenant", "it is a name like any other and stands for no other tenant")
		case strings.Contains(is.Tenant, ","):
			warn(at+"tenant", "it is one tenant whose name holds a comma")
		}
	}
	return found
}
