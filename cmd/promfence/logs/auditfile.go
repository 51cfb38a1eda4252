package logs

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

// An AuditFile is appended to. Lines that come at the same time share a write. What
// cannot be written is counted and logged, and told to those who ask.
type AuditFile struct {
	path string
	lost func(records int)

	mu    sync.Mutex // guards what follows
	next  *batch     // lines that wait; nil = none
	timer *time.Timer
	spare []byte // a buffer for the next batch
	log   zerolog.Logger

	silent time.Time // until then a loss is not logged again

	writing sync.Mutex // held while a batch is written; guards what follows
	file    *os.File   // the last reference to it closes it
	out     wholeLines // to the file
	pipe    bool       // somebody has to read it
	stuck   time.Time  // until then the pipe is not tried again
}

// A batch is lines that are written together.
type batch struct {
	lines   []byte
	count   int
	done    bool  // what follows is known
	written int   // how many of the lines are in the file
	err     error // why the others are not
}

const (
	pipePatience = 100 * time.Millisecond // for whoever reads a pipe
	pipeRespite  = time.Second            // without another try
)

// errTakesNothing is why a line is lost while the write before it hangs.
var errTakesNothing = errors.New("the file takes nothing, and too much waits for it already")

// NewAuditFile makes an AuditFile, to be opened. lost is called with the number of
// lines that a write has lost.
func NewAuditFile(path string, log zerolog.Logger, lost func(records int)) *AuditFile {
	return &AuditFile{path: path, log: log, lost: lost}
}

// Path is where the file is.
func (a *AuditFile) Path() string { return a.path }

// Open opens the file, anew if it is open already: somebody may have moved it
// away. What cannot be opened changes nothing.
func (a *AuditFile) Open() error {
	// Not blocking, or a pipe would wait here for its reader.
	f, err := os.OpenFile(a.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY|syscall.O_NONBLOCK, 0o600)
	if errors.Is(err, syscall.ENXIO) {
		return errors.New("nobody reads this pipe, or it is a socket")
	}
	if err != nil {
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			err = pe.Err
		}
		return err
	}
	a.writing.Lock()
	defer a.writing.Unlock()
	if a.file != nil {
		a.writeNext() // records go where they were made
		_ = a.file.Close()
	}
	a.file, a.out.out = f, f // if a line was torn, it may be in this very file
	a.pipe = f.SetWriteDeadline(time.Time{}) == nil
	return nil
}

// Try opens and closes the file, and leaves none behind that was not there.
func (a *AuditFile) Try() error {
	_, missing := os.Lstat(a.path)
	if err := a.Open(); err != nil {
		return err
	}
	if errors.Is(missing, fs.ErrNotExist) {
		_ = os.Remove(a.path)
	}
	return a.file.Close()
}

// LogTo changes the logger that a failure is told to.
func (a *AuditFile) LogTo(log zerolog.Logger) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.log = log
}

// Append takes a line, which is written within a moment. The function that it
// returns has it written now, with all lines before it, and returns nil once it was
// handed to the system, or why it was not. A line beyond those that may wait for a
// write that hangs is lost.
func (a *AuditFile) Append(line []byte) (written func() error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.next != nil && len(a.next.lines)+len(line) > maxWaiting {
		a.lose(1, errTakesNothing, time.Now())
		return func() error { return errTakesNothing }
	}
	if a.next == nil {
		a.next = &batch{lines: a.spare[:0]}
		a.spare = nil
		if a.timer == nil {
			a.timer = time.AfterFunc(moment, a.Flush)
		} else {
			a.timer.Reset(moment)
		}
	}
	b, number := a.next, a.next.count
	b.lines = append(b.lines, line...)
	b.count++
	return func() error { return a.wait(b, number) }
}

// wait writes the batch, unless that was done, and reports on one of its lines.
func (a *AuditFile) wait(b *batch, number int) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	if !b.done {
		a.writeNext() // batches are written in order, so b is the next one
	}
	if number < b.written {
		return nil
	}
	return b.err
}

// Flush writes the lines that wait.
func (a *AuditFile) Flush() {
	a.writing.Lock()
	defer a.writing.Unlock()
	a.writeNext()
}

// writeNext writes the batch that waits, if there is one. The caller holds writing.
func (a *AuditFile) writeNext() {
	a.mu.Lock()
	b := a.next
	a.next = nil
	a.mu.Unlock()
	if b == nil {
		return
	}
	now := time.Now()
	n, err := a.write(b.lines, now)
	b.done, b.written, b.err = true, b.count, err
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		b.written = bytes.Count(b.lines[:n], []byte{'\n'})
		a.lose(b.count-b.written, err, now)
	}
	if cap(b.lines) <= keptBytes {
		a.spare = b.lines
	}
	b.lines = nil
}

// lose counts lines that are lost, and logs why once a minute. The caller holds mu.
func (a *AuditFile) lose(records int, err error, now time.Time) {
	a.lost(records)
	if now.After(a.silent) {
		a.silent = now.Add(time.Minute)
		a.log.Error().Err(err).Msg("audit records are being lost")
	}
}

// write gives up on a pipe that nobody reads: requests are not to wait for it.
func (a *AuditFile) write(lines []byte, now time.Time) (int, error) {
	if !a.pipe {
		return a.out.Write(lines)
	}
	if now.Before(a.stuck) {
		return 0, os.ErrDeadlineExceeded
	}
	_ = a.file.SetWriteDeadline(now.Add(pipePatience)) // it has worked before
	n, err := a.out.Write(lines)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		a.stuck = now.Add(pipeRespite)
	}
	return n, err
}
