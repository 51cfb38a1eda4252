package auth_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/fence"
	"github.com/promfence/promfence/test/harness/upstream"
)

// discovered are settings that name no source of keys.
func discovered(p *provider, behind *upstream.Recorder, more ...string) []string {
	return append([]string{"UPSTREAM_URL=" + behind.URL, "AUTH_ISSUER=" + p.URL, "AUTH_AUDIENCE=" + audience}, more...)
}

// tenanted starts a provider whose machines acme and globex name their tenant.
func tenanted(t *testing.T) *provider {
	t.Helper()
	p := newProvider(t)
	for _, tenant := range []string{"acme", "globex"} {
		p.names(tenant, map[string]any{"tenant_id": tenant})
	}
	return p
}

// eventually asks until the answer has this status.
func eventually(t *testing.T, f *fence.Fence, token string, status int, limit time.Duration) {
	t.Helper()
	err := upstream.Poll(t.Context(), limit, func() error {
		if got := query(t, f, bearer(token)); got.Status != status {
			return fmt.Errorf("%d %s, want %d", got.Status, got.Body, status)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("after %s: %v\n%s", limit, err, f.Log())
	}
}

func get(t *testing.T, address string) harness.Reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return harness.Do(t, req)
}

func TestTheIssuerAloneIsEnoughToFindItsKeys(t *testing.T) {
	t.Parallel()
	p, behind := tenanted(t), harness.Answering(t)
	f := fence.Start(t, discovered(p, behind)...)
	for range 3 {
		reads(t, f, behind, bearer(p.machineToken(t, "acme")), "acme")
		reads(t, f, behind, bearer(p.machineToken(t, "globex")), "globex")
	}
	got := refused(t, f, behind, bearer(p.machineToken(t, "tenantless")), http.StatusForbidden)
	if !strings.Contains(got.Body, "tenant_id") {
		t.Errorf("a token without a tenant: %s, want the claim's name", got.Body)
	}
	if keys, _ := p.asks(); keys != 1 {
		t.Errorf("seven tokens made %d requests for keys, want 1", keys)
	}
}

func TestKeysThatRotateWorkWhileTheyArePublished(t *testing.T) {
	t.Parallel()
	p, behind := tenanted(t), harness.Answering(t)
	f := fence.Start(t, discovered(p, behind, "AUTH_REFRESH_INTERVAL=1s")...)
	seen, unseen := p.machineToken(t, "acme"), p.machineToken(t, "acme")
	reads(t, f, behind, bearer(seen), "acme")

	p.rotate(authtest.NewKey(t, "ES256"))
	rotated := p.machineToken(t, "globex")
	eventually(t, f, rotated, http.StatusOK, 12*time.Second)
	reads(t, f, behind, bearer(rotated), "globex")
	reads(t, f, behind, bearer(seen), "acme")

	p.retire()
	eventually(t, f, seen, http.StatusUnauthorized, 12*time.Second)
	refused(t, f, behind, bearer(seen), http.StatusUnauthorized)
	refused(t, f, behind, bearer(unseen), http.StatusUnauthorized)
	reads(t, f, behind, bearer(rotated), "globex")
}

// The refresh is minutes away, and somebody sends tokens with keys that nobody
// has before the key rotates and after.
func TestARotatedKeyWorksWithin12SecondsOfJunk(t *testing.T) {
	t.Parallel()
	p, behind := tenanted(t), harness.Answering(t)
	f := fence.Start(t, discovered(p, behind)...)
	stranger := authtest.NewKey(t, "ES256")
	junk := func() error {
		stranger.ID = "junk-" + time.Now().String()
		if got := query(t, f, bearer(forge(t, stranger, p.URL, audience))); got.Status != http.StatusUnauthorized {
			t.Errorf("junk: %d %s", got.Status, got.Body)
		}
		return errors.New("more of it")
	}
	_ = upstream.Poll(t.Context(), 3*time.Second, junk)
	p.rotate(authtest.NewKey(t, "RS256"))
	begin, rotated := time.Now(), p.machineToken(t, "acme")
	err := upstream.Poll(t.Context(), 30*time.Second, func() error {
		_ = junk()
		if got := query(t, f, bearer(rotated)); got.Status != http.StatusOK {
			return fmt.Errorf("%d %s", got.Status, got.Body)
		}
		return nil
	})
	if took := time.Since(begin); err != nil || took > 12*time.Second {
		t.Errorf("a rotated key after %s: %v", took, err)
	}
	if keys, _ := p.asks(); keys != 2 {
		t.Errorf("the keys were asked for %d times, want 2: at the start, and once for all unknown keys of ten seconds", keys)
	}
}

func TestAProviderThatIsDownAtTheStart(t *testing.T) {
	t.Parallel()
	p, behind := tenanted(t), harness.Answering(t)
	token := p.machineToken(t, "acme")
	p.setDown(true)
	f := fence.Launch(t, discovered(p, behind)...)

	got := refused(t, f, behind, bearer(token), http.StatusServiceUnavailable)
	if got.Header.Get("Retry-After") == "" || !strings.Contains(got.Body, `"errorType":"unavailable"`) {
		t.Errorf("Retry-After: %q, %s", got.Header.Get("Retry-After"), got.Body)
	}
	for _, base := range []string{f.URL, f.Admin} {
		if got := get(t, base+"/-/ready"); got.Status != http.StatusServiceUnavailable {
			t.Errorf("ready without keys: %d %s", got.Status, got.Body)
		}
		if got := get(t, base+"/-/healthy"); got.Status != http.StatusOK {
			t.Errorf("healthy without keys: %d %s", got.Status, got.Body)
		}
	}
	p.setDown(false)
	eventually(t, f, token, http.StatusOK, 15*time.Second)
	reads(t, f, behind, bearer(token), "acme")
	if got := get(t, f.URL+"/-/ready"); got.Status != http.StatusOK {
		t.Errorf("ready with keys: %d %s", got.Status, got.Body)
	}
}

func TestKnownKeysOutliveTheProvider(t *testing.T) {
	t.Parallel()
	p, behind := tenanted(t), harness.Answering(t)
	f := fence.Start(t, discovered(p, behind, "AUTH_REFRESH_INTERVAL=1s")...)
	seen, unseen := p.machineToken(t, "acme"), p.machineToken(t, "globex")
	reads(t, f, behind, bearer(seen), "acme")

	p.setDown(true)
	err := upstream.Poll(t.Context(), 20*time.Second, func() error {
		if _, refused := p.asks(); refused < 3 {
			return fmt.Errorf("%d refreshes have failed", refused)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("the outage goes by unnoticed: %v", err)
	}
	reads(t, f, behind, bearer(seen), "acme")
	reads(t, f, behind, bearer(unseen), "globex")
	if got := get(t, f.URL+"/-/ready"); got.Status != http.StatusOK {
		t.Errorf("ready in an outage: %d %s", got.Status, got.Body)
	}

	p.rotate(authtest.NewKey(t, "RS256"))
	p.retire()
	p.setDown(false)
	eventually(t, f, p.machineToken(t, "acme"), http.StatusOK, 15*time.Second)
	refused(t, f, behind, bearer(seen), http.StatusUnauthorized)
}
