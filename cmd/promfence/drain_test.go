package main_test

import (
	"bufio"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/promfence/promfence/auth/authtest"
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
	idp, asked := authtest.NewIssuer(t), make(chan string, 1)
	p := start(t, append(settings(idp, upstream(t, asked, nil)), "PROMFENCE_SERVER_SHUTDOWN_DELAY=2s")...)
	until(t, p.server+"/-/ready", 200)
	p.end()
	until(t, p.server+"/-/ready", 503)
	if status, body, _ := get(t, p.server+"/api/v1/query?query=up", idp.Token(t, "acme", nil)); status != 200 {
		t.Errorf("a new request during the delay: %d %s", status, body)
	}
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

// The program itself, with real signals and exit codes.
func TestSignals(t *testing.T) {
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
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(settings(idp, "http://127.0.0.1:9090"), "RUN_MAIN=1", "PROMFENCE_SERVER_ADDRESS=127.0.0.1:0", "PROMFENCE_ADMIN_ADDRESS=off")
			cmd.Env = append(cmd.Env, tt.environ...)
			stderr, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(stderr)
			say := func(what string) {
				t.Helper()
				for lines.Scan() {
					if strings.Contains(lines.Text(), what) {
						return
					}
				}
				t.Fatalf("never says %s", what)
			}
			say("listening")
			say("keys loaded")                                           // everything runs
			signal := func() { _ = cmd.Process.Signal(syscall.SIGTERM) } // fails when it has ended
			signal()
			say("shutting down")
			if tt.again {
				tick := time.NewTicker(10 * time.Millisecond)
				defer tick.Stop()
				go func() {
					for range tick.C {
						signal()
					}
				}()
			}
			for lines.Scan() { // until it ends
			}
			if err := cmd.Wait(); (err == nil) != tt.clean {
				t.Errorf("ended with %v", err)
			}
		})
	}
}
