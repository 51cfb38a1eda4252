package test_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/promfence/promfence/auth/authtest"
	"github.com/promfence/promfence/test/contract"
	"github.com/promfence/promfence/test/upstream"
)

// binary is promfence as these tests run it: with the race detector when they
// have it.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "promfence-test-")
	if err == nil {
		binary = filepath.Join(dir, "promfence")
		args := []string{"build", "-o", binary}
		if race {
			args = append(args, "-race")
		}
		cmd := exec.Command("go", append(args, "./cmd/promfence")...)
		cmd.Dir = ".."
		cmd.Stderr = os.Stderr
		err = cmd.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot build promfence:", err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// A fence is a running promfence process and the issuer that it trusts.
type fence struct {
	URL, admin string
	issuer     *authtest.Issuer

	cmd    *exec.Cmd
	exited chan struct{}
	log    lines
}

// startFence runs promfence in front of an upstream until the test ends.
// Settings are NAME=value, without the prefix PROMFENCE_.
func startFence(t *testing.T, upstreamURL string, settings ...string) *fence {
	t.Helper()
	issuer := authtest.NewIssuer(t)
	f := launch(t, issuer, upstreamURL, settings...)
	err := upstream.Poll(t.Context(), 10*time.Second, func() error {
		if status, body := fetch(t, f.URL+"/-/ready", "", nil); status != http.StatusOK {
			return fmt.Errorf("ready: %d %s", status, body)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, f.log.text())
	}
	return f
}

// launch starts the process and waits only until it listens.
func launch(t *testing.T, issuer *authtest.Issuer, upstreamURL string, settings ...string) *fence {
	t.Helper()
	f := &fence{issuer: issuer, exited: make(chan struct{}), cmd: exec.Command(binary, "serve")}
	f.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PROMFENCE_") })
	for _, s := range slices.Concat([]string{
		"SERVER_ADDRESS=127.0.0.1:0", "ADMIN_ADDRESS=127.0.0.1:0", "UPSTREAM_URL=" + upstreamURL,
		"AUTH_ISSUER=" + issuer.URL, "AUTH_AUDIENCE=" + authtest.Audience, "AUTH_JWKS_URL=" + issuer.JWKSURL,
	}, settings) {
		f.cmd.Env = append(f.cmd.Env, "PROMFENCE_"+s)
	}
	stderr, err := f.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listening := make(chan struct{})
	go f.read(stderr, listening)
	t.Cleanup(func() { f.end(t) })
	select {
	case <-listening:
	case <-f.exited:
		t.Fatalf("promfence ended:\n%s", f.log.text())
	case <-time.After(20 * time.Second):
		t.Fatalf("promfence does not listen:\n%s", f.log.text())
	}
	return f
}

// read takes the log line by line; the first lines tell the addresses.
func (f *fence) read(stderr io.Reader, listening chan<- struct{}) {
	defer close(f.exited)
	missing := 2
	for s := bufio.NewScanner(stderr); s.Scan(); {
		f.log.add(s.Text())
		var l struct{ Message, Listener, Address string }
		if missing == 0 || json.Unmarshal(s.Bytes(), &l) != nil || l.Message != "listening" {
			continue
		}
		if l.Listener == "admin" {
			f.admin = "http://" + l.Address
		} else {
			f.URL = "http://" + l.Address
		}
		if missing--; missing == 0 {
			close(listening)
		}
	}
	_ = f.cmd.Wait()
}

// end stops the process; with the race detector, a race that it has seen in
// there fails the test.
func (f *fence) end(t *testing.T) {
	_ = f.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-f.exited:
	case <-time.After(30 * time.Second):
		_ = f.cmd.Process.Kill()
		t.Error("promfence does not end")
		<-f.exited
	}
	if text := f.log.text(); strings.Contains(text, "DATA RACE") || strings.Contains(text, "goroutine ") {
		t.Errorf("promfence said\n%s", text)
	}
}

// token is a valid one for the tenant, or tenants.
func (f *fence) token(t *testing.T, tenant any) string {
	t.Helper()
	return f.issuer.Token(t, tenant, nil)
}

// lines are what a process has logged.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, line)
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

// fetch GETs an address with parameters as a caller with a token would.
func fetch(t *testing.T, address, token string, params url.Values) (status int, body string) {
	t.Helper()
	got := send(t, http.MethodGet, address, token, params)
	return got.status, got.body
}

// A reply is an answer that was read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

// send makes a request with its parameters in the URL of a GET and in the body
// of a POST.
func send(t *testing.T, method, address, token string, params url.Values) reply {
	t.Helper()
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader(params.Encode())
	} else if len(params) > 0 {
		address += "?" + params.Encode()
	}
	req, err := http.NewRequestWithContext(t.Context(), method, address, body)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return do(t, req)
}

func do(t *testing.T, req *http.Request) reply {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Header.Get("X-Request-Id") != "" { // it is promfence's
		// Only the answer: these tests send what no documented client would.
		contract.CheckAnswer(t, req, resp, body)
	}
	return reply{resp.StatusCode, resp.Header, string(body)}
}

// form makes parameters of pairs.
func form(pairs ...string) url.Values {
	all := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		all.Add(pairs[i], pairs[i+1])
	}
	return all
}
