package attack_test

import (
	"strings"
	"testing"

	harness "github.com/promfence/promfence/test/fence"
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
