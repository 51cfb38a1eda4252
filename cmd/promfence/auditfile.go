package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/promfence/promfence/config"
)

// An auditFile is appended to. It never fails: a full disk must not stop the
// requests whose records it would hold. What is lost is counted and logged.
type auditFile struct {
	path string
	lost func()

	mu     sync.Mutex
	log    zerolog.Logger
	file   *os.File // the last reference to it closes it
	out    mender   // to the file
	pipe   bool     // somebody has to read it
	stuck  time.Time
	silent time.Time
}

const (
	auditPatience = 100 * time.Millisecond // for whoever reads a pipe
	auditRespite  = time.Second            // without another try
)

// open opens the file, anew if it is open already: somebody may have moved it
// away. What cannot be opened changes nothing.
func (a *auditFile) open() error {
	if a == nil {
		return nil
	}
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
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file != nil {
		_ = a.file.Close() // nothing is buffered
	}
	a.file, a.out.out = f, f // if a record was torn, it may be in this very file
	a.pipe = f.SetWriteDeadline(time.Time{}) == nil
	return nil
}

func cannotAudit(cfg *config.Config, err error) error {
	return fmt.Errorf("%s: want a file that can be written: %w", cfg.Name("audit.file"), err)
}

// try opens and closes the file, and leaves none behind that was not there.
func (a *auditFile) try() error {
	if a == nil {
		return nil
	}
	_, missing := os.Lstat(a.path)
	if err := a.open(); err != nil {
		return err
	}
	if errors.Is(missing, fs.ErrNotExist) {
		_ = os.Remove(a.path)
	}
	return a.file.Close()
}

// logTo is for a file that goes on while the settings of the log change.
func (a *auditFile) logTo(log zerolog.Logger) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.log = log
}

// Write appends a line. It reports success whatever happens.
func (a *auditFile) Write(line []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	err := a.write(line, now)
	if err == nil {
		return len(line), nil
	}
	a.lost()
	if now.After(a.silent) {
		a.silent = now.Add(time.Minute)
		a.log.Error().Err(err).Msg("audit records are being lost")
	}
	return len(line), nil
}

// write gives up on a pipe that nobody reads: requests are not to wait for it.
func (a *auditFile) write(line []byte, now time.Time) error {
	if !a.pipe {
		_, err := a.out.Write(line)
		return err
	}
	if now.Before(a.stuck) {
		return os.ErrDeadlineExceeded
	}
	_ = a.file.SetWriteDeadline(now.Add(auditPatience)) // it has worked before
	_, err := a.out.Write(line)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		a.stuck = now.Add(auditRespite)
	}
	return err
}
