package main_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/auth/authtest"
	promfence "github.com/promfence/promfence/cmd/promfence"
)

// As logrotate does it: move the file away, then tell.
func TestAuditFileIsRotated(t *testing.T) {
	idp, asked := authtest.NewIssuer(t), make(chan string, 1)
	file := filepath.Join(t.TempDir(), "audit.json")
	p := start(t, append(settings(idp, upstream(t, asked, nil)), "PROMFENCE_AUDIT_FILE="+file)...)
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
	for range 20 {
		p.asks(t, idp, asked)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("20 requests took %s", took)
	}
	p.logged(t, "error", "audit records are being lost", "timeout")
	if lost := p.count(t, "promfence_audit_records_lost_total"); lost != "20" {
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
	p := start(t, environ...)
	until(t, p.server+"/-/ready", 200)
	_ = reader.Close()
	hangUp(t)
	p.logged(t, "error", "audit.file cannot be opened again")
	p.logged(t, "info", "settings reloaded")
	p.asks(t, idp, asked)
}

func TestARecordThatWasTornDoesNotSpoilTheNext(t *testing.T) {
	disk, lost := &smallDisk{room: 4}, 0
	audit := promfence.NewAudit(disk, func() { lost++ })
	for _, record := range []string{"{\"a\":1}\n", "{\"a\":2}\n", "{\"a\":3}\n"} {
		if n, err := audit.Write([]byte(record)); n != len(record) || err != nil {
			t.Errorf("%d, %v: a request would hear of it", n, err)
		}
		if lost == 2 {
			disk.room = 100
		}
	}
	if diff := cmp.Diff("{\"a\"\n{\"a\":3}\n", disk.text.String()); diff != "" {
		t.Error(diff)
	}
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
