package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/promfence/promfence/test/harness/fence"
	"github.com/promfence/promfence/test/harness/upstream"
)

// A program is the promfence process.
type program struct {
	*upstream.Process

	url    string
	output *output
}

// startPromfence runs the binary with nothing but settings in its environment
// and waits until it takes requests.
func startPromfence(ctx context.Context, binary, address, upstreamURL string, i *issuer) (*program, error) {
	p := &program{url: "http://" + reachable(address), output: &output{}}
	cmd := exec.Command(binary, "serve")
	cmd.Env = fence.Environment(
		"SERVER_ADDRESS="+address,
		"SERVER_SHUTDOWN_TIMEOUT=5s",
		"ADMIN_ADDRESS=off",
		"UPSTREAM_URL="+upstreamURL,
		"AUTH_ISSUER="+i.url,
		"AUTH_AUDIENCE="+audience,
		"AUTH_JWKS_URL="+i.jwksURL(),
		"LOG_FORMAT=console",
	)
	cmd.Stdout, cmd.Stderr = p.output, p.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C comes to us; we end it in order.
	var err error
	if p.Process, err = upstream.Run(cmd); err != nil {
		return nil, fmt.Errorf("cannot run %s: %w", binary, err)
	}
	if err := upstream.Poll(ctx, 15*time.Second, func() error { return upstream.Ready(ctx, p.url) }); err != nil {
		_ = p.stop()
		return nil, fmt.Errorf("promfence is not ready (%w): %s", err, p.lastWords())
	}
	return p, nil
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

// stop ends the process in order, or by force when that takes too long.
func (p *program) stop() error {
	if err := p.Stop(10 * time.Second); err != nil {
		return fmt.Errorf("%w: %s", err, p.lastWords())
	}
	return nil
}

// speak shows what promfence logs from now on.
func (p *program) speak(w io.Writer) { p.output.redirect(w) }

func (p *program) lastWords() string {
	lines := strings.Split(strings.TrimSpace(p.output.kept()), "\n")
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
