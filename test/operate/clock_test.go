package operate_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/test/harness/gobuild"
	"github.com/promfence/promfence/test/harness/upstream"
)

// A clock is the wall clock of one promfence process: the system's, and some
// seconds that the test can change while it runs. Its monotonic clock is the
// system's, as when somebody sets the time, or a machine wakes up.
type clock struct{ offset *os.File }

func (c clock) set(t *testing.T, d time.Duration) {
	t.Helper()
	if _, err := c.offset.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(d/time.Second)), 0); err != nil {
		t.Fatal(err)
	}
}

// offsetSource reads the seconds from the file that the process finds as number
// 3. It maps it, because the runtime asks for the time where it must not wait for
// the system.
const offsetSource = `package time

import (
	"syscall"
	"unsafe"
)

var wallClock, _ = syscall.Mmap(3, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)

func wallClockOffset() (seconds int64) {
	if len(wallClock) == 0 {
		return 0
	}
	return *(*int64)(unsafe.Pointer(&wallClock[0]))
}
`

// withClock compiles promfence with a time.Now whose wall clock can be set: the
// same program but for one line of the standard library.
func withClock(t *testing.T) (*exec.Cmd, clock) {
	t.Helper()
	root, err := gobuild.Go(t.Context(), "env", "GOROOT")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(root, "src/time/time.go"))
	if err != nil {
		t.Fatal(err)
	}
	const line = "\tsec, nsec, mono := runtimeNow()\n"
	if strings.Count(string(source), line) != 1 {
		t.Fatal("time.Now reads the clock in another way than this test knows")
	}
	dir := t.TempDir()
	replace := map[string]string{}
	for name, text := range map[string]string{"time.go": strings.Replace(string(source), line, line+"\tsec += wallClockOffset()\n", 1), "offset.go": offsetSource} {
		replace[filepath.Join(root, "src/time", name)] = filepath.Join(dir, name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-C", "../..", "-overlay", filepath.Join(dir, "overlay.json"), "-o", filepath.Join(dir, "promfence"), "./cmd/promfence")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	offset, err := os.Create(filepath.Join(dir, "offset"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = offset.Close() })
	c := clock{offset}
	c.set(t, 0)
	cmd := exec.Command(filepath.Join(dir, "promfence"), "serve")
	cmd.ExtraFiles = []*os.File{offset}
	return cmd, c
}

// until is a token of a tenant's that is good from three hours ago until then.
func until(t *testing.T, f process, tenant string, end time.Duration) string {
	t.Helper()
	now := time.Now()
	return f.Issuer.Token(t, tenant, map[string]any{"iat": now.Add(-3 * time.Hour).Unix(), "exp": now.Add(end).Unix()})
}

// Tokens go by the wall clock, as whoever issued them does. Everything that
// waits goes by the monotonic one, which nobody sets.
func TestClockJumps(t *testing.T) {
	t.Parallel() // beside those that wait
	arrived, free := make(chan bool, 1), make(chan bool)
	cmd, clock := withClock(t)
	f := run(t, cmd, stub(t, map[string]http.HandlerFunc{"slow": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, answer[:10])
		_ = http.NewResponseController(w).Flush()
		arrived <- true
		<-free
		_, _ = io.WriteString(w, answer[10:])
	}}), "AUTH_REFRESH_INTERVAL=1h", "UPSTREAM_TIMEOUT=1m", "LIMITS_REQUESTS_PER_SECOND=1", "LIMITS_BURST=20")
	hour, day := until(t, f, "acme", time.Hour), until(t, f, "acme", 24*time.Hour)
	f.wantsWith(t, hour, "up", http.StatusOK) // and it is remembered
	slow := make(chan error, 1)
	go func() {
		status, body, err := ask(t.Context(), http.DefaultClient, f.query("slow"), until(t, f, "slow", time.Hour))
		if err == nil && (status != http.StatusOK || body != answer) {
			err = fmt.Errorf("%d %s", status, body)
		}
		slow <- err
	}()
	<-arrived
	drained := f.burst(t, 40)

	clock.set(t, 2*time.Hour)
	f.wantsWith(t, hour, "up", http.StatusUnauthorized)
	f.wantsWith(t, day, "up", http.StatusOK)
	if n := f.burst(t, 10); n > 5 || drained < 20 {
		t.Errorf("a limit of 1 a second let %d pass at first, and %d after a jump by two hours", drained, n)
	}
	close(free)
	if err := <-slow; err != nil {
		t.Errorf("an answer that had begun before the jump: %v", err)
	}

	clock.set(t, -2*time.Hour)
	f.wantsWith(t, f.Token(t, "acme"), "up", http.StatusUnauthorized) // issued in two hours
	f.wantsWith(t, hour, "up", http.StatusOK)
	f.Issuer.Rotate(authtest.NewKey(t, "ES256"))
	rotated := until(t, f, "acme", time.Hour)
	f.Await(t, func() error { // the keys are asked for again, and not in two hours
		if status, body, err := ask(t.Context(), http.DefaultClient, f.query("up"), rotated); err != nil || status != http.StatusOK {
			return errors.Join(err, fmt.Errorf("%d %s", status, body))
		}
		return nil
	})
	f.Await(t, func() error {
		if f.burst(t, 1) != 1 {
			return errors.New("the limit does not recover")
		}
		return nil
	})

	clock.set(t, 0)
	f.wants(t, "acme", "up", http.StatusOK)
	for line := range strings.Lines(f.Log()) {
		var l struct {
			MS float64 `json:"ms"`
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.MS < 0 || l.MS > 60e3 {
			t.Errorf("%v: %s", err, line)
		}
	}
	if err := upstream.Ready(t.Context(), f.Admin); err != nil {
		t.Error(err)
	}
}

// burst asks n times in a row, and returns how often the limit let it pass.
func (p process) burst(t *testing.T, n int) (passed int) {
	t.Helper()
	token := until(t, p, "limited", 24*time.Hour)
	for range n {
		status, body, err := ask(t.Context(), http.DefaultClient, p.query("up"), token)
		switch {
		case err != nil || status != http.StatusOK && status != http.StatusTooManyRequests:
			t.Fatal(status, body, err)
		case status == http.StatusOK:
			passed++
		}
	}
	return passed
}
