package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A Process is a program that runs beside a test.
type Process struct {
	Cmd    *exec.Cmd
	Exited <-chan struct{} // closed when it has ended

	log string // a file
}

// Run starts a program.
func Run(cmd *exec.Cmd) (*Process, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait()
	}()
	return &Process{Cmd: cmd, Exited: exited}, nil
}

// Spawn starts a program, keeps what it says, and kills it when the test ends:
// nobody reads its data again.
func Spawn(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	p, err := Run(cmd)
	if err != nil {
		t.Fatal(err)
	}
	p.log = log.Name()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() && testing.Verbose() {
			t.Logf("%s said:\n%s", p, p.Log())
		}
	})
	return p
}

// String is the program's name.
func (p *Process) String() string { return filepath.Base(p.Cmd.Path) }

// Log is what a spawned process has said so far.
func (p *Process) Log() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Await asks until ok answers nil. A process that ends meanwhile, or takes a
// minute, fails the test.
func (p *Process) Await(t testing.TB, ok func() error) {
	t.Helper()
	err := Poll(t.Context(), time.Minute, func() error {
		select {
		case <-p.Exited:
			t.Fatalf("%s ended with %s:\n%s", p, p.Cmd.ProcessState, p.Log())
		default:
		}
		return ok()
	})
	if err != nil {
		t.Fatalf("%s: %v\n%s", p, err, p.Log())
	}
}

// Ready asks a server whether it is.
func Ready(ctx context.Context, base string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/-/ready", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New("/-/ready answers " + resp.Status)
	}
	return nil
}

// Stop ends the process in order, and by force when that takes longer than
// limit. It is an error, too, when the process says that it failed.
func (p *Process) Stop(limit time.Duration) error {
	_ = p.Cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.Exited:
	case <-time.After(limit):
		p.Kill()
		return fmt.Errorf("%s did not end within %s", p, limit)
	}
	if !p.Cmd.ProcessState.Success() {
		return fmt.Errorf("%s ended with %s", p, p.Cmd.ProcessState)
	}
	return nil
}

// Kill ends the process as a crash would, and returns when it has ended.
func (p *Process) Kill() {
	_ = p.Cmd.Process.Kill()
	<-p.Exited
}
