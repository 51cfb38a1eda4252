package auth_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/authtest"
)

// hmacOnly is an authenticator that is quick enough to fuzz.
func hmacOnly(f *testing.F) (*auth.Authenticator, *authtest.Issuer) {
	f.Helper()
	i := authtest.NewOfflineIssuer(f)
	i.Rotate(authtest.NewKey(f, "HS256"))
	a, err := auth.New(auth.Options{
		Issuer: i.URL, Audience: []string{authtest.Audience}, HMACSecretFile: file(f, "secret", i.Key().Private.([]byte)),
	})
	if err != nil {
		f.Fatal(err)
	}
	return a, i
}

// Whatever stands in the header, nobody gets in without the key.
func FuzzToken(f *testing.F) {
	a, i := hmacOnly(f)
	good := i.Token(f, "acme", nil)
	f.Add("Bearer " + good[:len(good)-2])
	f.Add("Bearer " + strings.Replace(good, ".", "..", 1))
	f.Add("bearer  eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, value string) {
		r := with(t)
		r.Header["Authorization"] = []string{value}
		if strings.HasSuffix(value, good) {
			return // the token itself, behind another spelling of the scheme
		}
		_ = refused(t, a, r)
	})
}

// Whatever an issuer signs, what is accepted says what Go's usual JSON reader
// reads in it too.
func FuzzClaims(f *testing.F) {
	a, i := hmacOnly(f)
	for _, tenant := range []any{"acme", []string{"acme", "globex"}, "", nil, 1} {
		b, err := json.Marshal(i.Claims(tenant, map[string]any{"exp": int64(9e9), "iat": nil}))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"iss":"https://issuer.test","aud":["promfence"],"exp":9e9,"tenant_id":"\u0061"}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		id, err := a.Authenticate(bearer(t, i.Key().Sign(t, []byte(`{"alg":"HS256"}`), payload)))
		if err != nil {
			return
		}
		var c map[string]any
		d := json.NewDecoder(bytes.NewReader(payload))
		d.UseNumber() // which keeps a number's spelling
		if err := d.Decode(&c); err != nil {
			t.Fatalf("accepted %q: %v", payload, err)
		}
		var want []string
		switch v := c["tenant_id"].(type) {
		case string, json.Number:
			want = []string{fmt.Sprint(v)}
		case []any:
			for _, e := range v {
				want = append(want, fmt.Sprint(e))
			}
		}
		slices.Sort(want)
		if diff := cmp.Diff(slices.Compact(want), id.Tenants.Names()); diff != "" || len(want) == 0 {
			t.Errorf("tenants of %q (-want +got):\n%s", payload, diff)
		}
		aud, _ := c["aud"].([]any)
		seconds, _ := c["exp"].(json.Number)
		exp, _ := seconds.Float64()
		if c["iss"] != i.URL || c["aud"] != authtest.Audience && !slices.Contains(aud, any(authtest.Audience)) || exp < float64(time.Now().Unix()) {
			t.Errorf("accepted %q", payload)
		}
	})
}
