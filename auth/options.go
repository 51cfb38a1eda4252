package auth

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/promfence/promfence/auth/policy"
)

// Options configures an [Authenticator]. The fields up to TenantClaim describe
// one issuer; Issuers adds others.
type Options struct {
	// Issuer is what the claim "iss" must be, byte for byte. Required, here or
	// in Issuers.
	Issuer string
	// Audience is whom tokens are meant for: one of these must be or stand in the
	// claim that AudienceClaim names. Required.
	Audience []string
	// AudienceClaim is spelled as TenantClaim is, for providers whose tokens have
	// no "aud". Empty means aud.
	AudienceClaim string
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

	// CAFile holds, in PEM, the authorities that certificates of the issuer's
	// servers may come from. Empty means the system's.
	CAFile string
	// BearerTokenFile holds a token for the servers of discovery and keys, such as
	// Kubernetes' own. It goes to no other, over https or loopback only.
	BearerTokenFile string

	// Algorithms are those allowed. Empty means RS, PS and ES with 256, 384 and
	// 512, and EdDSA.
	Algorithms []string
	// TenantClaim says where the tenant stands: a claim's name, a dotted path
	// with quotes around names that hold dots, or a JSON pointer. A path that ends
	// in ".*" takes the names of an object's members. Empty means tenant_id.
	TenantClaim string
	// TenantLabel is the label that names a series' tenant. Empty means tenant_id.
	TenantLabel string
	// Policies say what a token lets its bearer see, in the place of TenantClaim. Nil
	// means that there are none.
	Policies *policy.Rules
	// AllowAllTenants lets tokens of the first issuer get policies that grant all
	// tenants.
	AllowAllTenants bool
	// Limits are those of everybody, where Policies do not say otherwise.
	Limits policy.Limits
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
	// CacheSize is how many verified tokens are remembered, and how many KiB of them.
	// 0 means 4,096.
	CacheSize int
	// Previous is the Authenticator that this one replaces: an issuer whose keys
	// come from the same place keeps those that Previous has.
	Previous *Authenticator

	// Logger gets what happens to keys. Nil means silence.
	Logger *slog.Logger
	// HTTPClient fetches keys. Nil means one with the usual proxy settings.
	HTTPClient *http.Client
}

// IssuerOptions describes one issuer. Fields named as in [Options] mean the
// same, and only TenantClaim defaults to the one there.
type IssuerOptions struct {
	Issuer              string
	Audience            []string
	AudienceClaim       string
	InsecureAnyAudience bool
	JWKSURL             string
	JWKSFile            string
	PublicKeyFile       string
	HMACSecretFile      string
	CAFile              string
	BearerTokenFile     string
	Algorithms          []string
	TenantClaim         string
	AllowAllTenants     bool
	// Tenants are the tenants of everybody whom this issuer vouches for,
	// whatever their tokens claim. It excludes TenantClaim.
	Tenants []string
}

const (
	defaultAudienceClaim   = "aud"
	defaultTenantClaim     = "tenant_id"
	defaultTenantLabel     = "tenant_id"
	defaultMaxTenants      = 20
	defaultCacheSize       = 4096 // some 800 bytes each
	defaultRefreshInterval = 5 * time.Minute
	minRefreshInterval     = time.Second
	maxLeeway              = 5 * time.Minute
)

var (
	asymmetric = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
	symmetric  = []string{"HS256", "HS384", "HS512"}
)

// An issuerSetting is one issuer's options and, for messages, where they stand
// in [Options]: "" or "Issuers[1].".
type issuerSetting struct {
	IssuerOptions
	at string
}

// withDefaults fills in what was left empty, and lists all issuers.
func (o Options) withDefaults() (Options, []issuerSetting) {
	if o.TenantClaim == "" {
		o.TenantClaim = defaultTenantClaim
	}
	if o.TenantLabel == "" {
		o.TenantLabel = defaultTenantLabel
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

// allIssuers lists the one described by Options itself, if it is, and Issuers.
func (o Options) allIssuers() []issuerSetting {
	var all []issuerSetting
	first := IssuerOptions{
		Issuer: o.Issuer, Audience: o.Audience, AudienceClaim: o.AudienceClaim, InsecureAnyAudience: o.InsecureAnyAudience,
		JWKSURL: o.JWKSURL, JWKSFile: o.JWKSFile, PublicKeyFile: o.PublicKeyFile, HMACSecretFile: o.HMACSecretFile,
		CAFile: o.CAFile, BearerTokenFile: o.BearerTokenFile, Algorithms: o.Algorithms, AllowAllTenants: o.AllowAllTenants,
	}
	if !first.isEmpty() || len(o.Issuers) == 0 {
		all = append(all, issuerSetting{first, ""})
	}
	for i, is := range o.Issuers {
		all = append(all, issuerSetting{is, fmt.Sprintf("Issuers[%d].", i)})
	}
	for i := range all {
		if all[i].AudienceClaim == "" {
			all[i].AudienceClaim = defaultAudienceClaim
		}
		if all[i].TenantClaim == "" && len(all[i].Tenants) == 0 {
			all[i].TenantClaim = o.TenantClaim
		}
	}
	return all
}

// isEmpty reports whether nobody has said which issuer this is, or how to know it.
func (is IssuerOptions) isEmpty() bool {
	texts := is.Issuer + is.JWKSURL + is.JWKSFile + is.PublicKeyFile + is.HMACSecretFile + is.CAFile + is.BearerTokenFile
	return texts == "" && len(is.Audience) == 0 && !is.InsecureAnyAudience
}

func (is IssuerOptions) hasKeySource() bool { return is.hasPublicKeys() || is.HMACSecretFile != "" }

func (is IssuerOptions) hasPublicKeys() bool {
	return is.JWKSURL != "" || is.JWKSFile != "" || is.PublicKeyFile != ""
}

// algorithms returns the allowed ones.
func (is IssuerOptions) algorithms() []string {
	switch {
	case len(is.Algorithms) > 0:
		algs := make([]string, len(is.Algorithms))
		for i, a := range is.Algorithms {
			algs[i] = canonicalAlg(a)
		}
		return algs
	case is.HMACSecretFile != "" && !is.hasPublicKeys():
		return symmetric
	}
	return asymmetric
}
