package operate_test

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestProviderThatIsDown(t *testing.T) {
	f := start(t, "", stub(t, nil), "AUTH_REFRESH_INTERVAL=1s")
	f.wants(t, "acme", "up", http.StatusOK)
	f.issuer.Fail(http.StatusInternalServerError)
	fetched := f.issuer.Fetches()
	for f.issuer.Fetches() < fetched+2 { // it has tried, and failed
		time.Sleep(20 * time.Millisecond)
	}
	f.wants(t, "acme", "up", http.StatusOK)
	f.wants(t, "new", "up", http.StatusOK) // a token that it has not seen before
	if status, _, err := ask(t.Context(), http.DefaultClient, f.URL+"/-/ready", ""); status != http.StatusOK {
		t.Errorf("ready: %d %v", status, err)
	}
}

func TestLogOnAFullDisk(t *testing.T) {
	f := start(t, "exec 2>/dev/full;", stub(t, nil), "AUDIT_FILE=/dev/full")
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
	f := start(t, "ulimit -n 64;", stub(t, nil))
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
	time.Sleep(time.Second) // with nothing left to accept with
	for _, conn := range open {
		_ = conn.Close()
	}
	f.eventually(t, func() error {
		_, _, err := ask(t.Context(), http.DefaultClient, f.query("up"), f.token(t, "acme"))
		return err
	})
	f.wants(t, "acme", "up", http.StatusOK)
}

func TestSIGTERMDuringALongQuery(t *testing.T) {
	arrived := make(chan bool, 1)
	f := start(t, "", stub(t, map[string]http.HandlerFunc{"long": func(w http.ResponseWriter, _ *http.Request) {
		arrived <- true
		time.Sleep(5 * time.Second)
		_, _ = w.Write([]byte(answer))
	}}), "SERVER_SHUTDOWN_TIMEOUT=30s")
	done := make(chan error, 1)
	go func() {
		status, body, err := ask(t.Context(), http.DefaultClient, f.query("long"), f.token(t, "acme"))
		if err == nil && (status != http.StatusOK || body != answer) {
			t.Errorf("%d %s", status, body)
		}
		done <- err
	}()
	<-arrived
	if err := f.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	<-f.exited
	if code := f.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d\n%s", code, f.logged(t))
	}
}

func TestTwoThousandConnections(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < 5000 {
		t.Fatalf("want 5000 open files: ulimit -n is %d (%v)", limit.Cur, err)
	}
	f := start(t, "", stub(t, nil))
	before, token := f.metric(t, "go_goroutines"), f.token(t, "acme")
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2000}}
	for range 2 {
		var begin, all sync.WaitGroup
		begin.Add(1)
		for range 2000 {
			all.Go(func() {
				begin.Wait()
				status, body, err := ask(t.Context(), client, f.query("up"), token)
				if err != nil || status != http.StatusOK {
					t.Errorf("%d %s %v", status, body, err)
				}
			})
		}
		begin.Done()
		all.Wait()
	}
	client.CloseIdleConnections()
	// Of those to the upstream, upstream.max_idle_connections stay, with two goroutines each.
	f.settles(t, before+2*256)
}
