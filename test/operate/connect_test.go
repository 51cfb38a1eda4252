package operate_test

import (
	"bytes"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/test/harness/fence"
	"github.com/promfence/promfence/test/harness/thanos"
	"github.com/promfence/promfence/test/harness/upstream"
)

// connects runs the program's check --connect.
func connects(t *testing.T, settings ...string) (said string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), fence.Binary(t, false), "check", "--connect")
	cmd.Env = fence.Environment(settings...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}

func TestCheckConnectKnowsARealPrometheus(t *testing.T) {
	t.Parallel()
	issuer, behind := authtest.NewIssuer(t), upstream.Start(t, upstream.Options{})
	behind.Load(t, time.Now().Add(-time.Minute), time.Second, `up{tenant_id="acme"} 1x60`)
	settings := append(fence.Trust(issuer), "UPSTREAM_URL="+behind.URL)

	said, err := connects(t, settings...)
	for _, want := range []string{
		"has 1 usable key from " + issuer.JWKSURL + ", for ", "# PROMFENCE_UPSTREAM_URL: Prometheus", "; the label tenant_id has 1 value\n",
	} {
		if err != nil || !strings.Contains(said, want) {
			t.Errorf("%v, want %q in\n%s", err, want, said)
		}
	}
	if asked := issuer.Fetches(); asked != 1 {
		t.Errorf("the keys were asked for %d times", asked)
	}

	issuer.Fail(http.StatusBadGateway)
	said, err = connects(t, append(settings, "TENANCY_LABEL=customer")...)
	for _, want := range []string{
		"\n  PROMFENCE_AUTH_ISSUER: no keys of " + issuer.URL + ": ", "\n  PROMFENCE_TENANCY_LABEL: no series of the upstream has the label customer",
	} {
		if err == nil || !strings.Contains(said, want) {
			t.Errorf("%v, want %q in\n%s", err, want, said)
		}
	}
	if code := err.(*exec.ExitError).ExitCode(); code != 1 { //nolint:errorlint,forcetypeassert // os/exec's own
		t.Errorf("exit code %d, want 1", code)
	}
}

func TestCheckConnectKnowsARealThanos(t *testing.T) {
	t.Parallel()
	issuer, behind := authtest.NewIssuer(t), thanos.Start(t, upstream.Options{})
	behind.Load(t, "acme", time.Now().Add(-time.Minute), time.Second, `up 1x60`)
	settings := append(fence.Trust(issuer), "UPSTREAM_URL="+behind.Query(t))
	if said, err := connects(t, settings...); err != nil || !strings.Contains(said, "# PROMFENCE_UPSTREAM_URL: Thanos") || !strings.Contains(said, "; the label tenant_id has ") {
		t.Errorf("%v\n%s", err, said)
	}
}
