package config

import (
	"net"
	"slices"
	"strings"
)

// orgID names the tenants that a label policy has entries for.
const orgID = "X-Scope-OrgID"

// together says what is wrong with settings that are right one by one.
func (c *Config) together() (wrong []Mistake) {
	refuse := func(key, want string) { wrong = append(wrong, Mistake{key, want}) }
	if c.Upstream.URL == "" {
		refuse("upstream.url", "required; want http://host:port of the Prometheus or Thanos to guard")
	}
	if _, port, _ := net.SplitHostPort(c.Admin.Address); c.Admin.Address == c.Server.Address && port != "0" {
		refuse("admin.address", "want another address than server.address, or off")
	}
	if _, port, _ := net.SplitHostPort(c.Decision.Address); c.Decision.Address != "off" && port != "0" && (c.Decision.Address == c.Server.Address || c.Decision.Address == c.Admin.Address) {
		refuse("decision.address", "want another address than server.address and admin.address, or off")
	}
	if t := c.Decision.TLS; t.ClientCAFile != "" && t.CertFile == "" {
		refuse("decision.tls.client_ca_file", "want decision.tls.cert_file with it")
	}
	pair("decision.tls", c.Decision.TLS.CertFile, c.Decision.TLS.KeyFile, refuse)
	if t := c.Server.TLS; t.ClientCAFile != "" && t.CertFile == "" {
		refuse("server.tls.client_ca_file", "want server.tls.cert_file with it")
	}
	pair("server.tls", c.Server.TLS.CertFile, c.Server.TLS.KeyFile, refuse)
	server("upstream", c.Upstream.URL, c.Upstream.TLS, c.Upstream.BearerTokenFile, c.Upstream.BasicAuthFile, refuse)
	if a := c.Alertmanager; a.URL != "" {
		server("alertmanager", a.URL, a.TLS, a.BearerTokenFile, a.BasicAuthFile, refuse)
	} else if a.TLS != (UpstreamTLS{}) || a.BearerTokenFile != "" || a.BasicAuthFile != "" || a.Silences != "read" {
		refuse("alertmanager.url", "want it with the other settings of alertmanager")
	}
	if u := &c.Upstream; u.LabelPolicy {
		switch {
		case u.TenantHeader == "":
			u.TenantHeader, c.Sources["upstream.tenant_header"] = orgID, "upstream.label_policy"
		case !strings.EqualFold(u.TenantHeader, orgID):
			refuse("upstream.tenant_header", "want "+orgID+" with upstream.label_policy: each entry there is for a tenant of that header")
		}
	}
	if c.Audit.Required && c.Audit.File == "" {
		refuse("audit.required", "want audit.file with it")
	}
	if c.Limits.Burst > 0 && c.Limits.RequestsPerSecond == 0 {
		refuse("limits.burst", "want limits.requests_per_second with it")
	}
	c.console(refuse)
	if len(c.Policies) > 0 {
		c.besidePolicies(refuse)
	}
	return wrong
}

// server says what is wrong with how promfence comes to a server.
func server(section, url string, t UpstreamTLS, tokenFile, pairFile string, refuse func(key, want string)) {
	if t != (UpstreamTLS{}) && !strings.HasPrefix(strings.ToLower(url), "https:") {
		refuse(section+".url", "want https://host with "+section+".tls settings")
	}
	pair(section+".tls", t.CertFile, t.KeyFile, refuse)
	if tokenFile != "" && pairFile != "" {
		refuse(section+".basic_auth_file", "want it or "+section+".bearer_token_file, not both")
	}
}

// console says what the page's sign-in lacks, and settles its issuer.
func (c *Config) console(refuse func(key, want string)) {
	issuers := c.issuers()
	switch o := &c.Console; {
	case !o.Enabled && (o.ClientID != "" || o.Issuer != ""):
		refuse("console.enabled", "want true with the other settings of the console")
	case o.ClientID == "" && o.Issuer != "":
		refuse("console.client_id", "want it with console.issuer")
	case o.ClientID == "":
	case o.Issuer == "" && len(issuers) > 1:
		refuse("console.issuer", "required, because there are several issuers")
	case o.Issuer != "" && !slices.Contains(issuers, o.Issuer):
		refuse("console.issuer", "want an issuer of the section auth")
	case o.Issuer == "" && len(issuers) == 1:
		o.Issuer = issuers[0]
	}
	if o := c.Console; o.ClientID != "" && o.Issuer != "" && httpURL(o.Issuer) != "" {
		refuse("console.issuer", "want http://host or https://host, where the provider's endpoints are discovered")
	}
}

// issuers lists the names of all issuers, each once.
func (c *Config) issuers() []string {
	all := []string{}
	if c.Auth.Issuer != "" {
		all = append(all, c.Auth.Issuer)
	}
	for _, entry := range c.Auth.Issuers {
		all = append(all, entry.Issuer)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// pair refuses a certificate without its key, and the reverse.
func pair(section, cert, key string, refuse func(key, want string)) {
	if (cert == "") != (key == "") {
		refuse(section+".key_file", "want it together with "+section+".cert_file")
	}
}

// Name spells a setting the way it was written, and both ways when it was not.
func (c *Config) Name(key string) string {
	env := Setting{Key: key}.Env()
	switch c.Sources[key] {
	case env:
		return env
	case "":
		if slices.Contains(keys(Settings), key) {
			return env + " (" + key + ")"
		}
	}
	return key
}
