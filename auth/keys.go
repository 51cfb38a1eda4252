package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/MicahParks/jwkset"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	// maxKeysBytes bounds a key set, from wherever it comes.
	maxKeysBytes = 1 << 20
	// maxKeys bounds what a token without a kid costs: one try per key.
	maxKeys       = 100
	minRSABits    = 2048
	maxRSABits    = 8192
	minSecretSize = 32
)

// errPrivateKeys is a key set after which a signature proves nothing.
var errPrivateKeys = errors.New("refused as a whole: it publishes private keys, with which anybody can sign tokens")

// errNoKeys is a source that works and holds nothing that we can use. It never
// replaces keys that we have.
var errNoKeys = errors.New("no usable key in it")

// A verifyKey verifies signatures, and only by its own algorithms.
type verifyKey struct {
	kid  string   // "" fits every token
	algs []string // one if the JWK names it, else the allowed ones of its type
	key  any      // *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey or the HMAC's []byte
	id   [32]byte // of all of the above: equal keys have equal ids
}

// A keySet is all keys of one issuer at one time. It does not change: another
// set is another pointer, and that is how cached tokens learn of it.
type keySet struct{ keys []verifyKey }

// candidates returns the keys that may have signed t, and whether one of them
// or another bears the very kid of t.
func (s *keySet) candidates(t *token) (keys []verifyKey, known bool) {
	for _, k := range s.keys {
		if k.kid != "" && k.kid == t.kid {
			known = true
		}
		if (k.kid == "" || t.kid == "" || k.kid == t.kid) && slices.Contains(k.algs, t.alg) {
			keys = append(keys, k)
		}
	}
	return keys, known
}

// equal reports whether the sets hold the same keys in the same order.
func (s *keySet) equal(o *keySet) bool {
	return s != nil && o != nil && slices.EqualFunc(s.keys, o.keys, func(a, b verifyKey) bool { return a.id == b.id })
}

// newKey checks a key's strength and gives it the algorithms that fit its type
// and curve and are allowed, or only alg if the key names one.
func newKey(kid, alg string, key any, allowed []string) (verifyKey, error) {
	var fit []string
	var material []byte
	switch k := key.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSABits || n > maxRSABits {
			return verifyKey{}, fmt.Errorf("an RSA key of %d bits, want %d to %d", n, minRSABits, maxRSABits)
		}
		if k.E < 3 || k.E%2 == 0 {
			return verifyKey{}, errors.New("an RSA key with an unsafe exponent")
		}
		fit = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	case *ecdsa.PublicKey:
		fit = map[string][]string{"P-256": {"ES256"}, "P-384": {"ES384"}, "P-521": {"ES512"}}[k.Curve.Params().Name]
	case ed25519.PublicKey:
		fit = []string{"EdDSA"}
	case []byte:
		if len(k) < minSecretSize {
			return verifyKey{}, fmt.Errorf("a secret of %d bytes, want at least %d random bytes", len(k), minSecretSize)
		}
		fit, material = []string{"HS256", "HS384", "HS512"}, k
	}
	algs := slices.DeleteFunc(fit, func(a string) bool {
		return !slices.Contains(allowed, a) || alg != "" && alg != a
	})
	if len(algs) == 0 {
		return verifyKey{}, fmt.Errorf("a key for no allowed algorithm (%T, alg %s)", key, quote(alg))
	}
	if material == nil {
		var err error
		if material, err = x509.MarshalPKIXPublicKey(key); err != nil {
			return verifyKey{}, fmt.Errorf("a key that cannot be used: %w", err)
		}
	}
	h := sha256.New()
	for _, part := range append([]string{kid, string(material)}, algs...) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	return verifyKey{kid: kid, algs: algs, key: key, id: [32]byte(h.Sum(nil))}, nil
}

// parseJWKS reads a JWK set (RFC 7517), with or without a byte-order mark. A key
// that is broken, weak or meant for something else is skipped and reported: one
// of them must not cost the others.
func parseJWKS(b []byte, allowed []string) (keys []verifyKey, skipped []error, err error) {
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	b = bytes.TrimPrefix(b, byteOrderMark)
	// Duplicates are looked for key by key.
	if err := json.Unmarshal(b, &set, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		return nil, nil, errors.New("not a JSON Web Key Set")
	}
	if slices.ContainsFunc(set.Keys, isPrivate) {
		return nil, nil, errPrivateKeys
	}
	for i, raw := range set.Keys {
		if len(keys) == maxKeys {
			skipped = append(skipped, fmt.Errorf("%d keys after the first %d usable ones", len(set.Keys)-i, maxKeys))
			break
		}
		k, err := parseJWK(raw, allowed)
		if err != nil {
			skipped = append(skipped, fmt.Errorf("key %d: %w", i+1, err))
			continue
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, nil, fmt.Errorf("%w%s", errNoKeys, summary(skipped))
	}
	return keys, skipped, nil
}

var byteOrderMark = []byte("\ufeff")

// isPrivate reports whether a JWK holds what only its issuer may know (RFC 7518
// section 6, RFC 8037 section 2). A symmetric key is left to parseJWK.
func isPrivate(raw jsontext.Value) bool {
	var members map[string]jsontext.Value
	if json.Unmarshal(raw, &members, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) != nil {
		return false
	}
	return slices.ContainsFunc([]string{"d", "p", "q", "dp", "dq", "qi", "oth", "priv"}, func(name string) bool {
		return members[name] != nil && members[name].Kind() != 'n'
	})
}

// summary is the first few reasons in one line.
func summary(reasons []error) string {
	var b strings.Builder
	for _, r := range reasons[:min(len(reasons), 5)] {
		fmt.Fprintf(&b, "; %v", r)
	}
	return b.String()
}

func parseJWK(raw []byte, allowed []string) (verifyKey, error) {
	var m jwkset.JWKMarshal
	if err := json.Unmarshal(raw, &m); err != nil {
		return verifyKey{}, errors.New("not a JSON Web Key")
	}
	if m.USE != "" && m.USE != jwkset.UseSig {
		return verifyKey{}, fmt.Errorf("for another use (%s)", quote(string(m.USE)))
	}
	if m.KEYOPS != nil && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify) {
		return verifyKey{}, errors.New("not for verifying (key_ops)")
	}
	// A secret in a published set is no secret.
	if m.KTY == jwkset.KtyOct {
		return verifyKey{}, errors.New("a symmetric key, which only a secret's file may hold")
	}
	kid, alg := strings.Clone(m.KID), canonicalAlg(string(m.ALG))
	// The key itself is what we were told to trust, not the certificate around
	// it, and surely not one that would have to be fetched. newKey judges alg.
	m.X5U, m.X5C, m.X5T, m.X5TS256, m.KEYOPS, m.ALG = "", nil, "", "", nil, ""
	jwk, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return verifyKey{}, fmt.Errorf("unusable key material: %w", err)
	}
	return newKey(kid, alg, jwk.Key(), allowed)
}

// parseSecret reads an HMAC secret: all bytes, without one trailing line break,
// which editors and shells leave behind.
func parseSecret(b []byte, allowed []string) ([]verifyKey, error) {
	b = bytes.TrimSuffix(b, []byte("\n"))
	b = bytes.TrimSuffix(b, []byte("\r"))
	// A public key as the secret would let everybody sign.
	if bytes.Contains(b, []byte("-----BEGIN ")) {
		return nil, errors.New("holds a PEM key, which is not an HMAC secret")
	}
	if jsontext.Value(b).IsValid() && jsontext.Value(b).Kind() == '{' {
		return nil, errors.New("holds a JSON object such as a key set, which is not an HMAC secret")
	}
	k, err := newKey("", "", bytes.Clone(b), allowed)
	if err != nil {
		return nil, err
	}
	return []verifyKey{k}, nil
}
