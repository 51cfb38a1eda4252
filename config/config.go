// Package config turns environment variables and a YAML file into the settings
// of one process.
//
// It stops one threat: a process that guards other people's data while doing
// something else than its operator wrote. An unknown name, a value that is not
// understood, and an empty value where one is required are mistakes; none of them is
// replaced by a default. All mistakes are reported at once. No message repeats a
// value: what was written in the wrong place may be a secret.
//
// One table, [Settings], is the source of the defaults, of what is refused, of
// --help and of the reference in the README.
package config

import "time"

// Config is the outcome of [Load]: every field holds a validated value. The
// meaning of each is the Doc of its row in [Settings].
type Config struct {
	Server   Server   `mapstructure:"server"`
	Admin    Admin    `mapstructure:"admin"`
	Decision Decision `mapstructure:"decision"`
	Upstream Upstream `mapstructure:"upstream"`

	Alertmanager Alertmanager `mapstructure:"alertmanager"`

	Auth     Auth     `mapstructure:"auth"`
	Tenancy  Tenancy  `mapstructure:"tenancy"`
	Policies []Policy `mapstructure:"policies"`
	Limits   Limits   `mapstructure:"limits"`
	CORS     CORS     `mapstructure:"cors"`
	Console  Console  `mapstructure:"console"`
	Log      Log      `mapstructure:"log"`
	Audit    Audit    `mapstructure:"audit"`
	Tracing  Tracing  `mapstructure:"tracing"`

	// File is where settings were read from besides the environment; empty = nowhere.
	File string `mapstructure:"-"`

	// Sources tells who gave a value: the key of the setting to the variable's
	// name or the file's. A key without an entry has its default.
	Sources map[string]string `mapstructure:"-"`
}

// Server is the listener that callers use.
type Server struct {
	Address         string        `mapstructure:"address"`
	TLS             ServerTLS     `mapstructure:"tls"`
	IdleTimeout     time.Duration `mapstructure:"idle_timeout"`
	MaxConnections  int           `mapstructure:"max_connections"`
	MaxHeaderBytes  int           `mapstructure:"max_header_bytes"`
	TrustedProxies  []string      `mapstructure:"trusted_proxies"`
	ShutdownTimeout time.Duration `mapstructure:"shutdown_timeout"`
	ShutdownDelay   time.Duration `mapstructure:"shutdown_delay"`
}

// ServerTLS are the files of a listener with TLS; without a certificate it has
// none.
type ServerTLS struct {
	CertFile     string `mapstructure:"cert_file"`
	KeyFile      string `mapstructure:"key_file"`
	ClientCAFile string `mapstructure:"client_ca_file"`
}

// Admin is the listener for metrics, health and profiles. Its address is "off"
// when there is none.
type Admin struct {
	Address string `mapstructure:"address"`
	Pprof   bool   `mapstructure:"pprof"`
}

// Decision is the listener where gateways ask whether a request may pass. Its
// address is "off" when there is none.
type Decision struct {
	Address string    `mapstructure:"address"`
	TLS     ServerTLS `mapstructure:"tls"`
}

// Upstream is the server whose data is guarded.
type Upstream struct {
	URL                string        `mapstructure:"url"`
	Timeout            time.Duration `mapstructure:"timeout"`
	TenantHeader       string        `mapstructure:"tenant_header"`
	LabelPolicy        bool          `mapstructure:"label_policy"`
	BearerTokenFile    string        `mapstructure:"bearer_token_file"`
	BasicAuthFile      string        `mapstructure:"basic_auth_file"`
	HeadersFile        string        `mapstructure:"headers_file"`
	TLS                UpstreamTLS   `mapstructure:"tls"`
	MaxIdleConnections int           `mapstructure:"max_idle_connections"`
}

// Alertmanager is the server behind /alertmanager; without a URL there is none.
type Alertmanager struct {
	URL             string        `mapstructure:"url"`
	Timeout         time.Duration `mapstructure:"timeout"`
	BearerTokenFile string        `mapstructure:"bearer_token_file"`
	BasicAuthFile   string        `mapstructure:"basic_auth_file"`
	TLS             UpstreamTLS   `mapstructure:"tls"`
	Silences        string        `mapstructure:"silences"`
	MaxSilence      time.Duration `mapstructure:"max_silence"`
}

// UpstreamTLS says whom promfence takes for the upstream, and who it is itself.
type UpstreamTLS struct {
	CAFile     string `mapstructure:"ca_file"`
	CertFile   string `mapstructure:"cert_file"`
	KeyFile    string `mapstructure:"key_file"`
	ServerName string `mapstructure:"server_name"`
}

// Auth says which tokens are believed and where they name their tenant.
type Auth struct {
	Issuer              string        `mapstructure:"issuer"`
	Audience            []string      `mapstructure:"audience"`
	AudienceClaim       string        `mapstructure:"audience_claim"`
	InsecureAnyAudience bool          `mapstructure:"insecure_any_audience"`
	AllowAllTenants     bool          `mapstructure:"allow_all_tenants"`
	JWKSURL             string        `mapstructure:"jwks_url"`
	JWKSFile            string        `mapstructure:"jwks_file"`
	PublicKeyFile       string        `mapstructure:"public_key_file"`
	HMACSecretFile      string        `mapstructure:"hmac_secret_file"`
	CAFile              string        `mapstructure:"ca_file"`
	BearerTokenFile     string        `mapstructure:"bearer_token_file"`
	Algorithms          []string      `mapstructure:"algorithms"`
	TenantClaim         string        `mapstructure:"tenant_claim"`
	TokenHeaders        []string      `mapstructure:"token_headers"`
	Leeway              time.Duration `mapstructure:"leeway"`
	RefreshInterval     time.Duration `mapstructure:"refresh_interval"`
	Issuers             []Issuer      `mapstructure:"issuers"`
}

// Issuer is one entry of auth.issuers. The meaning of each field is the Doc of
// its row in [IssuerSettings].
type Issuer struct {
	Issuer              string   `mapstructure:"issuer"`
	Audience            []string `mapstructure:"audience"`
	AudienceClaim       string   `mapstructure:"audience_claim"`
	InsecureAnyAudience bool     `mapstructure:"insecure_any_audience"`
	AllowAllTenants     bool     `mapstructure:"allow_all_tenants"`
	JWKSURL             string   `mapstructure:"jwks_url"`
	JWKSFile            string   `mapstructure:"jwks_file"`
	PublicKeyFile       string   `mapstructure:"public_key_file"`
	HMACSecretFile      string   `mapstructure:"hmac_secret_file"`
	CAFile              string   `mapstructure:"ca_file"`
	BearerTokenFile     string   `mapstructure:"bearer_token_file"`
	Algorithms          []string `mapstructure:"algorithms"`
	TenantClaim         string   `mapstructure:"tenant_claim"`
	Tenant              string   `mapstructure:"tenant"`
}

// Tenancy says how data belongs to tenants.
type Tenancy struct {
	Label          string `mapstructure:"label"`
	OnConflict     string `mapstructure:"on_conflict"`
	WarnOnConflict bool   `mapstructure:"warn_on_conflict"`
	MaxTenants     int    `mapstructure:"max_tenants"`
	SharedRules    bool   `mapstructure:"shared_rules"`
	SharedMetadata bool   `mapstructure:"shared_metadata"`
}

// RejectsConflicts reports whether a query's own matcher on the label that can match
// nothing of what its caller may see is refused.
func (t Tenancy) RejectsConflicts() bool { return t.OnConflict == "reject" }

// Limits bound what one request may cost, and how many a tenant may make.
type Limits struct {
	MaxQueryBytes int `mapstructure:"max_query_bytes"`
	MaxQueryDepth int `mapstructure:"max_query_depth"`
	MaxQueryTerms int `mapstructure:"max_query_terms"`
	MaxSelectors  int `mapstructure:"max_selectors"`
	MaxBodyBytes  int `mapstructure:"max_body_bytes"`

	MaxRange  time.Duration `mapstructure:"max_range"`
	MaxPoints int           `mapstructure:"max_points"`

	MaxSeries        int           `mapstructure:"max_series"`
	MaxSamplesRead   int           `mapstructure:"max_samples_read"`
	MaxQueryDuration time.Duration `mapstructure:"max_query_duration"`

	RequestsPerSecond  int `mapstructure:"requests_per_second"`
	Burst              int `mapstructure:"burst"`
	ConcurrentRequests int `mapstructure:"concurrent_requests"`
}

// CORS says which web pages may read answers; without origins, none.
type CORS struct {
	AllowedOrigins []string `mapstructure:"allowed_origins"`
}

// Console is the page at /console. Without a client its users paste a token.
type Console struct {
	Enabled  bool   `mapstructure:"enabled"`
	ClientID string `mapstructure:"client_id"`
	Scopes   string `mapstructure:"scopes"`
	Issuer   string `mapstructure:"issuer"`
}

// Log is what the process writes to standard error.
type Log struct {
	Level  string `mapstructure:"level"`
	Format string `mapstructure:"format"`

	SlowQuery time.Duration `mapstructure:"slow_query"`
}

// Audit is where decisions are recorded besides the log.
type Audit struct {
	File     string `mapstructure:"file"`
	Required bool   `mapstructure:"required"`
}

// Tracing is where spans go; without an endpoint there are none.
type Tracing struct {
	Endpoint string `mapstructure:"endpoint"`
}
