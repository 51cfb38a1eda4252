//go:build unix

package logs_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/promfence/promfence/cmd/promfence/logs"
)

func pipe(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAPipeThatNobodyReadsIsAMistake(t *testing.T) {
	opened := make(chan error, 1)
	path := pipe(t)
	go func() { opened <- logs.NewAuditFile(path, zerolog.Nop(), nil).Open() }()
	select {
	case err := <-opened:
		if err == nil {
			t.Error("it is opened")
		}
	case <-time.After(time.Minute):
		t.Error("the start waits for a reader")
	}
}

// A reader that has stopped delays one record, and no other in the second after.
func TestAPipeThatIsFullIsNotTriedByEveryRecord(t *testing.T) {
	path, lost := pipe(t), 0
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	a := logs.NewAuditFile(path, zerolog.Nop(), func(n int) { lost += n })
	if err := a.Open(); err != nil {
		t.Fatal(err)
	}
	full := a.Append(append(make([]byte, 4<<20), '\n'))
	if err := full(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a full pipe: %v", err)
	}
	_ = reader.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	_, _ = io.Copy(io.Discard, reader) // there is room again
	if err := a.Append([]byte("{}\n"))(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("at once after that: %v", err)
	}
	if lost != 2 {
		t.Errorf("%d records are lost, want 2", lost)
	}
}
