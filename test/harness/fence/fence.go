// Package fence runs the promfence program for tests, as an operator would:
// compiled, configured by variables and files, asked over HTTP, ended by a
// signal.
//
// Before is what most tests want: a promfence in front of an upstream, and
// tokens that it takes. Start and Launch leave the issuer to the test, Run the
// command as well.
package fence

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/test/harness/upstream"
)

// A Fence is a running promfence.
type Fence struct {
	*upstream.Process

	URL, Admin string           // where callers and operators ask
	Issuer     *authtest.Issuer // whom it trusts, when Before started it
	Fails      bool             // it is meant to end with an error
}

// Before runs the program in front of an upstream until the test ends, with an
// issuer of its own, and waits until it is ready. Settings are NAME=value,
// without the prefix PROMFENCE_.
func Before(t testing.TB, upstreamURL string, settings ...string) *Fence {
	t.Helper()
	issuer := authtest.NewIssuer(t)
	f := Start(t, slices.Concat(Trust(issuer), []string{"UPSTREAM_URL=" + upstreamURL}, settings)...)
	f.Issuer = issuer
	return f
}

// Trust are the settings that make an issuer's tokens valid.
func Trust(issuer *authtest.Issuer) []string {
	return []string{"AUTH_ISSUER=" + issuer.URL, "AUTH_AUDIENCE=" + authtest.Audience, "AUTH_JWKS_URL=" + issuer.JWKSURL}
}

// Token is a valid one for the tenant, or tenants, of what Before started.
func (f *Fence) Token(t testing.TB, tenant any) string {
	t.Helper()
	return f.Issuer.Token(t, tenant, nil)
}

// Start is Before with nothing but these settings.
func Start(t testing.TB, settings ...string) *Fence {
	t.Helper()
	f := Launch(t, settings...)
	f.Await(t, func() error { return upstream.Ready(t.Context(), f.Admin) })
	return f
}

// Launch is Start without keys: it waits only until the program listens.
func Launch(t testing.TB, settings ...string) *Fence {
	t.Helper()
	return Run(t, exec.Command(Binary(t, race()), "serve"), settings...)
}

// Run is Launch with a command of the test's own, which starts Binary in the
// end: after "ulimit -n 64" in a shell, for one. A command that keeps the log
// for itself needs addresses among its settings.
func Run(t testing.TB, cmd *exec.Cmd, settings ...string) *Fence {
	t.Helper()
	f := &Fence{}
	for _, s := range settings {
		switch name, value, _ := strings.Cut(s, "="); name {
		case "SERVER_ADDRESS":
			f.URL = "http://" + value
		case "ADMIN_ADDRESS":
			f.Admin = "http://" + value
		}
	}
	cmd.Env = Environment(append([]string{"SERVER_ADDRESS=127.0.0.1:0", "ADMIN_ADDRESS=127.0.0.1:0"}, settings...)...)
	f.Process = upstream.Spawn(t, cmd)
	t.Cleanup(func() { f.end(t) })
	f.Await(t, f.listens)
	return f
}

// Environment is this process's, with no settings but these.
func Environment(settings ...string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PROMFENCE_") })
	for _, s := range settings {
		env = append(env, "PROMFENCE_"+s)
	}
	return env
}

var listening = regexp.MustCompile(`"listener":"(server|admin)","address":"([^"]+)","tls":(true|false)`)

// listens takes the addresses from the log: choosing free ports beforehand would
// race with whoever else does.
func (f *Fence) listens() error {
	for _, m := range listening.FindAllStringSubmatch(f.Log(), -1) {
		base := map[string]string{"true": "https://", "false": "http://"}[m[3]] + m[2]
		if m[1] == "admin" {
			f.Admin = base
		} else {
			f.URL = base
		}
	}
	if f.URL == "" || f.Admin == "" {
		return errors.New("it does not listen")
	}
	return nil
}

// Says is nil once the log has a text.
func (f *Fence) Says(text string) error {
	if !strings.Contains(f.Log(), text) {
		return errors.New("the log does not say " + text)
	}
	return nil
}

// end stops the program in order. A panic or a data race that it went through
// fails the test.
func (f *Fence) end(t testing.TB) {
	if err := f.Stop(30 * time.Second); (err != nil) != f.Fails {
		t.Errorf("at the end: %v\n%s", err, f.Log())
	}
	for _, sign := range []string{"panic", "goroutine ", "DATA RACE"} {
		if text := f.Log(); strings.Contains(text, sign) {
			t.Errorf("promfence said\n%s", text)
			return
		}
	}
}
