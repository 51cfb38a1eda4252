package config

import (
	"fmt"
	"net"
	"slices"
)

// together says what is wrong with settings that are right one by one. It is
// silent about those in wrong, which have been reported.
func (c *Config) together(wrong map[string]bool) []error {
	var errs []error
	refuse := func(key, want string) {
		if !wrong[key] {
			errs = append(errs, fmt.Errorf("%s: %s", c.name(key), want))
		}
	}
	if c.Upstream.URL == "" {
		refuse("upstream.url", "required; want http://host:port of the Prometheus or Thanos to guard")
	}
	if c.Auth.Issuer == "" && len(c.Auth.Issuers) == 0 && !wrong[issuersKey] {
		refuse("auth.issuer", "required; want the iss of the tokens, usually the URL of the identity provider")
	}
	if c.Auth.Audience == "" && !c.Auth.InsecureAnyAudience && !wrong[issuersKey] {
		if len(c.Auth.Issuers) == 0 || c.Auth.Issuer != "" {
			refuse("auth.audience", "required; want the aud of the tokens")
		}
		for i, is := range c.Auth.Issuers {
			if is.Audience == "" {
				refuse(fmt.Sprintf("%s[%d].audience", issuersKey, i), "required, since there is no auth.audience; want the aud of its tokens")
			}
		}
	}
	if a := c.Auth; discovered(a.Issuer, a.JWKSURL, a.JWKSFile, a.PublicKeyFile, a.HMACSecretFile) {
		refuse("auth.issuer", wantDiscovery)
	}
	for i, is := range c.Auth.Issuers {
		if discovered(is.Issuer, is.JWKSURL, is.JWKSFile, is.PublicKeyFile, is.HMACSecretFile) {
			refuse(fmt.Sprintf("%s[%d].issuer", issuersKey, i), wantDiscovery)
		}
	}
	if _, port, _ := net.SplitHostPort(c.Admin.Address); c.Admin.Address == c.Server.Address && port != "0" {
		refuse("admin.address", "want another address than server.address, or off")
	}
	return errs
}

const wantDiscovery = "want http://host or https://host, where the keys are discovered, or a setting that says where else they are"

// discovered reports an issuer whose keys have no other source than discovery,
// and whose name is not where that could happen.
func discovered(issuer string, sources ...string) bool {
	return issuer != "" && !slices.ContainsFunc(sources, func(s string) bool { return s != "" }) && httpURL(issuer) != ""
}

// name spells the setting the way it was written, or both ways.
func (c *Config) name(key string) string {
	s := Setting{Key: key}
	switch c.Sources[key] {
	case s.Env():
		return s.Env()
	case "":
		if slices.Contains(keys(Settings), key) {
			return s.Env() + " (" + key + ")"
		}
	}
	return key
}
