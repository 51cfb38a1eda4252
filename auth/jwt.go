package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"mime"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"

	"github.com/promfence/promfence/auth/policy"
)

// maxTokenBytes bounds a token before anything looks at it. Most are 1 to 8 KiB;
// those that list the bearer's groups are longer.
const maxTokenBytes = 64 << 10

// methods is every algorithm there is. golang-jwt keeps a registry of its own,
// but others can add to that one, and "none" is in it.
var methods = map[string]jwt.SigningMethod{
	"RS256": jwt.SigningMethodRS256, "RS384": jwt.SigningMethodRS384, "RS512": jwt.SigningMethodRS512,
	"PS256": jwt.SigningMethodPS256, "PS384": jwt.SigningMethodPS384, "PS512": jwt.SigningMethodPS512,
	"ES256": jwt.SigningMethodES256, "ES384": jwt.SigningMethodES384, "ES512": jwt.SigningMethodES512,
	"EdDSA": jwt.SigningMethodEdDSA,
	"HS256": jwt.SigningMethodHS256, "HS384": jwt.SigningMethodHS384, "HS512": jwt.SigningMethodHS512,
}

// A token is a JWS in compact form (RFC 7515 section 7.1), taken apart and not
// verified yet: nothing in it may be believed.
type token struct {
	alg, kid  string
	claims    object
	signed    string // what the signature covers
	signature []byte
}

// An object is a JSON object whose members are read by their exact name.
// encoding/json would match names in any case and take the last of duplicates:
// what "Exp" or a second "iss" means must not depend on who reads it.
type object map[string]jsontext.Value

// parse takes a compact JWS apart. Every spelling that two readers could take
// for different tokens is refused: padding, line breaks and spare bits in base64,
// duplicate members, invalid UTF-8, lone surrogates, text after the JSON.
func parse(raw string) (*token, error) {
	header, rest, ok1 := strings.Cut(raw, ".")
	payload, signature, ok2 := strings.Cut(rest, ".")
	if !ok1 || !ok2 || strings.Contains(signature, ".") {
		return nil, errors.New("want three parts separated by dots")
	}
	h, err := decodeObject(header)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	t := &token{signed: raw[:len(header)+1+len(payload)]}
	if err := t.readHeader(h); err != nil {
		return nil, err
	}
	if t.claims, err = decodeObject(payload); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	if t.signature, err = decodeSegment(signature); err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	return t, nil
}

// readHeader takes alg and kid. The members jwk, jku, x5u and x5c, by which a
// token offers a key of its own, are not read at all.
func (t *token) readHeader(h object) error {
	var ok bool
	if t.alg, ok = h.text("alg"); !ok {
		return errors.New("header: alg is not a string")
	}
	t.alg = canonicalAlg(t.alg)
	if _, present := h["kid"]; present {
		if t.kid, ok = h.text("kid"); !ok {
			return errors.New("header: kid is not a string")
		}
	}
	// We know no extension, so a critical one is one that we must not ignore
	// (RFC 7515 section 4.1.11). b64 belongs into crit; without it the payload
	// could still be meant unencoded (RFC 7797 section 6).
	if _, present := h["crit"]; present {
		return errors.New("header: critical extensions are not supported")
	}
	if v, present := h["b64"]; present && string(v) != "true" {
		return errors.New("header: unencoded payloads are not supported")
	}
	if _, present := h["typ"]; present {
		typ, ok := h.text("typ")
		if !ok || !acceptableType(typ) {
			return errors.New("header: typ is not that of an access or ID token")
		}
	}
	return nil
}

// canonicalAlg gives EdDSA with a key on Ed25519 one name; RFC 9864 calls it Ed25519.
func canonicalAlg(alg string) string {
	if alg == "Ed25519" {
		return "EdDSA"
	}
	return alg
}

// acceptableType tells tokens for access from those that say by explicit typing
// (RFC 8725 section 3.11) that they serve another purpose: logout+jwt, dpop+jwt,
// secevent+jwt. The same issuer signs these with the same key, and some hold a
// foreign party's words. A typ is a media type, parameters included, whose prefix
// application/ may be left out (RFC 7515 section 4.1.9).
func acceptableType(typ string) bool {
	mediaType, _, err := mime.ParseMediaType(typ)
	mediaType = strings.TrimPrefix(mediaType, "application/")
	return err == nil && (mediaType == "jwt" || mediaType == "at+jwt")
}

// errPadded is a spelling that signatures do not survive: some verifiers strip
// the padding first and some do not.
var errPadded = errors.New("is base64 with padding, which a token must not have; the balancer of AWS sends such tokens in X-Amzn-Oidc-Data: take X-Amzn-Oidc-Accesstoken instead")

// decodeSegment decodes base64url without padding. Strict refuses spare bits,
// not line breaks, which Go's decoder skips.
func decodeSegment(s string) ([]byte, error) {
	if s == "" {
		return nil, errors.New("is empty")
	}
	if strings.HasSuffix(s, "=") {
		return nil, errPadded
	}
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("is not base64url")
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, errors.New("is not base64url")
	}
	return b, nil
}

func decodeObject(segment string) (object, error) {
	b, err := decodeSegment(segment)
	if err != nil {
		return nil, err
	}
	return parseObject(b)
}

// parseObject takes no object that two readers could read differently.
func parseObject(b []byte) (object, error) {
	c, err := policy.ParseClaims(b)
	return object(c), err
}

// text returns a member that is a JSON string.
func (o object) text(name string) (string, bool) { return text(o[name]) }

// text copies: what it returns may be kept longer than the token.
func text(v jsontext.Value) (string, bool) {
	if v.Kind() != '"' {
		return "", false
	}
	b, err := jsontext.AppendUnquote(nil, v)
	return string(b), err == nil
}
