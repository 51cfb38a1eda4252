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
	if path := strings.TrimSuffix(c.Alertmanager.URL, "/"); strings.HasSuffix(path, "/api/v2") {
		warn("alertmanager.url", "promfence adds /api/v2 to it; want the URL without that")
	}
	for i, p := range c.Policies {
		if p.Silences == "write" && c.Alertmanager.Silences != "write" {
			warn(fmt.Sprintf("%s[%d].silences", policyKey, i), "nobody writes silences while alertmanager.silences is read")
		}
	}
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
