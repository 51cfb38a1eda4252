package logs_test

import (
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/promfence/promfence/cmd/promfence/logs"
)

// A writes keeps what comes in one write each.
type writes []string

func (w *writes) Write(b []byte) (int, error) {
	*w = append(*w, string(b))
	return len(b), nil
}

func TestLinesAreWrittenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got writes
		l := zerolog.New(logs.NewWriter(&got, prometheus.NewRegistry()))
		l.Info().Msg("1")
		l.Info().Msg("2")
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		l.Info().Msg("3")
		l.Error().Msg("4")
		synctest.Wait()
		l.Warn().Msg("5")
		synctest.Wait()
		l.Info().Str("much", strings.Repeat("x", 64<<10)).Send()
		time.Sleep(time.Second)
		synctest.Wait()
		for i := range got {
			got[i] = strings.NewReplacer(`{"level":`, "", `"message":`, "", "}\n", ";", `"`, "", "x", "").Replace(got[i])
		}
		want := writes{"info,1;info,2;", "info,3;error,4;", "warn,5;", "info,much:;"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestATaskThatIsRunNowComesAfterThoseBefore(t *testing.T) {
	w := logs.NewWriter(io.Discard, prometheus.NewRegistry())
	defer w.Close()
	var run []int
	for n := range 3 {
		w.Defer(func() { run = append(run, n) }, n == 2)
	}
	if diff := cmp.Diff([]int{0, 1, 2}, run); diff != "" {
		t.Error(diff)
	}
}

func TestTasksAreRunTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got writes
		w := logs.NewWriter(&got, prometheus.NewRegistry())
		l := zerolog.New(w)
		run := 0
		task := func() {
			run++
			l.Info().Send()
		}
		w.Defer(task, false)
		if run != 0 {
			t.Error("run at once")
		}
		w.RunTasks()
		if run != 1 {
			t.Errorf("%d run when that was asked for", run)
		}
		w.Defer(task, false)
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		if run != 2 || len(got) != 1 || strings.Count(got[0], "\n") != 2 {
			t.Errorf("%d run, %q", run, got)
		}
		w.Defer(func() { w.Defer(task, false) }, false) // comes while others are run
		time.Sleep(40 * time.Millisecond)
		synctest.Wait()
		if run != 3 {
			t.Error("one that comes while others are run is not")
		}
		for range 32 { // each holds a request
			w.Defer(task, false)
		}
		if run != 35 {
			t.Errorf("%d run, want no more than 31 to wait", run)
		}
		w.Defer(task, false)
		w.Close()
		if lines := strings.Join(got, ""); run != 36 || strings.Count(lines, "\n") != 36 {
			t.Errorf("%d run and %d lines at the end, want 36", run, strings.Count(lines, "\n"))
		}
	})
}

// A small disk takes so many bytes, and none of what comes after.
type smallDisk struct {
	room int
	text strings.Builder
}

func (d *smallDisk) Write(b []byte) (int, error) {
	n := min(len(b), d.room)
	d.room -= n
	d.text.Write(b[:n])
	if n < len(b) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func TestALineThatWasTornDoesNotSpoilTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk, metrics := &smallDisk{room: 20}, prometheus.NewRegistry()
		l := zerolog.New(logs.NewWriter(disk, metrics))
		l.Warn().Msg("does not fit")
		synctest.Wait()
		l.Warn().Msg("neither does this")
		synctest.Wait()
		disk.room = 100
		l.Warn().Msg("after")
		synctest.Wait()
		want := `{"level":"warn","mes` + "\n" + `{"level":"warn","message":"after"}` + "\n"
		if diff := cmp.Diff(want, disk.text.String()); diff != "" {
			t.Error(diff)
		}
		if n := lostLines(t, metrics); n != 2 {
			t.Errorf("%d lost lines are counted", n)
		}
	})
}

func lostLines(t *testing.T, metrics prometheus.Gatherer) int {
	t.Helper()
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return int(families[0].GetMetric()[0].GetCounter().GetValue())
}

// A stopped reader takes nothing until it may.
type stoppedReader struct {
	may   chan struct{}
	mu    sync.Mutex
	lines int
}

func (s *stoppedReader) Write(b []byte) (int, error) {
	<-s.may
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines += strings.Count(string(b), "\n")
	return len(b), nil
}

func TestNobodyWaitsForTheReaderOfTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader, metrics := &stoppedReader{may: make(chan struct{})}, prometheus.NewRegistry()
		l := zerolog.New(logs.NewWriter(reader, metrics))
		const lines = 10_000
		var callers sync.WaitGroup
		for range 10 {
			callers.Go(func() {
				for range lines / 10 {
					l.Error().Str("much", strings.Repeat("x", 1<<10)).Send()
				}
			})
		}
		callers.Wait()
		lost := lostLines(t, metrics)
		close(reader.may)
		synctest.Wait()
		if reader.lines < 4<<10*9/10 || reader.lines+lost != lines {
			t.Errorf("%d lines are written and %d lost", reader.lines, lost)
		}
	})
}
