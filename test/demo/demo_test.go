package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/fence"
)

// TestMain lets the test binary be the demo, so that the tests see a process:
// what it prints, how it ends and what it leaves behind.
func TestMain(m *testing.M) {
	if os.Getenv("DEMO_TEST_AS_MAIN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestThePrintedLinesShowWhatTheyPromise(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		fence.LeaveOut(t, "no curl: apt-get install curl")
	}
	address := freeAddress(t)
	d := start(t, address, fence.Binary(t, false))
	screen := d.read(t, "Ctrl-C ends it")

	lines := []string{}
	for line := range strings.Lines(screen) {
		if strings.HasPrefix(line, "curl ") {
			lines = append(lines, curl+strings.TrimPrefix(line, "curl"))
		}
	}
	want := []string{`"tenant_id":"acme"`, `"tenant_id":"globex"`, `"resultType":"matrix"`, `["acme"]`, "401 Unauthorized"}
	if len(lines) != len(want) {
		t.Fatalf("%d curl lines, want %d:\n%s", len(lines), len(want), screen)
	}
	for i, line := range lines {
		answer, err := exec.CommandContext(t.Context(), "sh", "-c", line).CombinedOutput()
		if err != nil || !strings.Contains(string(answer), want[i]) {
			t.Errorf("line %d: %v: answer lacks %s: %s", i+1, err, want[i], answer)
		}
		if i != 1 && bytes.Contains(answer, []byte("globex")) {
			t.Errorf("line %d tells of globex: %s", i+1, answer)
		}
	}
	for _, query := range []string{requests, `sum by (tenant_id) (rate(http_requests_total{tenant_id="acme"}[5m]))`} {
		if !strings.Contains(screen, " "+query+"\n") {
			t.Errorf("the screen does not show %s:\n%s", query, screen)
		}
	}

	for _, page := range []string{"/docs", "/api/v1/query?query=up"} {
		if !regexp.MustCompile(`http://127\.0\.0\.1:\d+` + regexp.QuoteMeta(page)).MatchString(screen) {
			t.Errorf("the screen names no address of %s:\n%s", page, screen)
		}
	}

	code, said := d.interrupt(t)
	if n := strings.Count(said, "req_id="); n != len(lines) {
		t.Errorf("%d requests are in the log, want those of the %d lines:\n%s", n, len(lines), said)
	}
	if code != 0 || strings.Contains(said, "goroutine ") {
		t.Errorf("after Ctrl-C: exit code %d, and it said\n%s", code, said)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("promfence is still there: %v", err)
	}
	_ = l.Close()
}

// The console of the demo asks as both tenants, and shows what the Prometheus got.
func TestTheConsoleGetsATokenForEachTenant(t *testing.T) {
	address := freeAddress(t)
	d := start(t, address, fence.Binary(t, false))
	d.read(t, "Ctrl-C ends it")
	var settings struct {
		Demo struct {
			Identities []struct{ Name, Token string }
			Received   string
		}
	}
	get(t, "http://"+address+"/console/settings.json", "", &settings)
	if len(settings.Demo.Identities) != 2 || settings.Demo.Received == "" {
		t.Fatalf("settings %+v", settings)
	}
	for _, id := range settings.Demo.Identities {
		var answer struct{ Data []string }
		get(t, "http://"+address+"/api/v1/label/tenant_id/values", id.Token, &answer)
		if !slices.Equal(answer.Data, []string{id.Name}) {
			t.Errorf("the token of %s sees the tenants %q", id.Name, answer.Data)
		}
		get(t, "http://"+address+"/api/v1/query?query=up", id.Token, &struct{}{})
	}
	var received []string
	get(t, "http://"+address+"/"+settings.Demo.Received, "", &received)
	if want := []string{`up{tenant_id="acme"}`, `up{tenant_id="globex"}`}; !slices.Equal(received, want) {
		t.Errorf("received %q, want %q", received, want)
	}
	var empty struct{ Warnings []string }
	get(t, "http://"+address+"/api/v1/query?query="+url.QueryEscape(`up{tenant_id="globex"}`), settings.Demo.Identities[0].Token, &empty)
	if want := []string{`tenant_id="globex" matches none of your tenants`}; !slices.Equal(empty.Warnings, want) {
		t.Errorf("acme asks for globex: the warnings are %q, want %q", empty.Warnings, want)
	}
	if code, said := d.interrupt(t); code != 0 {
		t.Errorf("after Ctrl-C: exit code %d, and it said\n%s", code, said)
	}
}

// get reads an answer as JSON.
func get(t *testing.T, address, token string, into any) {
	t.Helper()
	status, body := harness.Fetch(t, address, token, nil)
	if err := json.Unmarshal([]byte(body), into); status != http.StatusOK || err != nil {
		t.Fatalf("%s: %d %v %s", address, status, err, body)
	}
}

func TestWhatIsMissingIsSaidInASentence(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ address, binary, want string }{
		"the port is taken":         {taken.Addr().String(), self, "is taken; end what listens there or choose another address: make demo DEMO_ADDRESS="},
		"the address is no address": {"nowhere", self, "choose another address"},
		"promfence is not built":    {freeAddress(t), filepath.Join(t.TempDir(), "promfence"), "run make build first"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := start(t, tt.address, tt.binary)
			code, said := d.wait(t)
			if code != 1 || strings.Count(said, "\n") != 1 || !strings.Contains(said, tt.want) {
				t.Errorf("exit code %d, want 1 and one line with %q:\n%s", code, tt.want, said)
			}
		})
	}
}

// A process is a running demo.
type process struct {
	cmd    *exec.Cmd
	stdout *bufio.Reader
	stderr bytes.Buffer
}

func start(t *testing.T, address, binary string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(self, "-promfence", binary)}
	p.cmd.Env = append(os.Environ(), "DEMO_TEST_AS_MAIN=1", "DEMO_ADDRESS="+address)
	p.cmd.Stderr = &p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewReader(stdout)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Signal(syscall.SIGTERM) })
	return p
}

// read returns what is printed up to a line that holds last.
func (p *process) read(t *testing.T, last string) string {
	t.Helper()
	var all strings.Builder
	for !strings.Contains(all.String(), last) {
		line, err := p.stdout.ReadString('\n')
		all.WriteString(line)
		if err != nil {
			_, said := p.wait(t)
			t.Fatalf("it ended: %s%s", all.String(), said)
		}
	}
	return all.String()
}

func (p *process) interrupt(t *testing.T) (code int, said string) {
	t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	return p.wait(t)
}

// wait returns the exit code and all that was said on standard error.
func (p *process) wait(t *testing.T) (code int, said string) {
	t.Helper()
	late := time.AfterFunc(30*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	err := p.cmd.Wait()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode(), p.stderr.String()
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
