package auth_test

import (
	"testing"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/authtest"
)

func TestCredential(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	acme, globex := i.Token(t, "acme", nil), i.Token(t, "globex", nil)
	usual := fixedKeys(t, i, nil)
	grafana := fixedKeys(t, i, func(o *auth.Options) {
		o.TokenHeaders = []string{"x-id-token", "X-Grafana-Id", "Authorization"}
	})
	for _, tt := range []struct {
		name   string
		a      *auth.Authenticator
		header []string
		want   auth.Reason // "": acme
	}{
		{"bearer", usual, []string{"Authorization", "Bearer " + acme}, ""},
		{"scheme in lower case", usual, []string{"authorization", "bearer " + acme}, ""},
		{"scheme in capitals", usual, []string{"AUTHORIZATION", "BEARER " + acme}, ""},
		{"several spaces", usual, []string{"Authorization", "Bearer   " + acme}, ""},
		{"tab for a space", usual, []string{"Authorization", "Bearer\t" + acme}, auth.Malformed},
		{"no space", usual, []string{"Authorization", "Bearer" + acme}, auth.Malformed},
		{"another scheme", usual, []string{"Authorization", "Basic " + acme}, auth.Malformed},
		{"another scheme that begins like ours", usual, []string{"Authorization", "Bearerx " + acme}, auth.Malformed},
		{"no scheme", usual, []string{"Authorization", acme}, auth.Malformed},
		{"scheme alone", usual, []string{"Authorization", "Bearer"}, auth.Malformed},
		{"scheme and a space", usual, []string{"Authorization", "Bearer "}, auth.Malformed},
		{"scheme twice", usual, []string{"Authorization", "Bearer Bearer " + acme}, auth.Malformed},
		{"empty", usual, []string{"Authorization", ""}, auth.Malformed},
		{"nothing", usual, nil, auth.Missing},
		{"a header that isn't configured", usual, []string{"X-Id-Token", acme}, auth.Missing},
		{"two lines", usual, []string{"Authorization", "Bearer " + acme, "Authorization", "Bearer " + acme}, auth.Malformed},
		{"two lines, the second empty", usual, []string{"Authorization", "Bearer " + acme, "Authorization", ""}, auth.Malformed},
		{"two in one line", usual, []string{"Authorization", "Bearer " + acme + ", Bearer " + globex}, auth.Malformed},
		{"cookie", usual, []string{"Cookie", "Authorization=Bearer " + acme}, auth.Missing},

		{"first of the list, bare", grafana, []string{"X-Id-Token", acme}, ""},
		{"first of the list, with a scheme", grafana, []string{"X-Id-Token", "Bearer " + acme}, ""},
		{"second of the list", grafana, []string{"X-Grafana-Id", acme}, ""},
		{"last of the list", grafana, []string{"Authorization", "Bearer " + acme}, ""},
		{"last of the list, bare", grafana, []string{"Authorization", acme}, auth.Malformed},
		{"the first present counts", grafana, []string{"Authorization", "Bearer " + globex, "X-Id-Token", acme}, ""},
		{"the others are not even looked at", grafana, []string{"Authorization", "x", "Authorization", "y", "X-Id-Token", acme}, ""},
		{"a bad first is not rescued", grafana, []string{"X-Id-Token", "x", "Authorization", "Bearer " + acme}, auth.Malformed},
		{"an empty first is not rescued", grafana, []string{"X-Id-Token", "", "Authorization", "Bearer " + acme}, auth.Malformed},
		{"an expired first is not rescued", grafana, []string{"X-Id-Token", i.Token(t, "acme", map[string]any{"exp": 1}), "X-Grafana-Id", acme}, auth.Expired},
		{"a first without a tenant is not rescued", grafana, []string{"X-Id-Token", i.Token(t, nil, nil), "Authorization", "Bearer " + acme}, auth.BadTenant},
		{"two lines of the first are not rescued", grafana, []string{"X-Id-Token", acme, "X-Id-Token", acme, "Authorization", "Bearer " + acme}, auth.Malformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if r := with(t, tt.header...); tt.want == "" {
				wantTenants(t, tt.a, r, "acme")
			} else {
				wantReason(t, tt.a, r, tt.want)
			}
		})
	}
}

func TestTokenInTheURLIsNotRead(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	r := with(t)
	r.URL.RawQuery = "access_token=" + i.Token(t, "acme", nil)
	wantReason(t, fixedKeys(t, i, nil), r, auth.Missing)
}
