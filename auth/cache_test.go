package auth_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/authtest"
)

// gather returns all metrics by name and label values.
func gather(t *testing.T, a *auth.Authenticator) map[string]float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(a)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			all[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return all
}

// counts returns hits and misses of the token cache.
func counts(t *testing.T, a *auth.Authenticator) (hits, misses float64) {
	t.Helper()
	all := gather(t, a)
	return all["promfence_token_cache_hits_total"], all["promfence_token_cache_misses_total"]
}

// A remembered token ends at its exp, to the second; the leeway is for clocks
// and needs the whole check.
func TestCachedTokenEndsAtExp(t *testing.T) {
	bubble(t, func(t *testing.T, i *authtest.Issuer) {
		a := fixedKeys(t, i, nil) // leeway 30 s
		exp := time.Now().Add(time.Minute).Truncate(time.Second)
		r := bearer(t, i.Token(t, "acme", map[string]any{"exp": exp.Unix()}))
		at := func(when time.Time, wantHits, wantMisses float64) {
			t.Helper()
			time.Sleep(time.Until(when))
			wantTenants(t, a, r, "acme")
			if hits, misses := counts(t, a); hits != wantHits || misses != wantMisses {
				t.Errorf("%s after exp: %v hits and %v misses, want %v and %v", time.Since(exp), hits, misses, wantHits, wantMisses)
			}
		}
		at(time.Now(), 0, 1)
		at(exp.Add(-time.Second), 1, 1)
		at(exp.Add(-time.Nanosecond), 2, 1)
		at(exp, 2, 2)
		at(exp.Add(time.Second), 2, 3)
		at(exp.Add(30*time.Second-time.Nanosecond), 2, 4)
		time.Sleep(time.Nanosecond)
		wantReason(t, a, r, auth.Expired)
	})
}

func TestWithoutLeewayATokenEndsAtExp(t *testing.T) {
	bubble(t, func(t *testing.T, i *authtest.Issuer) {
		a := fixedKeys(t, i, func(o *auth.Options) { o.Leeway = 0 })
		r := bearer(t, i.Token(t, "acme", nil))
		exp := time.Now().Truncate(time.Second).Add(time.Hour)
		time.Sleep(time.Until(exp) - time.Nanosecond)
		wantTenants(t, a, r, "acme")
		time.Sleep(time.Nanosecond)
		if e := refusedFor(t, a, r, auth.Expired); e.Message != "the token expired 0s ago" {
			t.Errorf("message %q", e.Message)
		}
	})
}

// An unchanged key set keeps what is cached; any change ends all of it.
func TestCacheFollowsTheKeySet(t *testing.T) {
	bubble(t, func(t *testing.T, i *authtest.Issuer) {
		a := running(t, i)
		r := bearer(t, plain(t, i))
		wantTenants(t, a, r, "acme")
		time.Sleep(11 * time.Minute) // two refreshes
		wantTenants(t, a, r, "acme")
		if hits, misses := counts(t, a); hits != 1 || misses != 1 {
			t.Errorf("%v hits, %v misses after refreshes without a change, want 1 and 1", hits, misses)
		}
		i.Respond(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(append([]byte(" \n"), authtest.JWKS(i.Key())...))
		})
		time.Sleep(6 * time.Minute)
		wantTenants(t, a, r, "acme")
		if hits, misses := counts(t, a); hits != 2 || misses != 1 {
			t.Errorf("%v hits, %v misses after the same keys in another spelling, want 2 and 1", hits, misses)
		}
		i.Respond(nil)
		i.Publish(i.Key(), authtest.NewKey(t, "ES256"))
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		wantTenants(t, a, r, "acme")
		if hits, misses := counts(t, a); hits != 2 || misses != 2 {
			t.Errorf("%v hits, %v misses after a change, want 2 and 2", hits, misses)
		}
	})
}

func TestCacheIsBounded(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	i.Rotate(authtest.NewKey(t, "ES256"))
	a := fixedKeys(t, i, func(o *auth.Options) { o.CacheSize = 3 })
	var tokens []string
	for n := range 4 {
		tokens = append(tokens, i.Token(t, "acme", map[string]any{"jti": n}))
		wantTenants(t, a, bearer(t, tokens[n]), "acme")
	}
	// The first was pushed out, the last three are known.
	for n := 3; n >= 0; n-- {
		wantTenants(t, a, bearer(t, tokens[n]), "acme")
	}
	if hits, misses := counts(t, a); hits != 3 || misses != 5 {
		t.Errorf("%v hits, %v misses, want 3 and 5", hits, misses)
	}
}

// Refusals are not remembered, and never push out what is.
func TestCacheHoldsNoRefusals(t *testing.T) {
	i := authtest.NewOfflineIssuer(t)
	a := fixedKeys(t, i, func(o *auth.Options) { o.CacheSize = 1 })
	good := plain(t, i)
	wantTenants(t, a, bearer(t, good), "acme")
	for n := range 10 {
		_ = refused(t, a, bearer(t, junk(t, i, n)))
		_ = refused(t, a, bearer(t, i.Token(t, nil, nil)))
	}
	wantTenants(t, a, bearer(t, good), "acme")
	if hits, _ := counts(t, a); hits != 1 {
		t.Errorf("%v hits, want 1", hits)
	}
}

func TestRefreshesAreCounted(t *testing.T) {
	bubble(t, func(t *testing.T, i *authtest.Issuer) {
		a := running(t, i)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		i.Publish()
		time.Sleep(5 * time.Minute)
		i.Fail(500)
		time.Sleep(5 * time.Minute)
		got := gather(t, a)
		for outcome, least := range map[string]float64{"changed": 1, "unchanged": 1, "empty": 1, "error": 1} {
			if n := got["promfence_jwks_refreshes_total "+i.URL+" "+outcome]; n < least {
				t.Errorf("%v refreshes with the outcome %s, want at least %v: %v", n, outcome, least, got)
			}
		}
		if n := got["promfence_jwks_refreshes_total "+i.URL+" changed"]; n != 1 {
			t.Errorf("%v changes, want 1", n)
		}
	})
}
