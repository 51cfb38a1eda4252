package auth

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Options configures an [Authenticator]. The fields up to TenantClaim describe
// one issuer; Issuers adds others.
type Options struct {
	// Issuer is what the claim "iss" must be, byte for byte. Required, here or
	// in Issuers.
	Issuer string
	// Audience is what the claim "aud" must be or hold. Required.
	Audience string
	// InsecureAnyAudience takes tokens meant for any service, which lets every
	// other service that gets such a token read as its bearer. It stands in
	// for Audience and is logged by every Run.
	InsecureAnyAudience bool

	// Where the issuer's keys come from; several may be given. With none of
	// them the issuer is asked by OIDC discovery.
	JWKSURL        string
	JWKSFile       string
	PublicKeyFile  string // PEM
	HMACSecretFile string // at least 32 bytes; alone it implies the HS algorithms

	// Algorithms are those allowed. Empty means RS, PS and ES with 256, 384 and
	// 512, and EdDSA.
	Algorithms []string
	// TenantClaim says where the tenant stands: a claim's name, a dotted path
	// with quotes around names that hold dots, or a JSON pointer. Empty means
	// tenant_id.
	TenantClaim string
	// MaxTenants bounds how many tenants a token may name. 0 means 20.
	MaxTenants int

	// TokenHeaders are looked through in order: the first one that a request
	// has is its credential. Empty means Authorization.
	TokenHeaders []string
	// Leeway is how far the clocks of issuers may be off: 0 to 5 minutes.
	Leeway time.Duration
	// RefreshInterval is how often keys are fetched. 0 means 5 minutes.
	RefreshInterval time.Duration
	// TenantHeader is the header that tells the upstream the tenant, if there
	// is one. It narrows what a tenant may look like.
	TenantHeader string
	// Issuers are further issuers. A token's iss and aud choose among all of
	// them; of several that fit, the first.
	Issuers []IssuerOptions
	// CacheSize is how many verified tokens are remembered. 0 means 10,000.
	CacheSize int

	// Logger gets what happens to keys. Nil means silence.
	Logger *slog.Logger
	// HTTPClient fetches keys. Nil means one with the usual proxy settings.
	HTTPClient *http.Client
}

// IssuerOptions describes one issuer. Fields named as in [Options] mean the
// same; Algorithms and TenantClaim default to the ones there.
type IssuerOptions struct {
	Issuer              string
	Audience            string
	InsecureAnyAudience bool
	JWKSURL             string
	JWKSFile            string
	PublicKeyFile       string
	HMACSecretFile      string
	Algorithms          []string
	TenantClaim         string
	// Tenants are the tenants of everybody whom this issuer vouches for,
	// whatever their tokens claim. It excludes TenantClaim.
	Tenants []string
}

const (
	defaultTenantClaim     = "tenant_id"
	defaultMaxTenants      = 20
	defaultCacheSize       = 10_000
	defaultRefreshInterval = 5 * time.Minute
	minRefreshInterval     = time.Second
	maxLeeway              = 5 * time.Minute
)

var (
	asymmetric = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
	symmetric  = []string{"HS256", "HS384", "HS512"}
)

// An issuerSetting is one issuer's options and the setting that they stand under, for
// messages.
type issuerSetting struct {
	IssuerOptions
	at string
}

// withDefaults fills in what was left empty, and lists all issuers.
func (o Options) withDefaults() (Options, []issuerSetting) {
	if o.TenantClaim == "" {
		o.TenantClaim = defaultTenantClaim
	}
	if o.MaxTenants == 0 {
		o.MaxTenants = defaultMaxTenants
	}
	if o.CacheSize == 0 {
		o.CacheSize = defaultCacheSize
	}
	if o.RefreshInterval == 0 {
		o.RefreshInterval = defaultRefreshInterval
	}
	if len(o.TokenHeaders) == 0 {
		o.TokenHeaders = []string{"Authorization"}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, o.allIssuers()
}

func (o Options) allIssuers() []issuerSetting {
	var all []issuerSetting
	first := IssuerOptions{
		Issuer: o.Issuer, Audience: o.Audience, InsecureAnyAudience: o.InsecureAnyAudience,
		JWKSURL: o.JWKSURL, JWKSFile: o.JWKSFile, PublicKeyFile: o.PublicKeyFile, HMACSecretFile: o.HMACSecretFile,
	}
	if first.Issuer != "" || first.Audience != "" || first.hasKeySource() || len(o.Issuers) == 0 {
		all = append(all, issuerSetting{first, "auth."})
	}
	for i, is := range o.Issuers {
		all = append(all, issuerSetting{is, fmt.Sprintf("auth.issuers[%d].", i)})
	}
	for i := range all {
		if all[i].TenantClaim == "" && len(all[i].Tenants) == 0 {
			all[i].TenantClaim = o.TenantClaim
		}
		if len(all[i].Algorithms) == 0 {
			all[i].Algorithms = o.Algorithms
		}
	}
	return all
}

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

func (is IssuerOptions) hasKeySource() bool { return is.hasPublicKeys() || is.HMACSecretFile != "" }

func (is IssuerOptions) hasPublicKeys() bool {
	return is.JWKSURL != "" || is.JWKSFile != "" || is.PublicKeyFile != ""
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
		if err := checkURL(is.Issuer); err != nil {
			bad("issuer: %w (its keys are found by OIDC discovery, since no other source is set)", err)
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
		if _, err := parseClaimPath(is.TenantClaim); err != nil {
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

// algorithms returns the allowed ones.
func (is IssuerOptions) algorithms() []string {
	switch {
	case len(is.Algorithms) > 0:
		return is.Algorithms
	case is.HMACSecretFile != "" && !is.hasPublicKeys():
		return symmetric
	}
	return asymmetric
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
