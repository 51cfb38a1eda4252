package auth

import (
	"errors"
	"fmt"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"github.com/promfence/promfence/auth/policy"
)

// check finds every mistake that does not belong to one issuer.
func (o Options) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Leeway < 0 || o.Leeway > maxLeeway {
		bad("auth.leeway: want 0s to %s", span(maxLeeway))
	}
	if o.RefreshInterval < minRefreshInterval {
		bad("auth.refresh_interval: want at least %s", minRefreshInterval)
	}
	if o.MaxTenants < 0 {
		bad("tenancy.max_tenants: want at least 1")
	}
	if o.CacheSize < 0 {
		bad("auth: want a cache of at least 1 token")
	}
	if o.TenantHeader != "" && !isHeaderName(o.TenantHeader) {
		bad("upstream.tenant_header: want the name of a header")
	}
	seen := map[string]bool{}
	for _, h := range o.TokenHeaders {
		c := textproto.CanonicalMIMEHeaderKey(h)
		switch {
		case !isHeaderName(h):
			bad("auth.token_headers: %s is not the name of a header", quote(h))
		case seen[c]:
			bad("auth.token_headers: %s comes twice", c)
		}
		seen[c] = true
	}
	return errors.Join(errs...)
}

// checkOverlap refuses an issuer whose tokens an earlier one takes already.
func checkOverlap(all []issuerSetting) error {
	var errs []error
	for i, is := range all {
		same := func(p issuerSetting) bool {
			return p.Issuer == is.Issuer && (p.Audience == is.Audience || p.InsecureAnyAudience || is.InsecureAnyAudience)
		}
		if is.Issuer != "" && slices.ContainsFunc(all[:i], same) {
			errs = append(errs, fmt.Errorf("%sissuer: an earlier issuer takes the same tokens (equal issuer and audience)", is.at))
		}
	}
	return errors.Join(errs...)
}

// check finds every mistake in one issuer's options.
func (is issuerSetting) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(is.at+format, args...)) }
	if is.Issuer == "" {
		bad("issuer: required, the exact value of the claim iss")
	}
	switch {
	case is.Audience == "" && !is.InsecureAnyAudience:
		bad("audience: required, the value that the claim aud must be or hold")
	case is.Audience != "" && is.InsecureAnyAudience:
		bad("audience: contradicts insecure_any_audience")
	}
	if is.Issuer != "" && !is.hasKeySource() {
		if err := checkURL(is.Issuer); err != nil || strings.Contains(is.Issuer, "?") {
			bad("issuer: want http://host or https://host, where OIDC discovery finds its keys, or a source of keys")
		}
	}
	if is.JWKSURL != "" {
		if err := checkURL(is.JWKSURL); err != nil {
			bad("jwks_url: %w", err)
		}
	}
	if len(is.Tenants) > 0 && is.TenantClaim != "" {
		bad("tenant_claim: contradicts fixed tenants")
	}
	if is.TenantClaim != "" {
		if _, err := policy.ParsePath(is.TenantClaim); err != nil {
			bad("tenant_claim: %w", err)
		}
	}
	if err := is.checkAlgorithms(); err != nil {
		bad("algorithms: %w", err)
	}
	return errors.Join(errs...)
}

// checkAlgorithms refuses lists that name unknown algorithms, and those that
// leave a configured source without a use.
func (is IssuerOptions) checkAlgorithms() error {
	hmac, public := false, false
	for _, a := range is.algorithms() {
		if methods[a] == nil {
			return fmt.Errorf("%s is none of %s, %s", quote(a), strings.Join(asymmetric, ", "), strings.Join(symmetric, ", "))
		}
		hmac = hmac || slices.Contains(symmetric, a)
		public = public || slices.Contains(asymmetric, a)
	}
	wantPublic := is.hasPublicKeys() || is.HMACSecretFile == ""
	switch {
	case hmac && is.HMACSecretFile == "":
		return errors.New("HS256, HS384 and HS512 need hmac_secret_file")
	case !hmac && is.HMACSecretFile != "":
		return errors.New("hmac_secret_file with other keys or algorithms needs HS256, HS384 or HS512 in the list, or it is of no use")
	case public && !wantPublic:
		return errors.New("hmac_secret_file alone serves only HS256, HS384 and HS512")
	case !public && wantPublic:
		return errors.New("want one for the public keys too")
	}
	return nil
}

func checkURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Fragment != "" {
		return errors.New("want http://host or https://host")
	}
	if u.User != nil {
		return errors.New("want no password in the URL")
	}
	return nil
}

func isHeaderName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, c)
	})
}
