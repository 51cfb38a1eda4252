package auth_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/fence"
)

// A minter makes one token of an issuer's.
type minter func(t *testing.T, i *authtest.Issuer) string

// A hostile token must be refused. Its twin differs by what is hostile alone
// and reads as acme: otherwise the refusal would show nothing.
type hostile struct {
	token minter
	twin  minter // nil: the plain token
}

func plain(t *testing.T, i *authtest.Issuer) string { return i.Token(t, "acme", nil) }

// claims is the plain token with other claims.
func claims(c map[string]any) minter {
	return func(t *testing.T, i *authtest.Issuer) string { return i.Token(t, "acme", c) }
}

// header is the plain token with other members of its header.
func header(h map[string]any) minter {
	return func(t *testing.T, i *authtest.Issuer) string { return i.Key().Token(t, h, i.Claims("acme", nil)) }
}

// payload is a token whose claims were changed as text and then signed.
func payload(change func(string) string) minter {
	return func(t *testing.T, i *authtest.Issuer) string {
		h, p, _ := parts(plain(t, i))
		return i.Key().Sign(t, []byte(decode(h)), []byte(change(decode(p))))
	}
}

// respelled changes a token after it was signed.
func respelled(change func(h, p, s string) string) minter {
	return func(t *testing.T, i *authtest.Issuer) string { return change(parts(plain(t, i))) }
}

// by is the plain token, signed by another key.
func by(other func(t *testing.T, i *authtest.Issuer) authtest.Key, h map[string]any) minter {
	return func(t *testing.T, i *authtest.Issuer) string { return other(t, i).Token(t, h, i.Claims("acme", nil)) }
}

func parts(token string) (h, p, s string) {
	all := strings.Split(token, ".")
	return all[0], all[1], all[2]
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func decode(s string) string {
	b, _ := base64.RawURLEncoding.DecodeString(s)
	return string(b)
}

// insert puts a member behind the others of an object.
func insert(member string) func(string) string {
	return func(s string) string { return strings.TrimSuffix(s, "}") + "," + member + "}" }
}

// unsigned is a token by the algorithm none, however that is written.
func unsigned(none, signature string) minter {
	return func(t *testing.T, i *authtest.Issuer) string {
		c, err := json.Marshal(i.Claims("acme", nil))
		if err != nil {
			t.Fatal(err)
		}
		return encode(fmt.Sprintf(`{"alg":%q,"kid":%q}`, none, i.Key().ID)) + "." + encode(string(c)) + "." + signature
	}
}

// algorithm is a way to sign that the issuer's key was not published for.
func algorithm(alg string) func(*testing.T, *authtest.Issuer) authtest.Key {
	return func(_ *testing.T, i *authtest.Issuer) authtest.Key {
		k := i.Key()
		k.Alg = alg
		return k
	}
}

// secret takes the public key for an HMAC secret.
func secret(t *testing.T, i *authtest.Issuer) authtest.Key {
	return authtest.Key{ID: i.Key().ID, Alg: "HS256", Private: i.Key().PEM(t)}
}

// elliptic replaces the signature of a token by an ECDSA key that the issuer
// publishes too.
func elliptic(k authtest.Key, signature string) minter {
	return func(t *testing.T, i *authtest.Issuer) string {
		h, p, s := parts(k.Token(t, nil, i.Claims("acme", nil)))
		if signature != "" {
			s = encode(signature)
		}
		return h + "." + p + "." + s
	}
}

// hostileTokens are attacks by what a token says and by how it is written.
// evil is an issuer that must never be asked, ec a key of the good one.
func hostileTokens(evil *authtest.Issuer, ec authtest.Key) map[string]hostile {
	now := time.Now().Unix()
	thief := func(kid bool) func(*testing.T, *authtest.Issuer) authtest.Key {
		return func(_ *testing.T, i *authtest.Issuer) authtest.Key {
			if kid {
				return withID(evil.Key(), i.Key().ID)
			}
			return evil.Key()
		}
	}
	member := func(name, value string) minter {
		return func(t *testing.T, i *authtest.Issuer) string {
			c, _ := json.Marshal(i.Claims("acme", map[string]any{name: nil}))
			return i.Key().Sign(t, []byte(`{"alg":"RS256"}`), []byte(insert(fmt.Sprintf("%q:%s", name, value))(string(c))))
		}
	}
	return map[string]hostile{
		"no signature, alg none":                 {unsigned("none", ""), nil},
		"alg nOnE with some signature":           {unsigned("nOnE", "AAAA"), nil},
		"the public key as a shared secret":      {by(secret, nil), nil},
		"PS256 by a key for RS256":               {by(algorithm("PS256"), nil), nil},
		"RS512 by a key for RS256":               {by(algorithm("RS512"), nil), nil},
		"a stranger's key under our kid":         {by(thief(true), nil), nil},
		"a key that the token brings":            {by(thief(false), map[string]any{"jwk": evil.Key().JWK()}), header(map[string]any{"jwk": evil.Key().JWK()})},
		"a key that the token points to":         {by(thief(false), map[string]any{"jku": evil.JWKSURL}), header(map[string]any{"jku": evil.JWKSURL})},
		"a certificate that the token points to": {by(thief(false), map[string]any{"x5u": evil.URL + "/cert.pem"}), header(map[string]any{"x5u": evil.URL + "/cert.pem"})},
		"a certificate that the token brings":    {by(thief(false), map[string]any{"x5c": []string{"MIIB"}}), header(map[string]any{"x5c": []string{"MIIB"}})},
		"a path as kid":                          {header(map[string]any{"kid": "../../../dev/null"}), nil},
		"SQL as kid":                             {header(map[string]any{"kid": "' UNION SELECT 'key"}), nil},
		"a critical extension":                   {header(map[string]any{"crit": []string{"x"}, "x": 1}), header(map[string]any{"x": 1})},
		"an unencoded payload":                   {header(map[string]any{"b64": false, "crit": []string{"b64"}}), nil},
		"a logout token":                         {header(map[string]any{"typ": "logout+jwt"}), header(map[string]any{"typ": "at+jwt"})},
		"the claims of another token": {respelled(func(h, p, s string) string {
			return h + "." + encode(strings.Replace(decode(p), "acme", "evil", 1)) + "." + s
		}), nil},
		"a signature cut short":        {respelled(func(h, p, s string) string { return h + "." + p + "." + s[:40] }), nil},
		"padding":                      {respelled(func(h, p, s string) string { return h + "." + p + "." + s + "==" }), nil},
		"a space inside":               {respelled(func(h, p, s string) string { return h + ". " + p + "." + s }), nil},
		"another token behind a comma": {respelled(func(h, p, s string) string { return h + "." + p + "." + s + ", Bearer x" }), nil},
		"five parts":                   {respelled(func(h, p, s string) string { return h + "." + p + "." + s + "." + s + "." + s }), nil},
		"JSON serialization": {respelled(func(h, p, s string) string {
			return fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, h, p, s)
		}), nil},
		"an ECDSA signature of zeros":      {elliptic(ec, strings.Repeat("\x00", 64)), elliptic(ec, "")},
		"an ECDSA signature in ASN.1":      {elliptic(ec, "\x30\x06\x02\x01\x01\x02\x01\x01"), elliptic(ec, "")},
		"a second tenant":                  {payload(insert(`"tenant_id":"globex"`)), payload(insert(`"Tenant_id":"globex"`))},
		"a second tenant behind an escape": {payload(insert(`"tenant\u005fid":"globex"`)), payload(insert(`"tenant\u002did":"globex"`))},
		"a second issuer":                  {payload(insert(`"iss":"https://evil.test"`)), payload(insert(`"ISS":"https://evil.test"`))},
		"broken UTF-8":                     {payload(insert("\"x\":\"\xff\"")), payload(insert(`"x":"ÿ"`))},
		"expired":                          {claims(map[string]any{"exp": now - 31}), claims(map[string]any{"exp": now + 60})},
		"good forever":                     {claims(map[string]any{"exp": nil}), nil},
		"good for thousands of years":      {member("exp", fmt.Sprint(now+600)+"000"), member("exp", fmt.Sprint(now+600))},
		"exp beyond all numbers":           {member("exp", "1e999"), member("exp", "2.5e9")},
		"from tomorrow":                    {claims(map[string]any{"nbf": now + 86400}), claims(map[string]any{"nbf": now - 1})},
		"issued tomorrow":                  {claims(map[string]any{"iat": now + 86400}), nil},
		"another issuer":                   {claims(map[string]any{"iss": evil.URL}), nil},
		"an issuer that only begins as ours": {func(t *testing.T, i *authtest.Issuer) string {
			return i.Token(t, "acme", map[string]any{"iss": i.URL + ".evil.test"})
		}, nil},
		"no issuer":        {claims(map[string]any{"iss": nil}), nil},
		"another audience": {claims(map[string]any{"aud": []string{"grafana", "thanos"}}), claims(map[string]any{"aud": []string{"grafana", audience}})},
		"our audience among others in one string": {claims(map[string]any{"aud": audience + " grafana"}), nil},
		"no audience":                  {claims(map[string]any{"aud": nil}), nil},
		"longer than any honest token": {claims(map[string]any{"x": strings.Repeat("x", 50<<10)}), claims(map[string]any{"x": strings.Repeat("x", 45<<10)})},
	}
}

func TestHostileTokens(t *testing.T) {
	t.Parallel()
	good, evil, behind := authtest.NewIssuer(t), authtest.NewIssuer(t), harness.Answering(t)
	ec := authtest.NewKey(t, "ES256")
	good.Publish(good.Key(), ec)
	evil.Rotate(rsaKey(t))
	begin := time.Now()
	f := fence.Start(t, "UPSTREAM_URL="+behind.URL, "AUTH_ISSUER="+good.URL, "AUTH_AUDIENCE="+audience, "LOG_LEVEL=debug")
	for name, tt := range hostileTokens(evil, ec) {
		t.Run(name, func(t *testing.T) {
			token, twin := tt.token(t, good), tt.twin
			refused(t, f, behind, bearer(token), http.StatusUnauthorized)
			if twin == nil {
				twin = plain
			}
			reads(t, f, behind, bearer(twin(t, good)), "acme")
			// The refusal was not for want of something that the twin has brought.
			refused(t, f, behind, bearer(token), http.StatusUnauthorized)
			if signature := token[strings.LastIndex(token, ".")+1:]; len(signature) > 20 && strings.Contains(f.Log(), signature) {
				t.Error("the log has the token")
			}
		})
	}
	if evil.Fetches()+evil.Discoveries() > 0 {
		t.Error("a token made promfence ask its own issuer for keys")
	}
	if most := 2 + int(time.Since(begin)/(10*time.Second)); good.Fetches() > most {
		t.Errorf("all that junk made %d requests for keys, want at most %d", good.Fetches(), most)
	}
}

// Such a token gets no further than the server's bound on headers.
func TestATokenOfAMegabyte(t *testing.T) {
	t.Parallel()
	good, behind := authtest.NewIssuer(t), harness.Answering(t)
	f := fence.Start(t, "UPSTREAM_URL="+behind.URL, "AUTH_ISSUER="+good.URL, "AUTH_AUDIENCE="+audience)
	begin := time.Now()
	got := query(t, f, bearer(strings.Repeat("a.", 1<<19)))
	if got.Status != http.StatusRequestHeaderFieldsTooLarge || time.Since(begin) > 5*time.Second || len(behind.Take()) > 0 {
		t.Errorf("%d after %s: %.200s", got.Status, time.Since(begin), got.Body)
	}
	reads(t, f, behind, bearer(plain(t, good)), "acme")
}

func TestSeveralCredentialsAreNone(t *testing.T) {
	t.Parallel()
	good, behind := authtest.NewIssuer(t), harness.Answering(t)
	f := fence.Start(t, "UPSTREAM_URL="+behind.URL, "AUTH_ISSUER="+good.URL, "AUTH_AUDIENCE="+audience,
		"AUTH_TOKEN_HEADERS=X-Id-Token,Authorization")
	valid, old := plain(t, good), good.Token(t, "acme", map[string]any{"exp": time.Now().Unix() - 60})
	reads(t, f, behind, http.Header{"X-Id-Token": {valid}, "Authorization": {"Bearer " + old}}, "acme")
	reads(t, f, behind, http.Header{"Authorization": {"bearer " + valid}}, "acme")
	for name, h := range map[string]http.Header{
		"two lines":                    {"Authorization": {"Bearer " + valid, "Bearer " + valid}},
		"two lines of the first":       {"X-Id-Token": {valid, valid}},
		"a bad first one":              {"X-Id-Token": {old}, "Authorization": {"Bearer " + valid}},
		"an empty first one":           {"X-Id-Token": {""}, "Authorization": {"Bearer " + valid}},
		"no scheme":                    {"Authorization": {valid}},
		"another scheme":               {"Authorization": {"Basic " + valid}},
		"a header that nobody has set": {"X-Grafana-Id": {valid}},
		"the proxy's own":              {"Proxy-Authorization": {"Bearer " + valid}},
		"a cookie":                     {"Cookie": {"token=" + valid}},
	} {
		t.Run(name, func(t *testing.T) { refused(t, f, behind, h, http.StatusUnauthorized) })
	}
}
