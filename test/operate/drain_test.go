package operate_test

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/fence"
	"github.com/promfence/promfence/test/harness/upstream"
)

// holding is an upstream that answers only when it is told to.
func holding(t *testing.T) (behind *upstream.Recorder, began <-chan struct{}, release func()) {
	t.Helper()
	arrived, free := make(chan struct{}, 8), make(chan struct{})
	behind = upstream.Stub(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		select {
		case <-free:
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"status":"success","data":{"resultType":"vector","result":[]}}`))
		case <-r.Context().Done():
		}
	}))
	return behind, arrived, func() { close(free) }
}

func TestTerminationLetsRequestsInFlightFinish(t *testing.T) {
	behind, began, release := holding(t)
	f := fence.Before(t, behind.URL, "SERVER_SHUTDOWN_DELAY=1s")
	token, answers := f.Token(t, "acme"), make(chan int, 2)
	ask := func() {
		status, _ := harness.Fetch(t, f.URL+"/api/v1/query", token, harness.Form("query", "up"))
		answers <- status
	}
	go ask()
	<-began
	if err := f.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := logged(t, f, "shutting down"); err != nil {
		t.Fatal(err)
	}
	if status, _ := harness.Fetch(t, f.URL+"/-/ready", "", nil); status != http.StatusServiceUnavailable {
		t.Errorf("ready while it ends: %d, want 503", status)
	}
	go ask() // Balancers haven't noticed yet.
	<-began
	release()
	for range 2 {
		if status := <-answers; status != http.StatusOK {
			t.Errorf("a request in flight got %d", status)
		}
	}
	select {
	case <-f.Exited:
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
	if code := f.Cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d, want 0:\n%s", code, f.Log())
	}
}

func TestTerminationDoesNotWaitForEver(t *testing.T) {
	behind, began, _ := holding(t)
	f := fence.Before(t, behind.URL, "SERVER_SHUTDOWN_TIMEOUT=300ms")
	f.Fails = true
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.URL+"/api/v1/query?query=up", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+f.Token(t, "acme"))
	cut := make(chan error, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		cut <- err
	}()
	<-began
	if err := f.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-f.Exited:
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
	if err := <-cut; err == nil {
		t.Error("the request got an answer that nobody gave")
	}
	if code := f.Cmd.ProcessState.ExitCode(); code == 0 {
		t.Error("exit code 0, though a request was cut off")
	}
}
