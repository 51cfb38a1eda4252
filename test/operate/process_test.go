package operate_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/promfence/promfence/test/harness/upstream"
)

func TestProviderThatIsDown(t *testing.T) {
	f := start(t, stub(t, nil), "AUTH_REFRESH_INTERVAL=1s")
	f.wants(t, "acme", "up", http.StatusOK)
	f.Issuer.Fail(http.StatusInternalServerError)
	fetched := f.Issuer.Fetches()
	for f.Issuer.Fetches() < fetched+2 { // it has tried, and failed
		time.Sleep(20 * time.Millisecond)
	}
	f.wants(t, "acme", "up", http.StatusOK)
	f.wants(t, "new", "up", http.StatusOK) // a token that it has not seen before
	if status, _, err := ask(t.Context(), http.DefaultClient, f.URL+"/-/ready", ""); status != http.StatusOK {
		t.Errorf("ready: %d %v", status, err)
	}
}

func TestLogOnAFullDisk(t *testing.T) {
	f := run(t, shell(t, "exec 2>/dev/full"), stub(t, nil), "AUDIT_FILE=/dev/full",
		"SERVER_ADDRESS="+freeAddress(t), "ADMIN_ADDRESS="+freeAddress(t))
	for range 100 {
		f.wants(t, "acme", "up", http.StatusOK)
	}
	if lost := f.metric(t, "promfence_audit_records_lost_total"); lost != 100 {
		t.Errorf("%v lost records are counted", lost)
	}
}

// Connections beyond what the system gives wait or fail; when they are gone, all
// is as before.
func TestFileDescriptorsRunOut(t *testing.T) {
	f := run(t, shell(t, "ulimit -n 64"), stub(t, nil))
	f.wants(t, "acme", "up", http.StatusOK)
	http.DefaultClient.CloseIdleConnections()
	var open []net.Conn
	for range 200 {
		conn, err := net.DialTimeout("tcp", strings.TrimPrefix(f.URL, "http://"), time.Second)
		if err != nil {
			break
		}
		open = append(open, conn)
	}
	if len(open) < 64 {
		t.Fatalf("%d connections", len(open))
	}
	f.Await(t, func() error { // with nothing left to accept with
		if !strings.Contains(f.Log(), `"message":"http: Accept error`) {
			return errors.New("it does not say so")
		}
		return nil
	})
	for _, conn := range open {
		_ = conn.Close()
	}
	f.Await(t, func() error {
		_, _, err := ask(t.Context(), http.DefaultClient, f.query("up"), f.Token(t, "acme"))
		return err
	})
	f.wants(t, "acme", "up", http.StatusOK)
}

func TestSIGTERMDuringALongQuery(t *testing.T) {
	t.Parallel() // beside those that wait
	const long = 30 * time.Second
	arrived := make(chan bool, 1)
	f := start(t, stub(t, map[string]http.HandlerFunc{"long": func(w http.ResponseWriter, _ *http.Request) {
		arrived <- true
		time.Sleep(long)
		respond(w)
	}}), "SERVER_SHUTDOWN_TIMEOUT=40s")
	done := make(chan error, 1)
	go func() {
		status, body, err := ask(t.Context(), http.DefaultClient, f.query("long"), f.Token(t, "acme"))
		if err == nil && (status != http.StatusOK || body != answer) {
			err = fmt.Errorf("%d %s", status, body)
		}
		done <- err
	}()
	<-arrived
	begin := time.Now()
	if err := f.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	<-f.Exited
	took := time.Since(begin)
	t.Logf("it ended %s after SIGTERM, a query of %s with it", took.Round(time.Millisecond), long)
	if code := f.Cmd.ProcessState.ExitCode(); code != 0 || took > long+5*time.Second {
		t.Errorf("exit code %d after %s\n%s", code, took, f.Log())
	}
}

// Two thousand callers wait for their answers at the same time. When they have
// gone, so has the memory that they took, and the next ones take no more.
func TestTwoThousandConnections(t *testing.T) {
	const callers, kept = 2000, 16
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < 2*callers+1000 {
		t.Fatalf("want %d open files: ulimit -n is %d (%v)", 2*callers+1000, limit.Cur, err)
	}
	hold := &barrier{arrived: make(chan bool, callers), free: make(chan bool)}
	f := start(t, stub(t, map[string]http.HandlerFunc{"held": hold.serve}), append(quiet(t), fmt.Sprintf("UPSTREAM_MAX_IDLE_CONNECTIONS=%d", kept))...)
	f.wants(t, "acme", "up", http.StatusOK)
	all := []usage{f.usage(t)}
	rest := all[0]
	for range 2 {
		all = append(all, f.crowd(t, hold, callers))
		during := all[len(all)-1]
		err := upstream.Poll(t.Context(), patience, func() error {
			rest = f.usage(t)
			before := all[0]
			if rest.goroutines > before.goroutines+2*kept+10 || rest.files > before.files+kept+10 ||
				// The runtime keeps what it knew of four goroutines each, for the next ones.
				rest.heap > before.heap+callers*4<<10 || rest.resident > before.resident+(during.resident-before.resident)/2 {
				return errors.New("it keeps more than it should")
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		all = append(all, rest)
	}
	for i, when := range []string{"before", "2,000", "at rest", "2,000 again", "at rest again"} {
		t.Logf("%-13s heap %5.1f MiB, resident %5.1f MiB, %4v goroutines, %4v files", when, all[i].heap/mib, all[i].resident/mib, all[i].goroutines, all[i].files)
	}
	if first, second := all[2], all[4]; second.heap > first.heap+mib {
		t.Errorf("every crowd leaves something: %.0f bytes after the first, %.0f after the second", first.heap, second.heap)
	}
}

// A barrier is an upstream's handler that answers when it is told to.
type barrier struct{ arrived, free chan bool }

func (b *barrier) serve(w http.ResponseWriter, _ *http.Request) {
	b.arrived <- true
	<-b.free
	respond(w)
}

// crowd asks so many times at once, and measures while all of them wait.
func (p process) crowd(t *testing.T, hold *barrier, callers int) (during usage) {
	t.Helper()
	client, token := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}, p.Token(t, "acme")
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			status, body, err := ask(t.Context(), client, p.query("held"), token)
			if err != nil || status != http.StatusOK {
				t.Errorf("%d %s %v", status, body, err)
			}
		})
	}
	for range callers {
		select {
		case <-hold.arrived:
		case <-time.After(patience):
			t.Fatal("not all of them reach the upstream")
		}
	}
	if n := p.metric(t, "promfence_requests_in_flight"); n < float64(callers) {
		t.Errorf("%v requests in flight", n)
	}
	during = p.usage(t)
	for range callers {
		hold.free <- true
	}
	all.Wait()
	client.CloseIdleConnections()
	return during
}
