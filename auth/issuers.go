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
	name        string
	audience    string
	anyAudience bool
	algs        []string
	rule        tenantRule
	fixed       Tenants // instead of rule, if not zero

	remote *remote // nil without a key set to fetch
	files  []*keyFile

	keys  atomic.Pointer[keySet] // nil until there are any
	mu    sync.Mutex
	parts [][]verifyKey // what each source gave last, guarded by mu
}

func newIssuer(o issuerSetting, all Options) (*issuer, error) {
	is := &issuer{name: o.Issuer, audience: o.Audience, anyAudience: o.InsecureAnyAudience, algs: o.algorithms()}
	if len(o.Tenants) > 0 {
		fixed, err := parseTenantsFor(all.TenantHeader, o.Tenants)
		if err != nil {
			return nil, fmt.Errorf("%stenants: %w", o.at, err)
		}
		is.fixed = fixed
	} else {
		path, err := policy.ParsePath(o.TenantClaim)
		if err != nil {
			return nil, fmt.Errorf("%stenant_claim: %w", o.at, err)
		}
		is.rule = tenantRule{claim: o.TenantClaim, path: path, max: all.MaxTenants, header: all.TenantHeader}
	}

	var errs []error
	addFile := func(setting, path string, parse keyParser) {
		if path == "" {
			return
		}
		f := &keyFile{issuer: is, slot: len(is.parts), setting: setting, path: path, parse: parse, log: all.Logger}
		is.parts = append(is.parts, nil)
		is.files = append(is.files, f)
		// A file that cannot be read now is a mistake in the settings.
		if err := f.load(); err != nil {
			errs = append(errs, fmt.Errorf("%s%s: %w", o.at, setting, err))
		}
	}
	addFile("jwks_file", o.JWKSFile, parseJWKS)
	addFile("public_key_file", o.PublicKeyFile, withoutSkips(parsePEM))
	addFile("hmac_secret_file", o.HMACSecretFile, withoutSkips(parseSecret))
	if o.JWKSURL != "" || !o.hasKeySource() {
		is.remote = newRemote(is, len(is.parts), o.JWKSURL, all)
		is.parts = append(is.parts, nil)
	}
	return is, errors.Join(errs...)
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

// choose finds the issuer that a token's iss and aud name. Both are unverified
// here; the chosen one's keys have the last word.
func choose(issuers []*issuer, claims object) (*issuer, *Error) {
	iss, ok := claims.text("iss")
	if _, present := claims["iss"]; present && !ok {
		return nil, refuse(Malformed, "the token's iss is not a string")
	}
	aud, ok := claims.audience()
	if !ok {
		return nil, refuse(Malformed, "the token's aud is neither a string nor an array of strings")
	}
	var wanted, near []string
	for _, is := range issuers {
		switch {
		case is.name != iss:
			if strings.TrimSuffix(is.name, "/") == strings.TrimSuffix(iss, "/") {
				near = append(near, is.name)
			}
		case is.anyAudience || slices.Contains(aud, is.audience):
			return is, nil
		default:
			wanted = append(wanted, quote(is.audience))
		}
	}
	switch {
	case len(wanted) > 0:
		return nil, refuse(WrongAudience, "the token is not meant for this service: want audience %s", strings.Join(wanted, " or ")).
			because(fmt.Errorf("aud is %s", quote(strings.Join(aud, " "))))
	case len(near) > 0:
		return nil, refuse(WrongIssuer, "the token's issuer is not accepted here: it differs by a trailing slash")
	case iss == "":
		return nil, refuse(WrongIssuer, "the token names no issuer (iss)")
	}
	return nil, refuse(WrongIssuer, "the token's issuer is not accepted here").because(fmt.Errorf("iss is %s", quote(iss)))
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
