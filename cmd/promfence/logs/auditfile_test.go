package logs_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/promfence/promfence/cmd/promfence/logs"
)

func TestARecordIsWrittenBeforeItsWriterGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got writes
		a := logs.NewAudit(&got, func(int) {})
		first := a.Append([]byte("1\n"))
		a.Append([]byte("2\n"))
		if len(got) != 0 {
			t.Errorf("%q is written before it has to be", got)
		}
		if err := first(); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(writes{"1\n2\n"}, got); diff != "" {
			t.Error(diff)
		}
		a.Append([]byte("3\n"))
		time.Sleep(20 * time.Millisecond) // nobody asks for it
		synctest.Wait()
		a.Append([]byte("4\n"))
		a.Flush()
		if diff := cmp.Diff(writes{"1\n2\n", "3\n", "4\n"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestWhoeverLosesARecordHearsOfIt(t *testing.T) {
	disk, lost := &smallDisk{room: 12}, 0
	a := logs.NewAudit(disk, func(n int) { lost += n })
	var written []func() error
	for _, line := range []string{"{\"a\":1}\n", "{\"a\":2}\n", "{\"a\":3}\n"} {
		written = append(written, a.Append([]byte(line)))
	}
	for i := range written {
		if err := written[i](); errors.Is(err, syscall.ENOSPC) != (i > 0) {
			t.Errorf("line %d: %v", i+1, err)
		}
	}
	disk.room = 100
	if err := a.Append([]byte("{\"a\":4}\n"))(); err != nil {
		t.Error(err)
	}
	// A line that was torn does not spoil the next.
	if diff := cmp.Diff("{\"a\":1}\n{\"a\"\n{\"a\":4}\n", disk.text.String()); diff != "" || lost != 2 {
		t.Errorf("%d are lost, %s", lost, diff)
	}
}

func TestRecordsOfManyAtOnceAreAllWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit")
	a := logs.NewAuditFile(file, zerolog.Nop(), func(n int) { t.Errorf("%d are lost", n) })
	if err := a.Open(); err != nil {
		t.Fatal(err)
	}
	const writers, each = 8, 200
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				line := strings.Repeat(string(rune('a'+w)), i+1) + "\n"
				if err := a.Append([]byte(line))(); err != nil {
					t.Error(err)
				}
				if b, _ := os.ReadFile(file); i%50 == 0 && !strings.Contains(string(b), line) {
					t.Errorf("a record of %d bytes is said to be written and is not", i+1)
				}
				if i == each/2 {
					if err := a.Open(); err != nil { // as on SIGHUP
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	b, err := os.ReadFile(file)
	if err != nil || strings.Count(string(b), "\n") != writers*each {
		t.Errorf("%d lines, %v", strings.Count(string(b), "\n"), err)
	}
}

// hung is a disk that takes nothing before it is released.
type hung struct{ began, release chan struct{} }

func (h hung) Write(b []byte) (int, error) {
	h.began <- struct{}{}
	<-h.release
	return len(b), nil
}

// A disk that hangs gets no more of the memory than a bound.
func TestRecordsThatWaitAreBounded(t *testing.T) {
	out, lost := hung{make(chan struct{}, 10), make(chan struct{})}, 0
	a := logs.NewAudit(out, func(records int) { lost += records })
	line := []byte(strings.Repeat("x", 1023) + "\n")
	first := a.Append(line)
	<-out.began          // by the timer
	const most = 4 << 10 // 4 MiB
	for range most {
		a.Append(line)
	}
	if lost > 0 {
		t.Errorf("%d lines lost below the bound", lost)
	}
	if err := a.Append(line)(); err == nil || lost != 1 {
		t.Errorf("beyond the bound: %v, and %d lines lost", err, lost)
	}
	close(out.release)
	if err := first(); err != nil {
		t.Error(err)
	}
}
