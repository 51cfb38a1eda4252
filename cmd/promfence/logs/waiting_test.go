package logs_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"github.com/promfence/promfence/cmd/promfence/logs"
)

// A stuck writer is a pipe whose reader has stopped.
type stuck struct{ release chan struct{} }

func (s stuck) Write(b []byte) (int, error) {
	<-s.release
	return len(b), nil
}

func TestLinesThatWaitAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		metrics, out := prometheus.NewRegistry(), stuck{make(chan struct{})}
		w := logs.NewWriter(out, metrics)
		line := []byte(strings.Repeat("x", 1<<20-1) + "\n")
		_, _ = w.Write(line) // is on its way
		synctest.Wait()
		for range 7 { // four of them may wait
			_, _ = w.Write(line)
		}
		want := "# HELP promfence_log_lines_lost_total Log lines that could not be written, or that nobody read in time.\n" +
			"# TYPE promfence_log_lines_lost_total counter\npromfence_log_lines_lost_total 3\n"
		if err := testutil.GatherAndCompare(metrics, strings.NewReader(want), "promfence_log_lines_lost_total"); err != nil {
			t.Error(err)
		}
		close(out.release)
		w.Close()
	})
}

func TestTheEndDoesNotWaitForTheReaderOfTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := stuck{make(chan struct{})}
		w := logs.NewWriter(out, prometheus.NewRegistry())
		_, _ = w.Write([]byte("last\n"))
		begin := time.Now()
		w.Close()
		if took := time.Since(begin); took > time.Second {
			t.Errorf("the end took %s", took)
		}
		close(out.release)
	})
}

func TestARecordThatNobodyWaitsForIsWrittenWithinAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got writes
		a := logs.NewAudit(&got, func(int) {})
		for _, line := range []string{"1\n", "2\n"} {
			a.Append([]byte(line))
			time.Sleep(20 * time.Millisecond)
			synctest.Wait()
		}
		if diff := cmp.Diff(writes{"1\n", "2\n"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestTryLeavesNoFileBehind(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit")
	if err := logs.NewAuditFile(file, zerolog.Nop(), nil).Try(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is there: %v", err)
	}
	if err := os.WriteFile(file, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := logs.NewAuditFile(file, zerolog.Nop(), nil).Try(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(file); string(b) != "{}\n" {
		t.Errorf("records of before are %q, %v", b, err)
	}
}

func TestRecordsAreForTheirOwnerToRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit")
	if err := logs.NewAuditFile(file, zerolog.Nop(), nil).Open(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}
