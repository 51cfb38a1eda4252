package auth_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/authtest"
)

// An attack is a token that must be refused. Every one of them has a twin that
// differs only by what makes it an attack, and that is accepted: otherwise a
// refusal would show nothing.
type attack struct {
	name  string
	token func(*testing.T, *authtest.Issuer) string
	want  auth.Reason
	twin  func(*testing.T, *authtest.Issuer) string // nil: the plain token
}

func (tt attack) run(t *testing.T, i *authtest.Issuer, a *auth.Authenticator) {
	t.Run(tt.name, func(t *testing.T) {
		wantReason(t, a, bearer(t, tt.token(t, i)), tt.want)
		twin := tt.twin
		if twin == nil {
			twin = plain
		}
		wantTenants(t, a, bearer(t, twin(t, i)), "acme")
		// The refusal is not the memory of another request.
		wantReason(t, a, bearer(t, tt.token(t, i)), tt.want)
	})
}

func plain(t *testing.T, i *authtest.Issuer) string { return i.Token(t, "acme", nil) }

// claims makes a token with other claims.
func claims(c map[string]any) func(*testing.T, *authtest.Issuer) string {
	return func(t *testing.T, i *authtest.Issuer) string { return i.Token(t, "acme", c) }
}

// header makes a token with other header members.
func header(h map[string]any) func(*testing.T, *authtest.Issuer) string {
	return func(t *testing.T, i *authtest.Issuer) string {
		return i.Key().Token(t, h, i.Claims("acme", nil))
	}
}

// raw signs a header and a payload that were made from good ones as text.
func raw(change func(header, payload string) (string, string)) func(*testing.T, *authtest.Issuer) string {
	return func(t *testing.T, i *authtest.Issuer) string {
		parts := strings.Split(plain(t, i), ".")
		h, p := change(string(unbase64(t, parts[0])), string(unbase64(t, parts[1])))
		return i.Key().Sign(t, []byte(h), []byte(p))
	}
}

// payload signs a changed payload.
func payload(change func(string) string) func(*testing.T, *authtest.Issuer) string {
	return raw(func(h, p string) (string, string) { return h, change(p) })
}

// spelled respells a good, signed token. Its signature covers the bytes before.
func spelled(change func(parts []string) string) func(*testing.T, *authtest.Issuer) string {
	return func(t *testing.T, i *authtest.Issuer) string {
		return change(strings.Split(plain(t, i), "."))
	}
}

func add(member string) func(string) string {
	return func(s string) string { return strings.TrimSuffix(s, "}") + "," + member + "}" }
}

func unbase64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func base64url(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func runAttacks(t *testing.T, attacks []attack) {
	t.Helper()
	i := authtest.NewOfflineIssuer(t)
	a := fixedKeys(t, i, nil)
	for _, tt := range attacks {
		tt.run(t, i, a)
	}
}

func TestAttacksOnTheAlgorithm(t *testing.T) {
	var attacks []attack
	for _, none := range []string{"none", "None", "NONE", "nOnE", " none", "none ", "", "null", "NoNe\x00"} {
		unsigned := func(sig string) func(*testing.T, *authtest.Issuer) string {
			return func(_ *testing.T, i *authtest.Issuer) string {
				h, _ := json.Marshal(map[string]any{"alg": none, "kid": i.Key().ID})
				c, _ := json.Marshal(i.Claims("acme", nil))
				return base64url(string(h)) + "." + base64url(string(c)) + "." + sig
			}
		}
		attacks = append(
			attacks,
			attack{fmt.Sprintf("alg %q without a signature", none), unsigned(""), auth.Malformed, nil},
			attack{fmt.Sprintf("alg %q with some signature", none), unsigned("AAAA"), auth.WrongAlgorithm, nil},
		)
	}
	secret := func(change func([]byte) []byte) func(*testing.T, *authtest.Issuer) string {
		return func(t *testing.T, i *authtest.Issuer) string {
			k := authtest.Key{Alg: "HS256", ID: i.Key().ID, Private: change(i.Key().PEM(t))}
			return k.Token(t, nil, i.Claims("acme", nil))
		}
	}
	attacks = append(
		attacks,
		attack{"public key in PEM as HMAC secret", secret(bytes.Clone), auth.WrongAlgorithm, nil},
		attack{"public key in PEM without its line break as HMAC secret", secret(bytes.TrimSpace), auth.WrongAlgorithm, nil},
		attack{"empty HMAC secret", secret(func([]byte) []byte { return []byte{} }), auth.WrongAlgorithm, nil},
		attack{"alg in lower case", header(map[string]any{"alg": "rs256"}), auth.WrongAlgorithm, nil},
		attack{"alg is a number", header(map[string]any{"alg": 256}), auth.Malformed, nil},
		attack{"alg is an array", header(map[string]any{"alg": []string{"RS256"}}), auth.Malformed, nil},
		attack{"alg is missing", header(map[string]any{"alg": nil}), auth.Malformed, nil},
		attack{"alg under another case", raw(func(h, p string) (string, string) {
			return strings.Replace(h, `"alg"`, `"Alg"`, 1), p
		}), auth.Malformed, nil},
		attack{"another RSA algorithm than the key's", func(t *testing.T, i *authtest.Issuer) string {
			k := i.Key()
			k.Alg = "PS256"
			return k.Token(t, nil, i.Claims("acme", nil))
		}, auth.WrongAlgorithm, nil},
		attack{"another hash than the key's", func(t *testing.T, i *authtest.Issuer) string {
			k := i.Key()
			k.Alg = "RS512"
			return k.Token(t, nil, i.Claims("acme", nil))
		}, auth.WrongAlgorithm, nil},
		attack{"another type of key under the known kid", func(t *testing.T, i *authtest.Issuer) string {
			k := authtest.NewKey(t, "ES256")
			k.ID = i.Key().ID
			return k.Token(t, nil, i.Claims("acme", nil))
		}, auth.WrongAlgorithm, nil},
	)
	runAttacks(t, attacks)
}

func TestAttacksOnTheSignature(t *testing.T) {
	stranger := authtest.NewKey(t, "ES256")
	runAttacks(t, []attack{
		{"no signature", spelled(func(p []string) string { return p[0] + "." + p[1] + "." }), auth.Malformed, nil},
		{"of another token", func(t *testing.T, i *authtest.Issuer) string {
			forged := strings.Split(i.Token(t, "globex", nil), ".")
			return strings.Join(append(forged[:2], strings.Split(plain(t, i), ".")[2]), ".")
		}, auth.BadSignature, nil},
		{"one bit off", spelled(func(p []string) string {
			sig, _ := base64.RawURLEncoding.DecodeString(p[2])
			sig[7] ^= 1
			return p[0] + "." + p[1] + "." + base64url(string(sig))
		}), auth.BadSignature, nil},
		{"cut short", spelled(func(p []string) string { return p[0] + "." + p[1] + "." + p[2][:40] }), auth.BadSignature, nil},
		{"all zero", spelled(func(p []string) string {
			return p[0] + "." + p[1] + "." + base64url(strings.Repeat("\x00", 256))
		}), auth.BadSignature, nil},
		{"by a stranger's key of the same type under the known kid", func(t *testing.T, i *authtest.Issuer) string {
			authtest.NewKey(t, "RS256") // RSA keys are drawn in turn
			k := authtest.NewKey(t, "RS256")
			for k.Private == i.Key().Private {
				k = authtest.NewKey(t, "RS256")
			}
			k.ID = i.Key().ID
			return k.Token(t, nil, i.Claims("acme", nil))
		}, auth.BadSignature, nil},
		{"by a stranger's key under an unknown kid", func(t *testing.T, i *authtest.Issuer) string {
			return stranger.Token(t, nil, i.Claims("acme", nil))
		}, auth.UnknownKey, nil},
		{"HMAC with the kid as secret", func(t *testing.T, i *authtest.Issuer) string {
			k := authtest.Key{Alg: "HS256", ID: i.Key().ID, Private: []byte(i.Key().ID)}
			return k.Token(t, nil, i.Claims("acme", nil))
		}, auth.WrongAlgorithm, nil},
	})
}

// The header offers a key, or a place where one could be had.
func TestAttacksByHeader(t *testing.T) {
	stranger := authtest.NewKey(t, "RS256")
	asked := authtest.NewIssuer(t) // nobody may ever ask it
	asked.Publish(stranger)
	offers := []struct {
		name string
		h    map[string]any
	}{
		{"jwk", map[string]any{"jwk": stranger.JWK()}},
		{"jku", map[string]any{"jku": asked.JWKSURL}},
		{"x5u", map[string]any{"x5u": asked.URL + "/cert.pem"}},
		{"x5c", map[string]any{"x5c": []string{base64.StdEncoding.EncodeToString([]byte("certificate"))}}},
	}
	var attacks []attack
	for _, o := range offers {
		attacks = append(attacks, attack{
			"a key of its own by " + o.name, func(t *testing.T, i *authtest.Issuer) string {
				return stranger.Token(t, o.h, i.Claims("acme", nil))
			}, auth.UnknownKey, header(o.h), // signed well, the offer is just ignored
		})
	}
	for _, kid := range []string{
		"../../../../dev/null", "/dev/null", "/etc/passwd", "' OR '1'='1", "key\x00", "| sleep 9",
		"http://169.254.169.254/", strings.Repeat("k", 4000), "${jndi:ldap://x}", "\u202e",
	} {
		attacks = append(attacks, attack{
			fmt.Sprintf("kid %.20q with an empty secret", kid), func(t *testing.T, i *authtest.Issuer) string {
				k := authtest.Key{Alg: "HS256", ID: kid, Private: []byte{}}
				return k.Token(t, nil, i.Claims("acme", nil))
			}, auth.WrongAlgorithm, nil,
		}, attack{
			fmt.Sprintf("kid %.20q", kid), header(map[string]any{"kid": kid}), auth.UnknownKey, nil,
		})
	}
	attacks = append(
		attacks,
		attack{"kid is a number", header(map[string]any{"kid": 1}), auth.Malformed, nil},
		attack{"kid is null", raw(func(_, p string) (string, string) {
			return `{"alg":"RS256","kid":null}`, p
		}), auth.Malformed, header(map[string]any{"kid": nil})},
		attack{"unknown critical extension", header(map[string]any{"crit": []string{"exp"}, "exp": 1}), auth.Malformed, header(map[string]any{"exp": 1})},
		attack{"empty crit", header(map[string]any{"crit": []string{}}), auth.Malformed, nil},
		attack{"crit is null", raw(func(h, p string) (string, string) { return add(`"crit":null`)(h), p }), auth.Malformed, nil},
		attack{"unencoded payload", header(map[string]any{"b64": false, "crit": []string{"b64"}}), auth.Malformed, nil},
		attack{"unencoded payload that isn't critical", header(map[string]any{"b64": false}), auth.Malformed, header(map[string]any{"b64": true})},
		attack{"logout token", header(map[string]any{"typ": "logout+jwt"}), auth.Malformed, header(map[string]any{"typ": "at+jwt"})},
		attack{"security event", header(map[string]any{"typ": "application/SecEvent+JWT"}), auth.Malformed, header(map[string]any{"typ": "application/at+jwt"})},
		attack{"DPoP proof", header(map[string]any{"typ": "dpop+jwt"}), auth.Malformed, header(map[string]any{"typ": nil})},
		attack{"typ is a number", header(map[string]any{"typ": 1}), auth.Malformed, header(map[string]any{"typ": "jwt"})},
		attack{"logout token with a parameter", header(map[string]any{"typ": "logout+jwt; v=1"}), auth.Malformed, header(map[string]any{"typ": "at+jwt; v=1"})},
		attack{"logout token with a blank", header(map[string]any{"typ": "logout+jwt "}), auth.Malformed, header(map[string]any{"typ": "JWT"})},
		attack{"a type that nobody knows", header(map[string]any{"typ": "receipt"}), auth.Malformed, header(map[string]any{"typ": "application/JWT"})},
		attack{"JSON serialization's type", header(map[string]any{"typ": "JOSE+JSON"}), auth.Malformed, nil},
		attack{"another top-level type", header(map[string]any{"typ": "text/jwt"}), auth.Malformed, nil},
		attack{"typ with a broken parameter", header(map[string]any{"typ": "jwt; x"}), auth.Malformed, nil},
		attack{"typ is empty", header(map[string]any{"typ": ""}), auth.Malformed, nil},
	)
	runAttacks(t, attacks)
	if asked.Fetches() > 0 {
		t.Error("a token's own URL was asked for keys")
	}
}

func TestAttacksBySpelling(t *testing.T) {
	duplicate := func(member string) func(*testing.T, *authtest.Issuer) string { return payload(add(member)) }
	join := func(f func(h, p, s string) string) func(*testing.T, *authtest.Issuer) string {
		return spelled(func(p []string) string { return f(p[0], p[1], p[2]) })
	}
	attacks := []attack{
		{"padding", join(func(h, p, s string) string { return h + "." + p + "." + s + "==" }), auth.Malformed, nil},
		{"spare bits in the signature", join(func(h, p, s string) string {
			// 256 bytes leave 4 spare bits in the last digit, which are zero.
			return h + "." + p + "." + s[:len(s)-1] + string(s[len(s)-1]+1)
		}), auth.Malformed, nil},
		{"standard base64", func(t *testing.T, i *authtest.Issuer) string {
			h := base64.StdEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT","x":"??>>??"}`))
			return i.Key().SignText(t, h+"."+strings.Split(plain(t, i), ".")[1])
		}, auth.Malformed, func(t *testing.T, i *authtest.Issuer) string {
			h := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT","x":"??>>??"}`))
			return i.Key().SignText(t, h+"."+strings.Split(plain(t, i), ".")[1])
		}},
		{"line break inside", join(func(h, p, s string) string { return h + "." + p + "." + s[:9] + "\n" + s[9:] }), auth.Malformed, nil},
		{"carriage return at the end", join(func(h, p, s string) string { return h + "." + p + "." + s + "\r" }), auth.Malformed, nil},
		{"space inside", join(func(h, p, s string) string { return h + " ." + p + "." + s }), auth.Malformed, nil},
		{"comma and another token", join(func(h, p, s string) string { return h + "." + p + "." + s + ",Bearer x" }), auth.Malformed, nil},
		{"two parts", join(func(h, p, _ string) string { return h + "." + p }), auth.Malformed, nil},
		{"four parts", join(func(h, p, s string) string { return h + "." + p + "." + s + "." }), auth.Malformed, nil},
		{"five parts, a JWE", join(func(h, p, s string) string { return h + "." + p + "." + s + "." + s + "." + s }), auth.Malformed, nil},
		{"JSON serialization", spelled(func(p []string) string {
			return fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, p[0], p[1], p[2])
		}), auth.Malformed, nil},
		{"nested token", func(t *testing.T, i *authtest.Issuer) string {
			return i.Key().Sign(t, []byte(`{"alg":"RS256","cty":"JWT"}`), []byte(plain(t, i)))
		}, auth.Malformed, nil},
		{"payload is an array", payload(func(s string) string { return "[" + s + "]" }), auth.Malformed, nil},
		{"payload is null", payload(func(string) string { return "null" }), auth.Malformed, nil},
		{"payload is empty", payload(func(string) string { return "" }), auth.Malformed, nil},
		{"text after the payload", payload(func(s string) string { return s + "{}" }), auth.Malformed, payload(func(s string) string { return " " + s + "\n" })},
		{"byte order mark", payload(func(s string) string { return "\ufeff" + s }), auth.Malformed, nil},
		{"comment", payload(func(s string) string { return s + "//" }), auth.Malformed, nil},
		{"trailing comma", payload(func(s string) string { return strings.TrimSuffix(s, "}") + ",}" }), auth.Malformed, nil},
		{"second tenant", duplicate(`"tenant_id":"globex"`), auth.Malformed, duplicate(`"tenant_Id":"globex"`)},
		{"second tenant spelled with an escape", duplicate(`"ten\u0061nt_id":"globex"`), auth.Malformed, duplicate(`"ten\u0062nt_id":"globex"`)},
		{"second issuer", duplicate(`"iss":"https://evil.test"`), auth.Malformed, duplicate(`"ISS":"https://evil.test"`)},
		{"second exp", duplicate(`"exp":9999999999`), auth.Malformed, duplicate(`"Exp":1`)},
		{"duplicate deep inside", duplicate(`"a":[{"b":{"c":1,"c":2}}]`), auth.Malformed, duplicate(`"a":[{"b":{"c":1,"d":2}}]`)},
		{"second alg", raw(func(h, p string) (string, string) { return add(`"alg":"none"`)(h), p }), auth.Malformed, raw(func(h, p string) (string, string) { return add(`"ALG":"none"`)(h), p })},
		{"second kid", raw(func(h, p string) (string, string) { return add(`"kid":"x"`)(h), p }), auth.Malformed, raw(func(h, p string) (string, string) { return add(`"Kid":"x"`)(h), p })},
		{"invalid UTF-8 in the claims", payload(add("\"x\":\"\xff\"")), auth.Malformed, payload(add(`"x":"ÿ"`))},
		{"invalid UTF-8 in a name", payload(add("\"\xc0\xae\":1")), auth.Malformed, nil},
		{"lone surrogate", payload(add(`"x":"\ud800"`)), auth.Malformed, payload(add(`"x":"\ud83d\ude00"`))},
		{"nesting without end", payload(add(`"x":` + strings.Repeat("[", 11000))), auth.Malformed, payload(add(`"x":` + strings.Repeat("[", 99) + strings.Repeat("]", 99)))},
		{"longer than 64 KiB", claims(map[string]any{"x": strings.Repeat("x", 50<<10)}), auth.Malformed, claims(map[string]any{"x": strings.Repeat("x", 46<<10)})},
		{"1 MiB", func(*testing.T, *authtest.Issuer) string { return strings.Repeat("a.", 1<<19) }, auth.Malformed, nil},
		{"not a token", func(*testing.T, *authtest.Issuer) string { return "hunter2" }, auth.Malformed, nil},
	}
	runAttacks(t, attacks)
}

func TestAttacksOnTheDates(t *testing.T) {
	now := time.Now().Unix()
	member := func(name, value string) func(*testing.T, *authtest.Issuer) string {
		return func(t *testing.T, i *authtest.Issuer) string {
			c := i.Claims("acme", map[string]any{name: nil})
			b, _ := json.Marshal(c)
			return i.Key().Sign(t, []byte(`{"alg":"RS256"}`), []byte(add(fmt.Sprintf("%q:%s", name, value))(string(b))))
		}
	}
	later := fmt.Sprint(now + 600)
	attacks := []attack{
		{"expired", claims(map[string]any{"exp": now - 300}), auth.Expired, nil},
		{"expired by the leeway", claims(map[string]any{"exp": now - 31}), auth.Expired, claims(map[string]any{"exp": now - 25})},
		{"no exp", claims(map[string]any{"exp": nil}), auth.Malformed, nil},
		{"exp under another case", claims(map[string]any{"exp": nil, "EXP": now + 600}), auth.Malformed, nil},
		{"exp as text", member("exp", `"`+later+`"`), auth.Malformed, member("exp", later)},
		{"exp null", member("exp", "null"), auth.Malformed, nil},
		{"exp true", member("exp", "true"), auth.Malformed, nil},
		{"exp in an array", member("exp", "["+later+"]"), auth.Malformed, nil},
		{"exp negative", member("exp", "-1"), auth.Malformed, nil},
		{"exp minus zero", member("exp", "-0"), auth.Expired, nil},
		{"exp zero", member("exp", "0"), auth.Expired, nil},
		{"exp in milliseconds", member("exp", later+"000"), auth.Malformed, nil},
		{"exp beyond all integers", member("exp", "1e300"), auth.Malformed, member("exp", "2.5e9")},
		{"exp beyond all floats", member("exp", "1e999"), auth.Malformed, nil},
		{"exp of 2^63", member("exp", "9223372036854775808"), auth.Malformed, nil},
		{"exp of -2^64", member("exp", "-18446744073709551616"), auth.Malformed, nil},
		{"exp not a number", member("exp", "NaN"), auth.Malformed, nil},
		{"exp with a fraction, past", member("exp", fmt.Sprint(now-300)+".9"), auth.Expired, member("exp", later+".9")},
		{"nbf in the future", claims(map[string]any{"nbf": now + 300}), auth.NotYetValid, claims(map[string]any{"nbf": now})},
		{"nbf beyond the leeway", claims(map[string]any{"nbf": now + 60}), auth.NotYetValid, claims(map[string]any{"nbf": now + 20})},
		{"nbf as text", member("nbf", `"1"`), auth.Malformed, member("nbf", "1")},
		{"nbf null", member("nbf", "null"), auth.Malformed, nil},
		{"nbf huge", member("nbf", "1e300"), auth.Malformed, nil},
		{"iat in the future", claims(map[string]any{"iat": now + 300}), auth.NotYetValid, claims(map[string]any{"iat": now + 20})},
		{"iat as text", member("iat", `"1"`), auth.Malformed, claims(map[string]any{"iat": nil})},
	}
	runAttacks(t, attacks)
}

func TestAttacksOnIssuerAndAudience(t *testing.T) {
	issuer := func(change func(string) any) func(*testing.T, *authtest.Issuer) string {
		return func(t *testing.T, i *authtest.Issuer) string {
			return i.Token(t, "acme", map[string]any{"iss": change(i.URL)})
		}
	}
	aud := func(v any) func(*testing.T, *authtest.Issuer) string { return claims(map[string]any{"aud": v}) }
	runAttacks(t, []attack{
		{"another issuer", issuer(func(string) any { return "https://evil.test" }), auth.WrongIssuer, nil},
		{"issuer with a slash more", issuer(func(s string) any { return s + "/" }), auth.WrongIssuer, nil},
		{"issuer in capitals", issuer(func(s string) any { return strings.ToUpper(s) }), auth.WrongIssuer, nil},
		{"issuer with a space", issuer(func(s string) any { return s + " " }), auth.WrongIssuer, nil},
		{"issuer with user", issuer(func(s string) any { return strings.Replace(s, "//", "//x@", 1) }), auth.WrongIssuer, nil},
		{"issuer as a prefix", issuer(func(s string) any { return s + ".evil.test" }), auth.WrongIssuer, nil},
		{"issuer in an array", issuer(func(s string) any { return []string{s} }), auth.Malformed, nil},
		{"issuer null", payload(func(s string) string { return strings.Replace(s, `"iss":"https://issuer.test"`, `"iss":null`, 1) }), auth.Malformed, nil},
		{"no issuer", claims(map[string]any{"iss": nil}), auth.WrongIssuer, nil},
		{"empty issuer", claims(map[string]any{"iss": ""}), auth.WrongIssuer, nil},
		{"another audience", aud("thanos"), auth.WrongAudience, nil},
		{"other audiences", aud([]string{"thanos", "grafana"}), auth.WrongAudience, aud([]string{"thanos", authtest.Audience})},
		{"no audience", aud(nil), auth.WrongAudience, nil},
		{"empty audience", aud(""), auth.WrongAudience, nil},
		{"empty array of audiences", aud([]string{}), auth.WrongAudience, aud([]string{authtest.Audience})},
		{"audience in capitals", aud("PROMFENCE"), auth.WrongAudience, nil},
		{"audience among others in one string", aud("thanos " + authtest.Audience), auth.WrongAudience, nil},
		{"audience with a comma", aud(authtest.Audience + ",thanos"), auth.WrongAudience, nil},
		{"audience as a prefix", aud(authtest.Audience + "-admin"), auth.WrongAudience, nil},
		{"audience a number", aud(1), auth.Malformed, nil},
		{"audience an object", aud(map[string]any{authtest.Audience: true}), auth.Malformed, nil},
		{"audience next to a number", aud([]any{authtest.Audience, 1}), auth.Malformed, nil},
		{"audience in an array in an array", aud([]any{[]string{authtest.Audience}}), auth.Malformed, nil},
		{"subject a number", claims(map[string]any{"sub": 1}), auth.Malformed, claims(map[string]any{"sub": nil})},
	})
}

// Each algorithm has its own ways to be fooled.
func TestAttacksOnECDSA(t *testing.T) {
	for alg, size := range map[string]int{"ES256": 64, "ES384": 96, "ES512": 132} {
		i := authtest.NewOfflineIssuer(t)
		i.Rotate(authtest.NewKey(t, alg))
		a := fixedKeys(t, i, nil)
		sig := func(s []byte) func(*testing.T, *authtest.Issuer) string {
			return spelled(func(p []string) string { return p[0] + "." + p[1] + "." + base64url(string(s)) })
		}
		ones := bytes.Repeat([]byte{0xff}, size)
		asn1 := []byte{0x30, 0x06, 0x02, 0x01, 0x00, 0x02, 0x01, 0x00}
		for _, tt := range []attack{
			{"psychic signature of zeros", sig(make([]byte, size)), auth.BadSignature, nil},
			{"r zero and s one", sig(append(make([]byte, size-1), 1)), auth.BadSignature, nil},
			{"r and s beyond the order", sig(ones), auth.BadSignature, nil},
			{"ASN.1 zeros", sig(asn1), auth.BadSignature, nil},
			{"short", sig(make([]byte, size-2)), auth.BadSignature, nil},
			{"long", sig(make([]byte, size+2)), auth.BadSignature, nil},
			{"another curve's algorithm", func(t *testing.T, i *authtest.Issuer) string {
				other := map[string]string{"ES256": "ES384", "ES384": "ES256", "ES512": "ES256"}[alg]
				k := authtest.NewKey(t, other)
				k.ID = i.Key().ID
				return k.Token(t, nil, i.Claims("acme", nil))
			}, auth.WrongAlgorithm, nil},
		} {
			tt.name = alg + " " + tt.name
			tt.run(t, i, a)
		}
	}
}

func TestAttacksOnHMAC(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	i.Rotate(authtest.NewKey(t, "HS256"))
	secret := i.Key().Private.([]byte)
	a := fixedKeys(t, i, func(o *auth.Options) {
		o.JWKSFile, o.HMACSecretFile = "", file(t, "secret", append(bytes.Clone(secret), '\n'))
	})
	by := func(s []byte) func(*testing.T, *authtest.Issuer) string {
		return func(t *testing.T, i *authtest.Issuer) string {
			return authtest.Key{Alg: "HS256", Private: s}.Token(t, nil, i.Claims("acme", nil))
		}
	}
	for _, tt := range []attack{
		{"empty secret", by([]byte{}), auth.BadSignature, nil},
		{"secret with its line break", by(append(bytes.Clone(secret), '\n')), auth.BadSignature, by(secret)},
		{"secret cut short", by(secret[:len(secret)-1]), auth.BadSignature, nil},
		{"an asymmetric algorithm", func(t *testing.T, i *authtest.Issuer) string {
			return authtest.NewKey(t, "RS256").Token(t, nil, i.Claims("acme", nil))
		}, auth.WrongAlgorithm, nil},
		{"signature cut short", spelled(func(p []string) string {
			m := hmac.New(sha256.New, secret)
			m.Write([]byte(p[0] + "." + p[1]))
			return p[0] + "." + p[1] + "." + base64url(string(m.Sum(nil)[:16]))
		}), auth.BadSignature, nil},
	} {
		tt.run(t, i, a)
	}
}

// A refusal says what to do, and repeats nothing of the token.
func TestMessages(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	a := fixedKeys(t, i, nil)
	now := time.Now()
	for _, tt := range []struct {
		name  string
		token string
		want  string
	}{
		{"expired", i.Token(t, "acme", map[string]any{"exp": now.Add(-5 * time.Minute).Unix()}), "the token expired 5m"},
		{"early", i.Token(t, "acme", map[string]any{"nbf": now.Add(2 * time.Hour).Unix()}), "its nbf is"},
		{"audience", i.Token(t, "acme", map[string]any{"aud": "secretaudience"}), `want audience "promfence"`},
		{"issuer", i.Token(t, "acme", map[string]any{"iss": "secretissuer"}), "issuer is not accepted"},
		{"slash", i.Token(t, "acme", map[string]any{"iss": i.URL + "/"}), "trailing slash"},
		{"tenant", i.Token(t, "secret\ntenant", nil), "the claim tenant_id cannot be used: tenant 1 of 1 holds a control character"},
		{"algorithm", authtest.NewKey(t, "HS256").Token(t, map[string]any{"alg": "secretalg"}, i.Claims("acme", nil)), "want RS256"},
		{"kid", i.Key().Token(t, map[string]any{"kid": "secretkid"}, i.Claims("acme", nil)), "does not publish"},
		{"typ", i.Key().Token(t, map[string]any{"typ": "secret+jwt"}, i.Claims("acme", nil)), "typ is not"},
		{"padding", strings.Replace(i.Key().Token(t, map[string]any{"x": 1}, i.Claims("acme", nil)), ".", "=.", 1), "X-Amzn-Oidc-Accesstoken"},
		{"crit", i.Key().Token(t, map[string]any{"crit": []string{"secret"}}, i.Claims("acme", nil)), "critical"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := refused(t, a, bearer(t, tt.token))
			if !strings.Contains(e.Message, tt.want) || strings.Contains(e.Message, "secret") {
				t.Errorf("message %q, want %q in it and nothing of the token", e.Message, tt.want)
			}
		})
	}
}

// What reaches the log from a token is escaped and short.
func TestHostileTextIsEscapedForTheLog(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	a := fixedKeys(t, i, nil)
	evil := "\n\x1b[2J{\"level\":\"error\"}" + strings.Repeat("\u202e", 3000)
	for _, c := range []map[string]any{{"iss": evil}, {"aud": evil}, {"aud": []string{evil}}} {
		e := refused(t, a, bearer(t, i.Token(t, "acme", c)))
		if len(e.Error()) > 1000 || strings.Contains(e.Error(), "\u202e") {
			t.Errorf("the log gets %q", e.Error())
		}
	}
	for _, h := range []map[string]any{{"kid": evil}, {"alg": evil}} {
		e := refused(t, a, bearer(t, i.Key().Token(t, h, i.Claims("acme", nil))))
		if len(e.Error()) > 1000 || strings.Contains(e.Error(), "\u202e") {
			t.Errorf("the log gets %q", e.Error())
		}
	}
}
