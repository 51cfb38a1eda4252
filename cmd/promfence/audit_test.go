package main_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/promfence/promfence/auth/authtest"
	promfence "github.com/promfence/promfence/cmd/promfence"
)

// As logrotate does it: move the file away, then tell.
func TestAuditFileIsRotated(t *testing.T) {
	idp, asked := authtest.NewIssuer(t), make(chan string, 1)
	file := filepath.Join(t.TempDir(), "audit.json")
	p := startBlind(t, append(settings(idp, upstream(t, asked, nil)), "PROMFENCE_AUDIT_FILE="+file)...)
	until(t, p.server+"/-/ready", 200)
	p.asks(t, idp, asked)
	lines(t, file, 1)
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	p.asks(t, idp, asked)
	lines(t, file+".1", 2)
	hangUp(t)
	p.logged(t, "info", "settings reloaded")
	p.asks(t, idp, asked)
	lines(t, file, 1)
	lines(t, file+".1", 2)
}

// lines waits until the file has n records.
func lines(t *testing.T, file string, n int) {
	t.Helper()
	var b []byte
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if b, _ = os.ReadFile(file); strings.Count(string(b), `"decision":"allowed"`) == n {
			return
		}
	}
	t.Fatalf("%s: not %d records: %s", file, n, b)
}

func TestFullDiskStopsNoRequest(t *testing.T) {
	idp, asked := authtest.NewIssuer(t), make(chan string, 1)
	p := start(t, append(settings(idp, upstream(t, asked, nil)), "PROMFENCE_AUDIT_FILE=/dev/full")...)
	until(t, p.server+"/-/ready", 200)
	p.asks(t, idp, asked)
	p.asks(t, idp, asked)
	p.logged(t, "error", "audit records are being lost", "no space left")
	until(t, p.admin+"/-/ready", 200)
	for end := time.Now().Add(patience); p.count(t, "promfence_audit_records_lost_total") != "2"; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("lost records are not counted")
		}
	}
}

// A pipe holds so much, and then its reader has to read.
func TestNoRequestWaitsForWhoeverReadsTheAuditPipe(t *testing.T) {
	idp, asked := authtest.NewIssuer(t), make(chan string, 1)
	pipe := filepath.Join(t.TempDir(), "audit")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for room := make([]byte, 4<<10); ; { // fill it
		_ = reader.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := reader.Write(room); err != nil {
			break
		}
	}
	p := start(t, append(settings(idp, upstream(t, asked, nil)), "PROMFENCE_AUDIT_FILE="+pipe)...)
	until(t, p.server+"/-/ready", 200)
	begin := time.Now()
	const requests = 100
	for range requests {
		p.asks(t, idp, asked)
	}
	if took := time.Since(begin); took > 8*time.Second { // a tenth of a second for each is more
		t.Errorf("%d requests took %s", requests, took)
	}
	p.logged(t, "error", "audit records are being lost", "timeout")
	if lost := p.count(t, "promfence_audit_records_lost_total"); lost != strconv.Itoa(requests) {
		t.Errorf("%s records are lost", lost)
	}
}

// A pipe without a reader is no file that can be written; waiting for one would
// stop everything.
func TestAuditPipeThatNobodyReads(t *testing.T) {
	idp, asked := authtest.NewIssuer(t), make(chan string, 1)
	pipe := filepath.Join(t.TempDir(), "audit")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	environ := append(settings(idp, upstream(t, asked, nil)), "PROMFENCE_AUDIT_FILE="+pipe)
	err := promfence.Run(t.Context(), []string{"check"}, environ, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "nobody reads this pipe") {
		t.Errorf("check: %v", err)
	}
	reader, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := startBlind(t, environ...)
	until(t, p.server+"/-/ready", 200)
	_ = reader.Close()
	hangUp(t)
	p.logged(t, "error", "audit.file cannot be opened again")
	p.logged(t, "info", "settings reloaded")
	p.asks(t, idp, asked)
}

func TestAuditFileThatCannotBe(t *testing.T) {
	environ := append(settings(authtest.NewIssuer(t), "http://127.0.0.1:9090"), "PROMFENCE_AUDIT_FILE="+t.TempDir())
	for _, command := range []string{"serve", "check"} {
		err := promfence.Run(t.Context(), []string{command}, environ, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "PROMFENCE_AUDIT_FILE: want a file that can be written") {
			t.Errorf("%s: %v", command, err)
		}
	}
}

func TestCheckLeavesTheAuditFileAsItIs(t *testing.T) {
	dir := t.TempDir()
	kept := write(t, filepath.Join(dir, "kept"), []byte("{}\n"))
	for _, file := range []string{kept, filepath.Join(dir, "new")} {
		command(t, append(settings(authtest.NewIssuer(t), "http://127.0.0.1:9090"), "PROMFENCE_AUDIT_FILE="+file), "check")
	}
	if b, err := os.ReadFile(kept); err != nil || string(b) != "{}\n" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "new")); err == nil {
		t.Error("an empty file is left behind")
	}
}

// What was delivered is on record, however the process ends.
func TestTheRecordIsThereWhenTheProcessIsKilled(t *testing.T) {
	t.Parallel() // it waits
	idp := authtest.NewIssuer(t)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, strings.TrimSuffix(answer, "}"))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done() // the answer does not end
	}))
	t.Cleanup(upstream.Close)
	for name, end := range map[string]func(p *program) error{
		"SIGKILL": func(p *program) error { return p.Process.Kill() },
		"SIGTERM twice": func(p *program) error {
			_ = p.Process.Signal(syscall.SIGTERM)
			for heard := false; !heard && p.lines.Scan(); {
				heard = strings.Contains(p.lines.Text(), "shutting down")
			}
			return p.Process.Signal(syscall.SIGTERM)
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "audit.json")
			p := execute(t, append(settings(idp, upstream.URL), "PROMFENCE_AUDIT_FILE="+file)...)
			p.says(t, "keys loaded")
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.server+"/api/v1/query?query=up", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+idp.Token(t, "acme", nil))
			r.Header.Set("X-Request-Id", "the-one")
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if _, err := io.ReadFull(resp.Body, make([]byte, 1)); err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("%d, %v", resp.StatusCode, err)
			}
			if err := end(p); err != nil {
				t.Fatal(err)
			}
			_ = p.Wait() // killed: it has no good end
			b, err := os.ReadFile(file)
			for _, want := range []string{`"decision":"allowed"`, `"req_id":"the-one"`, `"tenants":["acme"]`} {
				if err != nil || !strings.Contains(string(b), want) {
					t.Errorf("no %s in %q, %v", want, b, err)
				}
			}
		})
	}
}

func TestARequiredRecordThatCannotBeWritten(t *testing.T) {
	idp, asked := authtest.NewIssuer(t), make(chan string, 1)
	p := start(t, append(settings(idp, upstream(t, asked, nil)), "PROMFENCE_AUDIT_FILE=/dev/full", "PROMFENCE_AUDIT_REQUIRED=true")...)
	until(t, p.server+"/-/ready", 200)
	status, body, _ := get(t, p.server+"/api/v1/query?query=up", idp.Token(t, "acme", nil))
	if status != http.StatusServiceUnavailable || !strings.Contains(body, "cannot record") || len(asked) > 0 {
		t.Errorf("%d %s, and the upstream was asked %d times", status, body, len(asked))
	}
	p.logged(t, "error", "audit records are being lost", "no space left")
}
