package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/promfence/promfence/test/upstream"
)

// A fence is the promfence process.
type fence struct {
	url    string
	exited chan struct{}

	cmd    *exec.Cmd
	output *output
}

// startPromfence runs the binary with nothing but settings in its environment
// and waits until it takes requests.
func startPromfence(ctx context.Context, binary, address, upstreamURL string, i *issuer) (*fence, error) {
	f := &fence{url: "http://" + reachable(address), exited: make(chan struct{}), output: &output{}}
	f.cmd = exec.Command(binary, "serve")
	own := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PROMFENCE_") })
	f.cmd.Env = append(own,
		"PROMFENCE_SERVER_ADDRESS="+address,
		"PROMFENCE_SERVER_SHUTDOWN_TIMEOUT=5s",
		"PROMFENCE_ADMIN_ADDRESS=off",
		"PROMFENCE_UPSTREAM_URL="+upstreamURL,
		"PROMFENCE_AUTH_ISSUER="+i.url,
		"PROMFENCE_AUTH_AUDIENCE="+audience,
		"PROMFENCE_AUTH_JWKS_URL="+i.jwksURL(),
		"PROMFENCE_LOG_FORMAT=console",
	)
	f.cmd.Stdout, f.cmd.Stderr = f.output, f.output
	f.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C comes to us; we end it in order.
	if err := f.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot run %s: %w", binary, err)
	}
	go func() {
		defer close(f.exited)
		_ = f.cmd.Wait()
	}()
	if err := upstream.Poll(ctx, 15*time.Second, f.isReady); err != nil {
		_ = f.stop()
		return nil, fmt.Errorf("promfence is not ready (%w): %s", err, f.lastWords())
	}
	return f, nil
}

// reachable turns an address to listen on into one to call.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

func (f *fence) isReady() error {
	resp, err := http.Get(f.url + "/-/ready")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New("/-/ready answers " + resp.Status)
	}
	return nil
}

// stop ends the process in order, or by force when that takes too long.
func (f *fence) stop() error {
	_ = f.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-f.exited:
	case <-time.After(10 * time.Second):
		_ = f.cmd.Process.Kill()
		<-f.exited
	}
	if !f.cmd.ProcessState.Success() {
		return fmt.Errorf("promfence ended with %s: %s", f.cmd.ProcessState, f.lastWords())
	}
	return nil
}

// speak shows what promfence logs from now on.
func (f *fence) speak(w io.Writer) { f.output.redirect(w) }

func (f *fence) lastWords() string {
	lines := strings.Split(strings.TrimSpace(f.output.kept()), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// output keeps the end of what a process prints and hands it on when asked to.
type output struct {
	mu   sync.Mutex
	text []byte
	to   io.Writer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	o.text = o.text[max(0, len(o.text)-4096):]
	if o.to != nil {
		_, _ = o.to.Write(p)
	}
	return len(p), nil
}

func (o *output) redirect(w io.Writer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.to = w
}

func (o *output) kept() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}
