package main

import (
	"io"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// A lineWriter writes log lines together that come within a moment: with
// thousands of requests a second, a system call for each costs more than
// enforcing a query. What is worth a warning is written at once, and with it all
// that came before.
type lineWriter struct {
	out io.Writer

	mu    sync.Mutex
	lines []byte
	timer *time.Timer // will write them; nil when there are none
}

const (
	aMoment   = 10 * time.Millisecond
	manyLines = 64 << 10 // bytes that do not wait any longer
)

// Write writes a line of unknown level, at once.
func (w *lineWriter) Write(line []byte) (int, error) { return w.WriteLevel(zerolog.NoLevel, line) }

// WriteLevel writes a line, at once if it is more than information.
func (w *lineWriter) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, line...)
	if level > zerolog.InfoLevel || len(w.lines) > manyLines {
		return len(line), w.write()
	}
	if w.timer == nil {
		w.timer = time.AfterFunc(aMoment, w.flush)
	}
	return len(line), nil
}

// flush writes what waits. When that fails there is nowhere to say so.
func (w *lineWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.write()
}

func (w *lineWriter) write() error {
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
	if len(w.lines) == 0 {
		return nil
	}
	n, err := w.out.Write(w.lines)
	torn := 0 < n && n < len(w.lines) && w.lines[n-1] != '\n'
	w.lines = w.lines[:0]
	if torn {
		w.lines = append(w.lines, '\n') // the next line does not end this one
	}
	return err
}
