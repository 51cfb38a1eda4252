package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A program is the promfence process.
type program struct {
	url    *url.URL
	output *output
	cmd    *exec.Cmd
	exited chan struct{} // closed when it has ended
}

// startPromfence runs the binary with nothing but settings in its environment
// and waits until it takes requests.
func startPromfence(ctx context.Context, binary, upstreamURL string, i *issuer) (*program, error) {
	p := &program{output: &output{}, cmd: exec.Command(binary, "serve"), exited: make(chan struct{})}
	p.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PROMFENCE_") })
	for _, setting := range []string{
		"SERVER_ADDRESS=127.0.0.1:0",
		"SERVER_SHUTDOWN_TIMEOUT=5s",
		"ADMIN_ADDRESS=off",
		"UPSTREAM_URL=" + upstreamURL,
		"AUTH_ISSUER=" + i.url,
		"AUTH_AUDIENCE=" + audience,
		"AUTH_JWKS_URL=" + i.jwksURL(),
		"LOG_FORMAT=console",
		"CONSOLE_ENABLED=true",
		"TENANCY_WARN_ON_CONFLICT=true",
	} {
		p.cmd.Env = append(p.cmd.Env, "PROMFENCE_"+setting)
	}
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C comes to us; we end it in order.
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot run %s: %w", binary, err)
	}
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait() // its state says how it ended
	}()
	if err := p.ready(ctx); err != nil {
		_ = p.stop()
		return nil, fmt.Errorf("promfence is not ready (%w): %s", err, p.lastWords())
	}
	return p, nil
}

// listening is where the program says that it does, once it has found a free port.
var listening = regexp.MustCompile(`listening address=(\S+) listener=server`)

// ready waits until the program takes requests, a quarter of a minute at most.
func (p *program) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	for {
		if m := listening.FindStringSubmatch(p.output.kept()); m != nil {
			p.url = &url.URL{Scheme: "http", Host: m[1]}
			if there, err := served(ctx, p.url.String()+"/-/ready"); there && err == nil {
				return nil
			}
		}
		select {
		case <-p.exited:
			return errors.New("it has ended")
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
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
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails when it has ended
	select {
	case <-p.exited:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill() // likewise
		<-p.exited
		return fmt.Errorf("promfence did not end: %s", p.lastWords())
	}
	if !p.cmd.ProcessState.Success() {
		return fmt.Errorf("promfence ended with %s: %s", p.cmd.ProcessState, p.lastWords())
	}
	return nil
}

// speak shows what promfence logs from now on, behind the lines of the demo's own
// requests: these are written some time after the answers, that of the console last.
func (p *program) speak(ctx context.Context, w io.Writer) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for !strings.Contains(p.output.kept(), "route=/console") && ctx.Err() == nil {
		time.Sleep(20 * time.Millisecond)
	}
	p.output.redirect(w)
}

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
	o.text = o.text[max(0, len(o.text)-64<<10):]
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
