package policy

import "time"

// A Policy is an operator's rule: when it applies to a token, and which values of
// which labels its bearer may then see. The values of its labels are multiplied:
// two tenants and two regions are four pairs.
type Policy struct {
	Name string
	// Issuers and Audiences say whose tokens it applies to. Empty means any.
	Issuers, Audiences []string
	// When lists conditions, all of which must hold.
	When []Condition
	// OnlyWhenNamed makes it apply only to requests that name it. Nil means false,
	// and true for a policy that grants all tenants.
	OnlyWhenNamed *bool
	// Labels are what it grants, one entry for each label, the tenant label among
	// them.
	Labels []Label
	// Silences is SilencesWrite if whom it applies to may silence alerts that it lets
	// them see.
	Silences string
	// Scopes are what the decision endpoint may be asked for: [Read], or with [Write].
	// Nil means [Read].
	Scopes []string
	// Limits are in the place of the global ones.
	Limits LimitSettings
}

// SilencesWrite is the value of Policy.Silences that grants something.
const SilencesWrite = "write"

// The scopes of a policy.
const (
	Read  = "read"
	Write = "write"
)

// A Condition holds for a token whose claim has one of the values in AnyOf, or, if
// Present, any value.
type Condition struct {
	Claim   string
	AnyOf   []string
	Present bool
}

// A Label grants values of one label, in one of four ways: those in a claim,
// Values, all but those in Except, or Any. A list that is not nil was given.
type Label struct {
	Label string

	Claim       string
	StripPrefix string    // values without it are left out
	AddPrefix   string    // put before what is left
	Map         []Mapping // instead of both: values that are no From are left out
	Allowed     []string  // what is not among them is left out

	Values, Except []string
	Missing        bool // with Values and Except: series without the label, too
	Any            bool
}

// A Mapping turns one value of a claim into values of a label.
type Mapping struct {
	From string
	To   []string
}

// LimitSettings are the limits of one policy. Nil means the global one.
type LimitSettings struct {
	RequestsPerSecond, Burst, ConcurrentRequests *int
	MaxRange                                     *time.Duration
	MaxPoints, MaxQueryBytes, MaxQueryTerms      *int
}

// An Entry is one entry of the issuers' settings, which verifies tokens.
type Entry struct {
	Issuer    string
	Audiences []string // empty: any
	// AllTenants lets its tokens get policies that grant all tenants.
	AllTenants bool
}

// Options configures [New].
type Options struct {
	TenantLabel string
	// MaxTenants bounds the values that a label policy lists of one label.
	MaxTenants int
	Policies   []Policy
	Entries    []Entry
	// Limits are those of policies that set none.
	Limits Limits
	// Audited says that there is an audit file: without one no policy may grant
	// all tenants.
	Audited bool
}
