package auth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/authtest"
)

// bubble runs a test on a clock of its own, with an issuer in memory.
func bubble(t *testing.T, test func(*testing.T, *authtest.Issuer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, authtest.NewOfflineIssuer(t)) })
}

// running starts an authenticator and waits for its first fetch to end.
func running(t *testing.T, i *authtest.Issuer) *auth.Authenticator {
	t.Helper()
	a := start(t, options(i))
	synctest.Wait()
	return a
}

// fetched reports how often the issuer was asked while f ran.
func fetched(i *authtest.Issuer, f func()) int {
	before := i.Fetches()
	f()
	return i.Fetches() - before
}

// took is how long f ran by the bubble's clock.
func took(f func()) time.Duration {
	before := time.Now()
	f()
	return time.Since(before)
}

// junk is a token as anybody can make it: nothing of it is true.
func junk(t *testing.T, i *authtest.Issuer, n int) string {
	t.Helper()
	k := authtest.NewKey(t, "ES256")
	k.ID = fmt.Sprint("junk-", n)
	return k.Token(t, nil, i.Claims("acme", nil))
}

func TestProviderDownAtStart(t *testing.T) {
	bubble(t, func(t *testing.T, i *authtest.Issuer) {
		i.Fail(http.StatusBadGateway)
		a := running(t, i)
		if err := a.Ready(); err == nil || !strings.Contains(err.Error(), i.URL) {
			t.Errorf("Ready: %v, want an error that names the issuer", err)
		}
		e := refusedFor(t, a, bearer(t, plain(t, i)), auth.Unavailable)
		if e.RetryAfter < time.Second || e.RetryAfter > 10*time.Second || e.RetryAfter%time.Second != 0 {
			t.Errorf("retry after %s, want some whole seconds", e.RetryAfter)
		}
		// What no key could make good is refused even now.
		wantReason(t, a, with(t), auth.Missing)
		wantReason(t, a, bearer(t, i.Token(t, "acme", map[string]any{"iss": "x"})), auth.WrongIssuer)

		if n := fetched(i, func() { time.Sleep(10 * time.Minute) }); n < 60 || n > 130 {
			t.Errorf("%d fetches in 10 minutes without keys, want one in 5 to 10 seconds", n)
		}
		i.Fail(0)
		time.Sleep(10 * time.Second)
		if err := a.Ready(); err != nil {
			t.Error(err)
		}
		wantTenants(t, a, bearer(t, plain(t, i)), "acme")
	})
}

// Every way to answer without keys leaves those that we have.
func TestOutageOfHours(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // much garbage beside a small heap
	page := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
	}
	broken := authtest.NewKey(t, "ES256").JWK()
	broken["x"] = "AA"
	for name, h := range map[string]http.HandlerFunc{
		"500":                func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"404":                http.NotFound,
		"204":                func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"empty set":          page(`{"keys":[]}`),
		"no set":             page(`{}`),
		"null":               page(`null`),
		"keys null":          page(`{"keys":null}`),
		"keys an object":     page(`{"keys":{}}`),
		"only broken keys":   page(string(authtest.JWKSOf(broken, map[string]any{}))),
		"login page":         page("<html>log in</html>"),
		"nothing":            page(""),
		"half a document":    page(string(authtest.JWKS(authtest.NewKey(t, "ES256"))[:60])),
		"too long":           page(string(authtest.JWKS(authtest.NewKey(t, "ES256"))) + strings.Repeat(" ", 1<<20)),
		"never ending":       func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"redirect to itself": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/jwks", http.StatusFound) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, i *authtest.Issuer) {
				a := running(t, i)
				i.Respond(h)
				n := fetched(i, func() {
					for range 6 {
						time.Sleep(30 * time.Minute)
						wantTenants(t, a, bearer(t, plain(t, i)), "acme")
					}
				})
				if name != "redirect to itself" && (n < 150 || n > 400) {
					t.Errorf("%d fetches in 3 hours of failures, want one in about a minute", n)
				}
				if err := a.Ready(); err != nil {
					t.Errorf("Ready during the outage: %v", err)
				}
				// The provider comes back with another key, when the longest fetch has
				// just ended: one that is under way could not see it.
				for n := i.Fetches(); i.Fetches() == n; {
					time.Sleep(time.Second)
				}
				time.Sleep(10 * time.Second)
				i.Respond(nil)
				i.Publish(authtest.NewKey(t, "ES256"))
				time.Sleep(time.Minute)
				wantReason(t, a, bearer(t, plain(t, i)), auth.UnknownKey)
			})
		})
	}
}

// Whoever sits between us and an http address would choose our keys.
func TestRedirects(t *testing.T) {
	for target, ok := range map[string]bool{"https://other.test/jwks": true, "http://other.test/jwks": false} {
		t.Run(target, func(t *testing.T) {
			bubble(t, func(t *testing.T, i *authtest.Issuer) {
				other := authtest.NewOfflineIssuer(t)
				i.Respond(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, http.StatusFound) })
				o := options(i)
				o.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					if r.URL.Host == "other.test" {
						return other.Client().Transport.RoundTrip(r)
					}
					return i.Client().Transport.RoundTrip(r)
				})}
				a := start(t, o)
				synctest.Wait()
				if followed := a.Ready() == nil; followed != ok || other.Fetches() > 0 != ok {
					t.Errorf("followed: %v, want %v", followed, ok)
				}
			})
		})
	}
}

// The back-off starts anew with each outage, and junk does not stretch it.
func TestBackOff(t *testing.T) {
	bubble(t, func(t *testing.T, i *authtest.Issuer) {
		a := running(t, i)
		for outage := range 2 {
			time.Sleep(time.Minute)
			i.Fail(http.StatusBadGateway)
			n := fetched(i, func() {
				for range 4 { // the first makes us ask, the others are too soon
					wantReason(t, a, bearer(t, junk(t, i, outage)), auth.UnknownKey)
					time.Sleep(time.Second)
				}
			})
			if n < 3 || n > 5 {
				t.Errorf("outage %d: %d fetches in 4 seconds, want 1 and retries after about 1 and 2 seconds", outage+1, n)
			}
			time.Sleep(10 * time.Minute)
			i.Fail(0)
			time.Sleep(time.Minute)
		}
	})
}

// Over a real connection: an answer without an end is cut off.
func TestEndlessAnswer(t *testing.T) {
	t.Parallel() // it waits for another try
	i := authtest.NewIssuer(t)
	cut := make(chan bool, 1)
	i.Respond(func(w http.ResponseWriter, _ *http.Request) {
		junk := bytes.Repeat([]byte(" "), 1<<16)
		for range 1 << 10 { // 64 MiB
			if _, err := w.Write(junk); err != nil {
				cut <- true
				return
			}
		}
		cut <- false
	})
	a := start(t, options(i))
	if !<-cut {
		t.Error("64 MiB were read")
	}
	i.Respond(nil)
	eventually(t, "ready", func() bool { return a.Ready() == nil })
}

func TestBrokenKeysAreSkipped(t *testing.T) {
	bubble(t, func(t *testing.T, i *authtest.Issuer) {
		odd := func(name string, v any) map[string]any {
			k := authtest.NewKey(t, "RS256").JWK()
			k[name] = v
			return k
		}
		good := i.Key().JWK()
		good["x5c"], good["x5u"], good["extra"] = []string{"broken"}, "http://evil.test", map[string]any{"a": 1}
		i.Respond(func(w http.ResponseWriter, _ *http.Request) {
			set := authtest.JWKSOf(
				nil, map[string]any{}, odd("kty", "oct"), odd("kty", 5), odd("n", "!"), odd("n", ""), odd("e", "AA"),
				odd("e", "Ag"), odd("kid", 7), odd("use", "enc"), odd("alg", "RSA-OAEP"), odd("key_ops", []string{"sign"}),
				map[string]any{"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}, good,
			)
			_, _ = w.Write(bytes.Replace(set, []byte(`"keys":[`), []byte(`"keys":["text",7,{"kty":"RSA","kty":"EC"},`), 1))
		})
		a := running(t, i)
		wantTenants(t, a, bearer(t, plain(t, i)), "acme")
	})
}

func TestRotation(t *testing.T) {
	bubble(t, func(t *testing.T, i *authtest.Issuer) {
		a := running(t, i)
		old := plain(t, i)
		wantTenants(t, a, bearer(t, old), "acme")
		time.Sleep(time.Minute)

		// A key that is published when it is first used works on its first use.
		i.Rotate(authtest.NewKey(t, "ES256"))
		n := fetched(i, func() {
			d := took(func() { wantTenants(t, a, bearer(t, plain(t, i)), "acme") })
			if d > 100*time.Millisecond {
				t.Errorf("the first token with a new key took %s", d)
			}
			wantTenants(t, a, bearer(t, plain(t, i)), "acme")
			wantTenants(t, a, bearer(t, old), "acme")
		})
		if n != 1 {
			t.Errorf("%d fetches for a new key, want 1", n)
		}

		// One that comes right after is there 10 seconds later at most.
		i.Rotate(authtest.NewKey(t, "ES384"))
		d := took(func() { wantReason(t, a, bearer(t, plain(t, i)), auth.UnknownKey) })
		if d != 0 {
			t.Errorf("a token that could not be helped was kept waiting for %s", d)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		wantTenants(t, a, bearer(t, plain(t, i)), "acme")
	})
}

func TestRemovedKeyStopsWorking(t *testing.T) {
	bubble(t, func(t *testing.T, i *authtest.Issuer) {
		a := running(t, i)
		seen, unseen := plain(t, i), i.Token(t, "acme", map[string]any{"jti": "2"})
		wantTenants(t, a, bearer(t, seen), "acme")
		i.Publish(authtest.NewKey(t, "ES256"))
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		wantReason(t, a, bearer(t, seen), auth.UnknownKey)
		wantReason(t, a, bearer(t, unseen), auth.UnknownKey)
	})
}

// A key stays under its kid, but is another one: what the old one signed ends.
func TestReplacedKeyStopsWorking(t *testing.T) {
	bubble(t, func(t *testing.T, i *authtest.Issuer) {
		a := running(t, i)
		old := plain(t, i)
		wantTenants(t, a, bearer(t, old), "acme")
		k := authtest.NewKey(t, "ES256")
		k.ID = i.Key().ID
		i.Publish(k)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		wantReason(t, a, bearer(t, old), auth.WrongAlgorithm)
		wantTenants(t, a, bearer(t, k.Token(t, nil, i.Claims("acme", nil))), "acme")
	})
}

func TestFloodOfJunk(t *testing.T) {
	bubble(t, func(t *testing.T, i *authtest.Issuer) {
		a := running(t, i)
		good := plain(t, i)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		for n := range 5 {
			token := bearer(t, junk(t, i, n))
			go func() {
				for ctx.Err() == nil {
					if id, err := a.Authenticate(token); err == nil {
						t.Errorf("junk is %v", id)
					}
					time.Sleep(10 * time.Millisecond)
				}
			}()
		}
		n := fetched(i, func() {
			for range 60 {
				time.Sleep(time.Second)
				if d := took(func() { wantTenants(t, a, bearer(t, good), "acme") }); d != 0 {
					t.Errorf("a good token waited %s", d)
				}
			}
		})
		if n > 7 {
			t.Errorf("%d fetches in a minute of junk, want one in 10 seconds", n)
		}

		time.Sleep(time.Millisecond) // right after a fetch is the worst moment
		i.Rotate(authtest.NewKey(t, "ES256"))
		rotated := bearer(t, plain(t, i))
		for limit := time.Now().Add(12 * time.Second); ; time.Sleep(100 * time.Millisecond) {
			if _, err := a.Authenticate(rotated); err == nil {
				break
			}
			if time.Now().After(limit) {
				t.Fatal("a rotated-in key does not work after 12 s of junk")
			}
		}
		stop()
		time.Sleep(3 * time.Second)
	})
}

// A fetch that takes long keeps nobody waiting but, for a moment, those whose
// keys it may bring.
func TestUnknownKeyBlocksNobodyElse(t *testing.T) {
	bubble(t, func(t *testing.T, i *authtest.Issuer) {
		a := running(t, i)
		seen, unseen := plain(t, i), i.Token(t, "acme", map[string]any{"jti": "2"})
		wantTenants(t, a, bearer(t, seen), "acme")
		time.Sleep(time.Minute)
		i.Respond(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		done := make(chan time.Duration, 200)
		n := fetched(i, func() {
			for n := range cap(done) {
				token := bearer(t, junk(t, i, n))
				go func() { done <- took(func() { _, _ = a.Authenticate(token) }) }()
			}
			synctest.Wait()
			for _, token := range []string{seen, unseen} {
				if d := took(func() { wantTenants(t, a, bearer(t, token), "acme") }); d != 0 {
					t.Errorf("a good token waited %s", d)
				}
			}
			waited := 0
			for range cap(done) {
				d := <-done
				if d > 2*time.Second {
					t.Errorf("an unknown key waited %s", d)
				}
				if d > 0 {
					waited++
				}
			}
			if waited > 64 {
				t.Errorf("%d requests with unknown keys were waiting, want a bound", waited)
			}
		})
		if n != 1 {
			t.Errorf("%d fetches for 200 unknown keys at once, want 1", n)
		}
	})
}

// A caller who goes away does not stay as a waiting goroutine.
func TestWaitingEndsWithTheRequest(t *testing.T) {
	bubble(t, func(t *testing.T, i *authtest.Issuer) {
		a := running(t, i)
		time.Sleep(time.Minute)
		i.Respond(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		d := took(func() { wantReason(t, a, bearer(t, junk(t, i, 1)).WithContext(ctx), auth.UnknownKey) })
		if d != 100*time.Millisecond {
			t.Errorf("waited %s after the caller had gone", d)
		}
	})
}

func TestRunEndsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, i *authtest.Issuer) {
		i.Respond(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		a, err := auth.New(options(i))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if d := took(func() { err = a.Run(ctx) }); err != nil || d != 3*time.Second {
			t.Errorf("Run: %v after %s", err, d)
		}
	})
}

func TestRefreshesKeepTheirPace(t *testing.T) {
	bubble(t, func(t *testing.T, i *authtest.Issuer) {
		o := options(i)
		o.RefreshInterval = 2 * time.Minute
		start(t, o)
		synctest.Wait()
		if n := fetched(i, func() { time.Sleep(2 * time.Hour) }); n < 60 || n > 67 {
			t.Errorf("%d fetches in 2 hours, want one in about 2 minutes", n)
		}
	})
}

func TestDiscovery(t *testing.T) {
	discovering := func(i *authtest.Issuer) auth.Options {
		o := options(i)
		o.JWKSURL = ""
		return o
	}
	t.Run("finds the keys", func(t *testing.T) {
		bubble(t, func(t *testing.T, i *authtest.Issuer) {
			a := start(t, discovering(i))
			synctest.Wait()
			wantTenants(t, a, bearer(t, plain(t, i)), "acme")
			time.Sleep(20 * time.Second)
			// An unknown key asks for keys, not for the way to them.
			before := i.Discoveries()
			if n := fetched(i, func() { wantReason(t, a, bearer(t, junk(t, i, 1)), auth.UnknownKey) }); n != 1 || i.Discoveries() != before {
				t.Errorf("%d fetches and %d discoveries for an unknown key, want 1 and 0", n, i.Discoveries()-before)
			}
		})
	})
	// The old place may go on serving old keys, or be gone: then there is no
	// waiting for the next regular fetch.
	for _, gone := range []bool{false, true} {
		t.Run(fmt.Sprintf("follows keys that move, the old place gone: %v", gone), func(t *testing.T) {
			bubble(t, func(t *testing.T, i *authtest.Issuer) {
				other := authtest.NewOfflineIssuer(t)
				o := discovering(i)
				var moved atomic.Bool
				o.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					switch {
					case r.URL.Path == "/.well-known/openid-configuration" && moved.Load():
						return answer(fmt.Sprintf(`{"issuer":%q,"jwks_uri":"https://moved.test/jwks"}`, i.URL)), nil
					case r.URL.Host == "moved.test":
						return other.Client().Transport.RoundTrip(r)
					}
					return i.Client().Transport.RoundTrip(r)
				})}
				a := start(t, o)
				synctest.Wait()
				wantTenants(t, a, bearer(t, plain(t, i)), "acme")
				time.Sleep(time.Minute)
				moved.Store(true)
				token := bearer(t, other.Key().Token(t, nil, i.Claims("acme", nil)))
				wait := 5 * time.Minute
				if gone {
					i.Fail(http.StatusNotFound)
					wantReason(t, a, token, auth.UnknownKey) // asks in vain
					wait = time.Second
				}
				time.Sleep(wait)
				synctest.Wait()
				wantTenants(t, a, token, "acme")
			})
		})
	}
	// An outage of discovery alone says nothing about the keys.
	for name, down := range map[string]func(*http.Request) (*http.Response, error){
		"fails": func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusInternalServerError, Body: http.NoBody}, nil
		},
		"hangs": func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		},
	} {
		t.Run("keys rotate while discovery "+name, func(t *testing.T) {
			bubble(t, func(t *testing.T, i *authtest.Issuer) {
				o := discovering(i)
				var log bytes.Buffer
				o.Logger = slog.New(slog.NewTextHandler(&log, nil))
				var out atomic.Bool
				o.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					if out.Load() && strings.HasPrefix(r.URL.Path, "/.well-known/") {
						return down(r)
					}
					return i.Client().Transport.RoundTrip(r)
				})}
				a := start(t, o)
				synctest.Wait()
				wantTenants(t, a, bearer(t, plain(t, i)), "acme")
				out.Store(true)
				time.Sleep(time.Hour)
				i.Rotate(authtest.NewKey(t, "ES256"))
				time.Sleep(6 * time.Minute)
				synctest.Wait()
				wantTenants(t, a, bearer(t, plain(t, i)), "acme")
				i.Fail(http.StatusInternalServerError) // the keys are out for one fetch, too
				time.Sleep(5 * time.Minute)
				i.Rotate(authtest.NewKey(t, "ES256"))
				i.Fail(0)
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				wantTenants(t, a, bearer(t, plain(t, i)), "acme")
				if want := "discovery failed"; !strings.Contains(log.String(), want) {
					t.Errorf("the log has no %q:\n%s", want, &log)
				}
			})
		})
	}
	for name, doc := range map[string]string{
		"of another issuer":      `{"issuer":"https://evil.test","jwks_uri":"https://issuer.test/jwks"}`,
		"with a slash more":      `{"issuer":"https://issuer.test/","jwks_uri":"https://issuer.test/jwks"}`,
		"of nobody":              `{"jwks_uri":"https://issuer.test/jwks"}`,
		"with two issuers":       `{"issuer":"https://evil.test","issuer":"https://issuer.test","jwks_uri":"https://issuer.test/jwks"}`,
		"issuer in another case": `{"Issuer":"https://issuer.test","jwks_uri":"https://issuer.test/jwks"}`,
		"without keys":           `{"issuer":"https://issuer.test"}`,
		"keys by plain http":     `{"issuer":"https://issuer.test","jwks_uri":"http://issuer.test/jwks"}`,
		"keys in a file":         `{"issuer":"https://issuer.test","jwks_uri":"file:///etc/passwd"}`,
		"keys with a password":   `{"issuer":"https://issuer.test","jwks_uri":"https://a:b@issuer.test/jwks"}`,
		"not JSON":               `<html>`,
	} {
		t.Run("refuses a document "+name, func(t *testing.T) {
			bubble(t, func(t *testing.T, i *authtest.Issuer) {
				o := discovering(i)
				o.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					if strings.HasPrefix(r.URL.Path, "/.well-known/") {
						return answer(doc), nil
					}
					return i.Client().Transport.RoundTrip(r)
				})}
				a := start(t, o)
				time.Sleep(time.Minute)
				wantReason(t, a, bearer(t, plain(t, i)), auth.Unavailable)
				if i.Fetches() > 0 {
					t.Error("keys were fetched all the same")
				}
			})
		})
	}
}

func TestRefreshesAreLogged(t *testing.T) {
	for name, tt := range map[string]struct {
		down bool // from the start
		want []string
	}{
		"with keys": {false, []string{"keys loaded", `"keys":1`, "keys not refreshed, keeping those we have", "418"}},
		"without":   {true, []string{"no keys of this issuer yet", "418"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, i *authtest.Issuer) {
				var log bytes.Buffer
				o := options(i)
				o.Logger = slog.New(slog.NewJSONHandler(&log, nil)) // where a number has no unit
				if tt.down {
					i.Fail(http.StatusTeapot)
				}
				start(t, o)
				synctest.Wait()
				i.Fail(http.StatusTeapot)
				time.Sleep(6 * time.Minute)
				synctest.Wait()
				for _, want := range append(tt.want, `"retry_in":"`, i.URL) {
					if !strings.Contains(log.String(), want) {
						t.Errorf("the log has no %q:\n%s", want, log.String())
					}
				}
				if tt.down && strings.Contains(log.String(), "keeping") {
					t.Errorf("keys are kept that never were:\n%s", log.String())
				}
			})
		})
	}
}

// Some providers want a key in the URL.
func TestALogHoldsNoQueryOfAURL(t *testing.T) {
	for name, answers := range map[string]roundTrip{
		"refuses": func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusForbidden, Status: "403", Body: http.NoBody}, nil
		},
		"is gone": func(*http.Request) (*http.Response, error) { return nil, errors.New("no route") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				a := start(t, auth.Options{
					Issuer: "https://idp", Audience: []string{"a"}, JWKSURL: "http://idp.example.com/keys?api_key=s3cret",
					HTTPClient: &http.Client{Transport: answers}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
				})
				synctest.Wait()
				text := log.String() + fmt.Sprint(a.Ready())
				if strings.Contains(text, "s3cret") || strings.Count(text, "idp.example.com/keys?xxxxx") != 2 {
					t.Error(text)
				}
			})
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(body string) *http.Response {
	return &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{}}
}
