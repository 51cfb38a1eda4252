package logs

import (
	"bytes"
	"io"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// A Writer writes log lines together that come within a moment: with thousands of
// requests a second, a system call for each costs more than enforcing a query. A
// warning or an error is written at once, and with it all lines before it. No
// request writes, so none waits for whoever reads the log: lines beyond a bound are
// lost and counted.
type Writer struct {
	lost prometheus.Counter

	mu     sync.Mutex
	buf    []byte      // lines that wait
	tasks  []func()    // deferred; they write lines
	timer  *time.Timer // flushes buf; nil when nothing waits
	urgent bool        // the timer fires now

	writing sync.Mutex
	out     wholeLines
	spare   []byte // the buffer that was written last, for the next lines

	running sync.Mutex // held while tasks are run
}

const (
	moment     = 10 * time.Millisecond
	manyBytes  = 64 << 10    // bytes that do not wait any longer
	keptBytes  = 256 << 10   // a buffer's size beyond which it is not used again
	maxWaiting = 4 << 20     // bytes that wait for a reader: more than a disk's hiccup
	manyTasks  = 32          // tasks that do not wait any longer
	closeAfter = time.Second // how long the last lines may take
)

// NewWriter makes a Writer, whose count of lost lines is one of metrics.
func NewWriter(out io.Writer, metrics prometheus.Registerer) *Writer {
	w := &Writer{out: wholeLines{out: out}, lost: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "promfence_log_lines_lost_total", Help: "Log lines that could not be written, or that nobody read in time.",
	})}
	metrics.MustRegister(w.lost)
	return w
}

// Write takes a line of unknown level, which is written at once.
func (w *Writer) Write(line []byte) (int, error) { return w.WriteLevel(zerolog.NoLevel, line) }

// WriteLevel takes a line, which is written at once if its level is above info. It
// never fails: there would be nowhere to say so.
func (w *Writer) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.buf)+len(line) > maxWaiting {
		w.lost.Inc()
		return len(line), nil
	}
	w.buf = append(w.buf, line...)
	w.startTimer()
	if !w.urgent && (level > zerolog.InfoLevel || len(w.buf) > manyBytes) {
		w.urgent = true
		w.timer.Reset(0)
	}
	return len(line), nil
}

// startTimer has a flush come within a moment. The caller holds mu.
func (w *Writer) startTimer() {
	if w.timer == nil {
		w.timer = time.AfterFunc(moment, w.flush)
	}
}

// Defer runs a task within a moment, before the lines of that moment are written.
// Urgent tasks run before Defer returns, after those that came before.
func (w *Writer) Defer(task func(), urgent bool) {
	w.mu.Lock()
	w.tasks = append(w.tasks, task)
	urgent = urgent || len(w.tasks) >= manyTasks
	w.startTimer()
	w.mu.Unlock()
	if urgent {
		w.RunTasks()
	}
}

// RunTasks runs the deferred tasks, and returns when all that came before the call
// have ended.
func (w *Writer) RunTasks() {
	w.running.Lock()
	defer w.running.Unlock()
	w.mu.Lock()
	tasks := w.tasks
	w.tasks = make([]func(), 0, manyTasks)
	w.mu.Unlock()
	for _, task := range tasks {
		task()
	}
}

// take swaps the buffer for an empty one.
func (w *Writer) take() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := w.buf
	w.buf = w.spare[:0]
	if w.timer != nil {
		w.timer.Stop()
	}
	w.timer, w.urgent = nil, false
	if len(w.tasks) > 0 { // deferred since RunTasks
		w.startTimer()
	}
	return lines
}

// flush runs the deferred tasks and writes the lines that wait.
func (w *Writer) flush() {
	w.writing.Lock()
	defer w.writing.Unlock()
	w.RunTasks()
	w.spare = w.take()
	if n, err := w.out.Write(w.spare); err != nil {
		w.lost.Add(float64(bytes.Count(w.spare[n:], []byte{'\n'})))
	}
	if cap(w.spare) > keptBytes {
		w.spare = nil
	}
}

// Close writes the lines that wait, if somebody reads them.
func (w *Writer) Close() {
	done := make(chan struct{})
	go func() {
		w.flush()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(closeAfter):
	}
}
