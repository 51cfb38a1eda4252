package main

import (
	"bytes"
	"io"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// A lineWriter writes log lines together that come within a moment: with
// thousands of requests a second, a system call for each costs more than
// enforcing a query. What is worth a warning is written at once, and with it all
// that came before. No request writes, so none waits for whoever reads the log:
// lines that they leave lying are lost and counted.
type lineWriter struct {
	lost prometheus.Counter

	mu    sync.Mutex
	lines []byte
	tasks []func()    // which write lines
	timer *time.Timer // will write them; nil when there are none
	hurry bool        // it does so now

	writing sync.Mutex
	out     mender
	spare   []byte // what was written last, for what comes next

	settling sync.Mutex
}

const (
	aMoment   = 10 * time.Millisecond
	manyLines = 64 << 10    // bytes that do not wait any longer
	keptLines = 256 << 10   // room that stays when they are written
	mostLines = 4 << 20     // bytes that wait for a reader: more than a disk's hiccup
	manyTasks = 32          // that do not wait any longer: each holds a request
	lastLines = time.Second // for them when the process ends
)

func newLineWriter(out io.Writer, metrics prometheus.Registerer) *lineWriter {
	w := &lineWriter{out: mender{out: out}, lost: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "promfence_log_lines_lost_total", Help: "Log lines that could not be written, or that nobody read in time.",
	})}
	metrics.MustRegister(w.lost)
	return w
}

// Write writes a line of unknown level, at once.
func (w *lineWriter) Write(line []byte) (int, error) { return w.WriteLevel(zerolog.NoLevel, line) }

// WriteLevel takes a line, to be written at once if it is more than information.
// It never fails: there would be nowhere to say so.
func (w *lineWriter) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.lines)+len(line) > mostLines {
		w.lost.Inc()
		return len(line), nil
	}
	w.lines = append(w.lines, line...)
	w.soon()
	if !w.hurry && (level > zerolog.InfoLevel || len(w.lines) > manyLines) {
		w.hurry = true
		w.timer.Reset(0)
	}
	return len(line), nil
}

// soon has what waits written within a moment.
func (w *lineWriter) soon() {
	if w.timer == nil {
		w.timer = time.AfterFunc(aMoment, w.flush)
	}
}

// later runs a task before the lines of this moment are written, or now, after
// those that came before it.
func (w *lineWriter) later(task func(), now bool) {
	w.mu.Lock()
	w.tasks = append(w.tasks, task)
	now = now || len(w.tasks) >= manyTasks
	w.soon()
	w.mu.Unlock()
	if now {
		w.settle()
	}
}

// settle runs the tasks that wait, and returns when none is left of those that
// came before it.
func (w *lineWriter) settle() {
	w.settling.Lock()
	defer w.settling.Unlock()
	w.mu.Lock()
	tasks := w.tasks
	w.tasks = make([]func(), 0, manyTasks)
	w.mu.Unlock()
	for _, task := range tasks {
		task()
	}
}

// take leaves an empty buffer where it finds the lines.
func (w *lineWriter) take() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := w.lines
	w.lines = w.spare[:0]
	if w.timer != nil {
		w.timer.Stop()
	}
	w.timer, w.hurry = nil, false
	if len(w.tasks) > 0 { // they came just now
		w.soon()
	}
	return lines
}

// flush writes what waits.
func (w *lineWriter) flush() {
	w.writing.Lock()
	defer w.writing.Unlock()
	w.settle()
	w.spare = w.take()
	if n, err := w.out.Write(w.spare); err != nil {
		w.lost.Add(float64(bytes.Count(w.spare[n:], []byte{'\n'})))
	}
	if cap(w.spare) > keptLines {
		w.spare = nil
	}
}

// close writes what is left, if somebody reads it.
func (w *lineWriter) close() {
	done := make(chan struct{})
	go func() {
		w.flush()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(lastLines):
	}
}

// A mender ends a line that a full disk has torn before it writes the next one,
// which would not be a line of its own otherwise.
type mender struct {
	out  io.Writer
	torn bool
}

func (m *mender) Write(lines []byte) (int, error) {
	if len(lines) == 0 {
		return 0, nil
	}
	if m.torn {
		if _, err := m.out.Write([]byte{'\n'}); err != nil {
			return 0, err
		}
		m.torn = false
	}
	n, err := m.out.Write(lines)
	m.torn = 0 < n && n < len(lines) && lines[n-1] != '\n'
	return n, err
}
