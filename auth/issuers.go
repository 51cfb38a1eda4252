package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/promfence/promfence/auth/policy"
)

// An issuer is one party that we believe, with keys of its own. Nothing is
// shared between issuers: a key of one never verifies a token of another.
type issuer struct {
	name          string
	audience      []string
	audienceClaim string // as configured, for messages
	audiencePath  policy.Path
	anyAudience   bool
	algs          []string
	rule          tenantRule
	fixed         Tenants // instead of rule, if not zero
	allTenants    bool    // its tokens may get policies that grant all tenants

	assumed []string // by Explain: the audiences of claims that name none

	source source
	remote *remote // nil without a key set to fetch
	files  []*keyFile

	keys  atomic.Pointer[keySet] // nil until there are any
	mu    sync.Mutex
	parts [][]verifyKey // what each source gave last, guarded by mu
}

// A source is all that decides which keys an issuer gets.
type source struct {
	issuer, jwksURL, jwksFile, publicKeyFile, hmacSecretFile, caFile, bearerTokenFile, algorithms string
}

// describe returns an issuer without keys, and what is wrong with how its tokens are
// read.
func (o issuerSetting) describe(all Options) (*issuer, OptionErrors) {
	var errs OptionErrors
	is := &issuer{
		name: o.Issuer, audience: o.Audience, audienceClaim: o.AudienceClaim, anyAudience: o.InsecureAnyAudience, algs: o.algorithms(),
		allTenants: o.AllowAllTenants,
	}
	is.audiencePath, _ = policy.ParsePath(o.AudienceClaim) // checked before
	if len(o.Tenants) == 0 {
		path, _ := policy.ParsePath(o.TenantClaim) // checked before
		is.rule = tenantRule{claim: o.TenantClaim, path: path, max: all.MaxTenants}
		return is, nil
	}
	fixed, err := ParseTenants(o.Tenants...)
	if err == nil {
		err = carries(all.TenantHeader, fixed.names)
	}
	if err != nil {
		errs.add(o.at+"Tenants", "%v", err)
	}
	is.fixed = fixed
	return is, errs
}

// newIssuer reads the issuer's files. What cannot be read or parsed is a mistake
// in the settings, unless the issuer has keys from there already: its callers
// need not suffer from a change elsewhere in the settings.
func newIssuer(o issuerSetting, all Options) (*issuer, OptionErrors) {
	is, errs := o.describe(all)
	is.source = source{
		o.Issuer, o.JWKSURL, o.JWKSFile, o.PublicKeyFile, o.HMACSecretFile, o.CAFile, o.BearerTokenFile, strings.Join(o.algorithms(), " "),
	}
	addFile := func(field, setting, path string, parse keyParser) {
		if path == "" {
			return
		}
		is.files = append(is.files, &keyFile{issuer: is, slot: len(is.parts), field: o.at + field, setting: setting, path: path, parse: parse, log: all.Logger})
		is.parts = append(is.parts, nil)
	}
	addFile("JWKSFile", "jwks_file", o.JWKSFile, parseJWKS)
	addFile("PublicKeyFile", "public_key_file", o.PublicKeyFile, withoutSkips(parsePEM))
	addFile("HMACSecretFile", "hmac_secret_file", o.HMACSecretFile, withoutSkips(parseSecret))
	if o.JWKSURL != "" || !o.hasKeySource() {
		is.remote = newRemote(is, len(is.parts), o.IssuerOptions, all)
		is.parts = append(is.parts, nil)
	}
	adopted := all.Previous != nil && is.adopt(all.Previous.issuers)
	for _, f := range is.files {
		switch err := f.load(); {
		case err != nil && adopted:
			f.complain(err)
		case err != nil:
			errs.add(f.field, "%v", err)
		}
	}
	if is.remote != nil {
		errs = append(errs, is.remote.fetcher.access.check(o.at)...)
	}
	return is, errs
}

// adopt takes over the keys of the issuer before whose keys come from the same
// place, if it has any.
func (is *issuer) adopt(previous []*issuer) bool {
	i := slices.IndexFunc(previous, func(p *issuer) bool { return p.source == is.source && p.keys.Load() != nil })
	if i < 0 {
		return false
	}
	p := previous[i]
	p.mu.Lock()
	defer p.mu.Unlock()
	is.parts = slices.Clone(p.parts)
	is.keys.Store(p.keys.Load())
	if is.remote != nil {
		is.remote.tried.Store(p.remote.tried.Load())
	}
	return true
}

// tried reports whether there is nothing left to wait for at a start: the keys
// have been asked for once.
func (is *issuer) tried() bool { return is.remote == nil || is.remote.tried.Load() }

// sharesTokens reports whether both could have to verify the same token.
func (is *issuer) sharesTokens(o *issuer) bool {
	if is.name != o.name {
		return false
	}
	return is.anyAudience || o.anyAudience || slices.ContainsFunc(is.audience, func(a string) bool { return slices.Contains(o.audience, a) })
}

// accept takes what a source holds now. A set that differs gets a new pointer,
// which ends every cached token; an equal one keeps the old.
func (is *issuer) accept(slot int, keys []verifyKey) (changed bool) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.parts[slot] = keys
	next := &keySet{keys: slices.Concat(is.parts...)}
	if is.keys.Load().equal(next) {
		return false
	}
	is.keys.Store(next)
	return true
}

// complete reports whether every source has given keys at least once.
func (is *issuer) complete() bool {
	is.mu.Lock()
	defer is.mu.Unlock()
	return !slices.ContainsFunc(is.parts, func(p []verifyKey) bool { return p == nil })
}

// choose finds the issuer that a token's iss and audience name. Both are unverified
// here; the issuer's own keys have to confirm them.
func choose(issuers []*issuer, claims object) (*issuer, *Error) {
	iss, ok := claims.text("iss")
	if _, present := claims["iss"]; present && !ok {
		return nil, refuse(Malformed, "the token's iss is not a string")
	}
	var wanted, found, near []string
	for _, is := range issuers {
		if is.name != iss {
			if strings.TrimSuffix(is.name, "/") == strings.TrimSuffix(iss, "/") {
				near = append(near, is.name)
			}
			continue
		}
		aud, ok := audience(claims, is.audiencePath)
		switch {
		case !ok:
			return nil, refuse(Malformed, "the token's %s is neither a string nor an array of strings", is.audienceClaim)
		case is.anyAudience, slices.ContainsFunc(aud, func(a string) bool { return slices.Contains(is.audience, a) }):
			return is, nil
		}
		for _, a := range is.audience {
			wanted = append(wanted, is.audienceName()+" "+quote(a))
		}
		found = append(found, fmt.Sprintf("%s is %s", is.audienceClaim, quote(strings.Join(aud, " "))))
	}
	switch {
	case len(wanted) > 0:
		return nil, refuse(WrongAudience, "the token is not meant for this service: want %s", strings.Join(wanted, " or ")).
			because(errors.New(strings.Join(found, ", ")))
	case len(near) > 0:
		return nil, refuse(WrongIssuer, "the token's issuer is not accepted here: it differs by a trailing slash")
	case iss == "":
		return nil, refuse(WrongIssuer, "the token names no issuer (iss)")
	}
	return nil, refuse(WrongIssuer, "the token's issuer is not accepted here").because(fmt.Errorf("iss is %s", quote(iss)))
}

// audienceName is what a caller may call the audience's claim.
func (is *issuer) audienceName() string {
	if is.audienceClaim == defaultAudienceClaim {
		return "audience"
	}
	return is.audienceClaim
}

// verify checks the signature and returns the key set that confirmed it.
func (is *issuer) verify(ctx context.Context, t *token) (*keySet, *Error) {
	if !slices.Contains(is.algs, t.alg) {
		return nil, refuse(WrongAlgorithm, "the token's algorithm is not allowed: want %s", strings.Join(is.algs, ", ")).
			because(fmt.Errorf("alg is %s", quote(t.alg)))
	}
	set, stale, err := is.try(t)
	if err == nil || !stale || is.remote == nil {
		return set, err
	}
	if is.remote.await(ctx) {
		set, _, err = is.try(t)
	}
	return set, err
}

// try checks the signature with the keys that we have now. stale says that the
// token may be signed with a newer one.
func (is *issuer) try(t *token) (set *keySet, stale bool, refusal *Error) {
	set = is.keys.Load()
	if set == nil {
		return nil, false, is.unavailable()
	}
	keys, known := set.candidates(t)
	for _, k := range keys {
		if methods[t.alg].Verify(t.signed, t.signature, k.key) == nil {
			return set, false, nil
		}
	}
	switch {
	case known && len(keys) == 0:
		return nil, false, refuse(WrongAlgorithm, "the token's key is for another algorithm").
			because(fmt.Errorf("alg is %s, kid %s", quote(t.alg), quote(t.kid)))
	case known:
		return nil, false, refuse(BadSignature, "the token's signature is wrong").because(fmt.Errorf("kid is %s", quote(t.kid)))
	case !is.complete():
		return nil, true, is.unavailable()
	case len(keys) > 0:
		return nil, true, refuse(BadSignature, "the token's signature is wrong")
	}
	return nil, true, refuse(UnknownKey, "the token is signed with a key that its issuer does not publish").
		because(fmt.Errorf("alg is %s, kid %s", quote(t.alg), quote(t.kid)))
}

// unavailable is our own trouble: a client that took it for a 401 would throw a
// good token away.
func (is *issuer) unavailable() *Error {
	e := refuse(Unavailable, "the keys to verify tokens with are not available yet, try again")
	e.RetryAfter = time.Second
	if is.remote != nil {
		e.RetryAfter = is.remote.untilNext()
	}
	return e.because(fmt.Errorf("issuer %q", is.name))
}

// tenants returns what a verified token's bearer may read as.
func (is *issuer) tenants(claims object) (Tenants, *Error) {
	if !is.fixed.IsZero() {
		return is.fixed, nil
	}
	return is.rule.find(claims)
}

// token is a token of this issuer's, as policies look at it.
func (is *issuer) token(claims object) policy.Token {
	return policy.Token{Issuer: is.name, Audiences: is.taken(claims), AllTenants: is.allTenants, Claims: policy.Claims(claims)}
}

// taken returns the audiences of a token for which its issuer takes it.
func (is *issuer) taken(claims object) []string {
	if is.assumed != nil {
		return is.assumed
	}
	aud, _ := audience(claims, is.audiencePath) // read before
	return slices.DeleteFunc(aud, func(a string) bool { return !slices.Contains(is.audience, a) })
}
