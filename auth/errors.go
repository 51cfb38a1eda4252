package auth

import (
	"fmt"
	"time"
)

// A Reason says why a request has no identity. The set is small and fixed, so
// that it can be a metric's label.
type Reason string

// The reasons. [BadTenant] and [BadPolicy] are a good token that may not read what
// was asked for (403 in HTTP), [BadHeader] is one with a request that must not be
// guessed at (400), [Unavailable] is our own trouble (503), all others mean that the
// caller hasn't shown who they are (401).
const (
	Missing        Reason = "missing"       // no credential at all
	Malformed      Reason = "malformed"     // not a well-formed bearer token
	Expired        Reason = "expired"       // past its "exp"
	NotYetValid    Reason = "not_yet_valid" // before its "nbf" or "iat"
	WrongIssuer    Reason = "issuer"        // from nobody we know
	WrongAudience  Reason = "audience"      // meant for someone else
	WrongAlgorithm Reason = "algorithm"     // signed in a way that we or the key do not allow
	UnknownKey     Reason = "key"           // signed with a key that the issuer does not publish
	BadSignature   Reason = "signature"     // not what the key signed
	BadTenant      Reason = "tenant"        // verified, without a usable tenant
	BadPolicy      Reason = "policy"        // verified, without a policy that applies, or with several that cannot be joined
	BadHeader      Reason = "header"        // verified, with a header that asks for less in a way that is not understood
	Unavailable    Reason = "unavailable"   // the issuer's keys were never loaded
)

// An Error is why [Authenticator.Authenticate] refused a request.
type Error struct {
	Reason Reason
	// Message is one sentence for the caller. It may name what was expected
	// (the audience, the algorithms, the name of a claim) and holds nothing of
	// the token, no key and no address.
	Message string
	// Subject and Issuer are, with BadTenant, those of the verified token. For logs.
	Subject, Issuer string
	// RetryAfter is, with Unavailable, how long to wait before the next try.
	RetryAfter time.Duration
	// Err is for the log alone. What it quotes from a token is escaped and cut.
	Err error
}

// Error is the text for the log, Err included.
func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", e.Reason, e.Message, e.Err)
	}
	return fmt.Sprintf("%s: %s", e.Reason, e.Message)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// refuse makes an Error with a formatted message.
func refuse(r Reason, format string, args ...any) *Error {
	return &Error{Reason: r, Message: fmt.Sprintf(format, args...)}
}

// because adds the cause that only the log sees.
func (e *Error) because(err error) *Error {
	e.Err = err
	return e
}

// quote escapes and cuts what a stranger wrote, for the log.
func quote(s string) string { return fmt.Sprintf("%.100q", s) }
