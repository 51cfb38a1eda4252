package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/promfence/promfence/auth/authtest"
	promfence "github.com/promfence/promfence/cmd/promfence"
)

// patience is how long a test waits for what happens at once. Reaching it is a
// failure and never a pass.
const patience = time.Minute

// A process is a run of serve.
type process struct {
	server, admin string // base URLs
	end           context.CancelFunc
	done          chan error

	mu  sync.Mutex
	log []map[string]any
}

// A way is how a process runs: how often it does what it does by itself.
type way func(ctx context.Context, environ []string, stderr io.Writer) error

// blind runs a process that takes new settings on SIGHUP only, and waits for their keys
// until giveUp says something.
func blind(giveUp <-chan time.Time) way {
	return func(ctx context.Context, environ []string, stderr io.Writer) error {
		return promfence.RunBlind(ctx, giveUp, environ, stderr)
	}
}

// start runs serve with these variables, on free ports, until the test ends. Changed
// files are noticed at once.
func start(t *testing.T, environ ...string) *process {
	t.Helper()
	return onFreePorts(t, promfence.RunLooking, environ...)
}

// startBlind is start of a process that notices SIGHUP only.
func startBlind(t *testing.T, environ ...string) *process {
	t.Helper()
	return onFreePorts(t, blind(nil), environ...)
}

// startGivingUp is startBlind of a process that waits for the keys of new settings until
// giveUp is called.
func startGivingUp(t *testing.T, environ ...string) (p *process, giveUp func()) {
	t.Helper()
	late := make(chan time.Time)
	return onFreePorts(t, blind(late), environ...), func() {
		t.Helper()
		select {
		case late <- time.Now():
		case <-time.After(patience):
			t.Fatal("no new settings wait for keys")
		}
	}
}

func onFreePorts(t *testing.T, serve way, environ ...string) *process {
	t.Helper()
	return run(t, serve, append([]string{"PROMFENCE_SERVER_ADDRESS=127.0.0.1:0", "PROMFENCE_ADMIN_ADDRESS=127.0.0.1:0"}, environ...)...)
}

// run runs serve on addresses that the settings name.
func run(t *testing.T, serve way, environ ...string) *process {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{end: cancel, done: make(chan error, 1)}
	r, w := io.Pipe()
	listening := make(chan struct{}, 2)
	go p.read(r, listening)
	go func() {
		p.done <- serve(ctx, environ, w)
		close(p.done)
		w.Close()
	}()
	t.Cleanup(func() {
		cancel()
		_ = p.ended(t)
	})
	for range 2 {
		select {
		case <-listening:
		case err := <-p.done:
			t.Fatalf("ended at once: %v", err)
		case <-time.After(patience):
			t.Fatal("does not say where it listens")
		}
	}
	return p
}

func (p *process) read(r io.Reader, listening chan<- struct{}) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var line map[string]any
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			line = map[string]any{"message": lines.Text(), "level": "not JSON"}
		}
		p.mu.Lock()
		p.log = append(p.log, line)
		p.mu.Unlock()
		if line["message"] != "listening" {
			continue
		}
		if base := "http://" + line["address"].(string); line["listener"] == "server" {
			p.server = base
		} else {
			p.admin = base
		}
		listening <- struct{}{}
	}
}

// lines are the log so far, each line as one text.
func (p *process) lines() (all []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range p.log {
		text, _ := json.Marshal(line)
		all = append(all, string(text))
	}
	return all
}

// logged waits until one of the lines of a level
// holds all of what.
func (p *process) logged(t *testing.T, level string, what ...string) {
	t.Helper()
	var seen []string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		seen = p.lines()
		for _, line := range seen {
			found := strings.Contains(line, `"level":"`+level+`"`)
			for _, w := range what {
				found = found && strings.Contains(line, w)
			}
			if found {
				return
			}
		}
	}
	t.Errorf("no %s line with %q in\n%s", level, what, strings.Join(seen, "\n"))
}

// ended waits for the end of the process and returns what run returned.
func (p *process) ended(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.done:
		return err
	case <-time.After(patience):
		t.Fatal("does not end")
		return nil
	}
}

// get returns status, body and header of an answer.
func get(t *testing.T, url, token string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return 0, "", nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(body), resp.Header
}

// until asks until the status is the wanted one.
func until(t *testing.T, url string, status int) {
	t.Helper()
	got := 0
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if got, _, _ = get(t, url, ""); got == status {
			return
		}
	}
	t.Fatalf("%s: stays %d", url, got)
}

const answer = `{"status":"success","data":{"resultType":"vector","result":[]}}`

// upstream is a Prometheus that tells what it is asked, and answers when it may.
func upstream(t *testing.T, asked chan<- string, may <-chan struct{}) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.FormValue("query")
		if may != nil {
			select {
			case <-may:
			case <-r.Context().Done():
				return
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// settings are the least that starts, for this issuer and upstream.
func settings(idp *authtest.Issuer, upstream string) []string {
	return []string{
		"PROMFENCE_UPSTREAM_URL=" + upstream,
		"PROMFENCE_AUTH_ISSUER=" + idp.URL,
		"PROMFENCE_AUTH_AUDIENCE=" + authtest.Audience,
	}
}
