package auth

import (
	"errors"
	"fmt"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/promfence/promfence/auth/policy"
)

// An OptionError says what is wrong with one option.
type OptionError struct {
	Field string // of [Options], such as "Leeway" or "Issuers[1].TenantClaim"
	Want  string // what was expected; it repeats no secret
}

func (e OptionError) Error() string { return e.Field + ": " + e.Want }

// OptionErrors are all mistakes in the options, and what [New] returns of them.
type OptionErrors []OptionError

func (es OptionErrors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

func (es *OptionErrors) add(field, format string, args ...any) {
	*es = append(*es, OptionError{Field: field, Want: fmt.Sprintf(format, args...)})
}

// check finds every mistake that does not belong to one issuer.
func (o Options) check() (errs OptionErrors) {
	if o.Leeway < 0 || o.Leeway > maxLeeway {
		errs.add("Leeway", "want a duration of 0s to %s", span(maxLeeway))
	}
	if o.RefreshInterval < minRefreshInterval {
		errs.add("RefreshInterval", "want a duration of %s or more", minRefreshInterval)
	}
	if o.MaxTenants < 0 {
		errs.add("MaxTenants", "want a number above 0")
	}
	if o.CacheSize < 0 {
		errs.add("CacheSize", "want a number above 0")
	}
	if all := o.allIssuers(); len(o.Algorithms) > 0 && all[0].at != "" {
		errs.add("Algorithms", "want it in each entry of issuers, or an issuer with it")
	}
	seen := map[string]bool{}
	for _, h := range o.TokenHeaders {
		c := textproto.CanonicalMIMEHeaderKey(h)
		switch {
		case !httpguts.ValidHeaderFieldName(h):
			errs.add("TokenHeaders", "want names of HTTP headers")
		case c == "Host":
			errs.add("TokenHeaders", "want headers other than Host, which is the server's name")
		case isOurs(h): // a caller's wish to see less is no credential
			errs.add("TokenHeaders", "want headers that do not begin with %s", ourPrefix)
		case seen[c]:
			errs.add("TokenHeaders", "want each header once")
		}
		seen[c] = true
	}
	return errs
}

// checkOverlap refuses an issuer whose tokens an earlier one takes already.
func checkOverlap(all []issuerSetting) (errs OptionErrors) {
	for i, is := range all {
		same := func(p issuerSetting) bool {
			shared := slices.ContainsFunc(p.Audience, func(a string) bool { return slices.Contains(is.Audience, a) })
			return p.Issuer == is.Issuer && (shared && p.AudienceClaim == is.AudienceClaim || p.InsecureAnyAudience || is.InsecureAnyAudience)
		}
		if is.Issuer != "" && slices.ContainsFunc(all[:i], same) {
			errs.add(is.at+"Issuer", "want tokens that no issuer before takes already (equal issuer and audience)")
		}
	}
	return errs
}

// check finds every mistake in one issuer's options. What is in files, newIssuer
// judges.
func (is issuerSetting) check() (errs OptionErrors) {
	bad := func(field, format string, args ...any) { errs.add(is.at+field, format, args...) }
	switch u, err := url.Parse(is.Issuer); {
	case is.Issuer == "":
		bad("Issuer", "required; want the iss of the tokens, usually the URL of the identity provider")
	case strings.ContainsAny(is.Issuer, ", \t"):
		bad("Issuer", "want one issuer; several are a list in issuers")
	case err == nil && u.User != nil:
		bad("Issuer", "want a URL without user name and password")
	case !is.hasKeySource() && (checkURL(is.Issuer) != nil || strings.Contains(is.Issuer, "?")):
		bad("Issuer", "want http://host or https://host, where the keys are discovered, or a setting that says where else they are")
	}
	switch {
	case len(is.Audience) == 0 && !is.InsecureAnyAudience:
		bad("Audience", "required; want the aud of the tokens")
	case len(is.Audience) > 0 && is.InsecureAnyAudience:
		bad("InsecureAnyAudience", "want false, or no audience")
	case slices.Contains(is.Audience, ""):
		bad("Audience", "want no empty one")
	}
	if is.JWKSURL != "" {
		if err := checkURL(is.JWKSURL); err != nil {
			bad("JWKSURL", "%v", err)
		}
	}
	if len(is.Tenants) > 0 && is.TenantClaim != "" {
		bad("TenantClaim", "want it or a fixed tenant, not both")
	}
	if is.TenantClaim != "" {
		if _, err := policy.ParsePath(is.TenantClaim); err != nil {
			bad("TenantClaim", "%v", err)
		}
	}
	if path, err := policy.ParsePath(is.AudienceClaim); err != nil {
		bad("AudienceClaim", "%v", err)
	} else if path.NamesMembers() {
		bad("AudienceClaim", "want a claim whose value names the audience")
	}
	if err := is.checkAlgorithms(); err != nil {
		bad("Algorithms", "%v", err)
	}
	return append(errs, is.checkKeyRequests()...)
}

// checkKeyRequests refuses credentials that no request, or one that anybody can
// read, would carry.
func (is issuerSetting) checkKeyRequests() (errs OptionErrors) {
	from := is.JWKSURL
	if !is.hasKeySource() {
		from = is.Issuer
	}
	fetched := is.JWKSURL != "" || !is.hasKeySource()
	if is.CAFile != "" && !fetched {
		errs.add(is.at+"CAFile", "want it only where keys are fetched")
	}
	switch {
	case is.BearerTokenFile != "" && !fetched:
		errs.add(is.at+"BearerTokenFile", "want it only where keys are fetched")
	case is.BearerTokenFile != "" && from != "" && !isPrivateWay(from):
		errs.add(is.at+"BearerTokenFile", "want https or loopback to fetch keys from, since the token goes there")
	}
	return errs
}

// validPort takes no port as well.
func validPort(port string) bool {
	_, err := strconv.ParseUint(port, 10, 16)
	return err == nil || port == ""
}

// checkAlgorithms refuses lists that name unknown algorithms, and those that
// leave a configured source without a use.
func (is IssuerOptions) checkAlgorithms() error {
	hmac, public := false, false
	for _, a := range is.algorithms() {
		if methods[a] == nil {
			return fmt.Errorf("want names out of %s, %s", strings.Join(asymmetric, ", "), strings.Join(symmetric, ", "))
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

// checkURL takes where keys or their discovery are. A URL is logged and printed:
// no password belongs into one.
func checkURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return errors.New("want http://host or https://host")
	case u.User != nil:
		return errors.New("want a URL without user name and password")
	case strings.Contains(s, "#"):
		return errors.New("want a URL without #fragment")
	case !validPort(u.Port()):
		return errors.New("want a port of 0 to 65535")
	}
	return nil
}
