package main_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/promfence/promfence/auth/authtest"
	promfence "github.com/promfence/promfence/cmd/promfence"
)

// During a drain with a request in flight: readiness fails, the request gets
// its answer, and the end is a clean one.
func TestDrainFinishesWhatIsInFlight(t *testing.T) {
	idp, asked, may := authtest.NewIssuer(t), make(chan string, 1), make(chan struct{})
	p := start(t, settings(idp, upstream(t, asked, may))...)
	until(t, p.admin+"/-/ready", 200)

	status := make(chan int, 1)
	go func() {
		s, _, _ := get(t, p.server+"/api/v1/query?query=up", idp.Token(t, "acme", nil))
		status <- s
	}()
	<-asked
	p.end()
	until(t, p.admin+"/-/ready", 503)
	close(may)
	if got := <-status; got != 200 {
		t.Errorf("the request in flight got %d", got)
	}
	if err := p.ended(t); err != nil {
		t.Error(err)
	}
}

func TestDrainServesOnDuringTheDelay(t *testing.T) {
	idp, asked, began, over := authtest.NewIssuer(t), make(chan string, 1), make(chan time.Duration, 1), make(chan struct{})
	delaying := func(ctx context.Context, environ []string, stderr io.Writer) error {
		return promfence.RunDelaying(ctx, func(d time.Duration) { began <- d; <-over }, environ, stderr)
	}
	p := onFreePorts(t, delaying, append(settings(idp, upstream(t, asked, nil)), "PROMFENCE_SERVER_SHUTDOWN_DELAY=2s")...)
	passes := sync.OnceFunc(func() { close(over) })
	t.Cleanup(passes)
	until(t, p.server+"/-/ready", 200)
	p.end()
	until(t, p.server+"/-/ready", 503)
	if d := <-began; d != 2*time.Second {
		t.Errorf("the delay is %s", d)
	}
	if status, body, _ := get(t, p.server+"/api/v1/query?query=up", idp.Token(t, "acme", nil)); status != 200 {
		t.Errorf("a new request during the delay: %d %s", status, body)
	}
	passes()
	if err := p.ended(t); err != nil {
		t.Error(err)
	}
}

func TestDrainThatTakesTooLongIsNotClean(t *testing.T) {
	idp, asked, may := authtest.NewIssuer(t), make(chan string, 1), make(chan struct{})
	defer close(may)
	p := start(t, append(settings(idp, upstream(t, asked, may)), "PROMFENCE_SERVER_SHUTDOWN_TIMEOUT=10ms")...)
	until(t, p.server+"/-/ready", 200)
	go func() {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, p.server+"/api/v1/query?query=up", nil)
		req.Header.Set("Authorization", "Bearer "+idp.Token(t, "acme", nil))
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
		}
	}()
	<-asked
	p.end()
	if err := p.ended(t); err == nil || !strings.Contains(err.Error(), "server.shutdown_timeout") {
		t.Errorf("ended with %v", err)
	}
}

// A program is promfence itself, with real signals and exit codes.
type program struct {
	*exec.Cmd
	stderr io.ReadCloser
	lines  *bufio.Scanner
	server string
}

// execute starts the program and reads its log until it listens.
func execute(t *testing.T, environ ...string) *program {
	t.Helper()
	p := &program{Cmd: exec.CommandContext(t.Context(), os.Args[0])}
	p.Env = append(environ, "RUN_MAIN=1", "PROMFENCE_SERVER_ADDRESS=127.0.0.1:0", "PROMFENCE_ADMIN_ADDRESS=off")
	var err error
	if p.stderr, err = p.StderrPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewScanner(p.stderr)
	address := regexp.MustCompile(`"address":"([^"]+)"`).FindStringSubmatch(p.says(t, "listening"))
	p.server = "http://" + address[1]
	return p
}

// says reads the log up to a line with what in it.
func (p *program) says(t *testing.T, what string) string {
	t.Helper()
	for p.lines.Scan() {
		if strings.Contains(p.lines.Text(), what) {
			return p.lines.Text()
		}
	}
	t.Fatalf("never says %s", what)
	return ""
}

func TestSignals(t *testing.T) {
	t.Parallel() // it waits
	idp := authtest.NewIssuer(t)
	for name, tt := range map[string]struct {
		environ []string
		again   bool
		clean   bool
	}{
		"one drains":           {nil, false, true},
		"a second one ends it": {[]string{"PROMFENCE_SERVER_SHUTDOWN_DELAY=1h"}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := execute(t, append(settings(idp, "http://127.0.0.1:9090"), tt.environ...)...)
			p.says(t, "keys loaded")                                   // everything runs
			signal := func() { _ = p.Process.Signal(syscall.SIGTERM) } // fails when it has ended
			signal()
			p.says(t, "shutting down")
			if tt.again {
				tick := time.NewTicker(10 * time.Millisecond)
				defer tick.Stop()
				go func() {
					for range tick.C {
						signal()
					}
				}()
			}
			for p.lines.Scan() { // until it ends
			}
			if err := p.Wait(); (err == nil) != tt.clean {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

// The log has 64 KiB of room in a pipe, and then nobody who reads it.
func TestRequestsGoOnWithoutAReaderOfTheLog(t *testing.T) {
	t.Parallel() // it waits
	idp := authtest.NewIssuer(t)
	asked := make(chan string, 100)
	up := upstream(t, asked, nil)
	for name, leave := range map[string]func(p *program){
		"one who has stopped": func(*program) {},
		"one who has left":    func(p *program) { _ = p.stderr.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			p := execute(t, append(settings(idp, up), "PROMFENCE_LOG_LEVEL=debug")...)
			p.says(t, "keys loaded")
			leave(p)
			client := &http.Client{Timeout: patience}
			for range cap(asked) {
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, p.server+"/api/v1/query?"+url.Values{"query": {strings.Repeat("up + ", 400) + "up"}}.Encode(), nil)
				req.Header.Set("Authorization", "Bearer "+idp.Token(t, "acme", nil))
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					t.Fatal(resp.Status)
				}
				<-asked
			}
			_ = p.Process.Signal(syscall.SIGTERM)
			if err := p.Wait(); err != nil {
				t.Errorf("ended with %v", err)
			}
		})
	}
}
