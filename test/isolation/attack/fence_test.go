package attack_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/promfence/promfence/auth/authtest"
	harness "github.com/promfence/promfence/test/harness/fence"
	"github.com/promfence/promfence/test/harness/upstream"
)

// A fence is the program itself, as an operator would run it.
type fence struct {
	*harness.Fence
	addr string // host:port
}

// startFence runs the program before an upstream until the test ends. Settings
// are NAME=value of the environment, without the prefix.
func startFence(t *testing.T, upstreamURL string, settings ...string) *fence {
	t.Helper()
	f := harness.Before(t, upstreamURL, append([]string{"ADMIN_PPROF=true", "SERVER_SHUTDOWN_TIMEOUT=5s"}, settings...)...)
	_, addr, _ := strings.Cut(f.URL, "://")
	return &fence{f, addr}
}

// startPlain is startFence without the race detector, for what is measured.
func startPlain(t *testing.T, upstreamURL string, settings ...string) *fence {
	t.Helper()
	issuer := authtest.NewIssuer(t)
	f := harness.Run(t, exec.Command(harness.Binary(t, false), "serve"),
		slices.Concat(harness.Trust(issuer), []string{"ADMIN_PPROF=true", "UPSTREAM_URL=" + upstreamURL}, settings)...)
	f.Issuer = issuer
	f.Await(t, func() error { return upstream.Ready(t.Context(), f.Admin) })
	_, addr, _ := strings.Cut(f.URL, "://")
	return &fence{f, addr}
}
