package record

import (
	"errors"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/promql"
)

// A decision is whether a request was let through. With an audit log it is on
// record before the first byte of the answer, since the process may end at any time
// after that; a second line completes the record of one that was let through.
type decision struct {
	made     bool         // the request came as far as authentication
	allowed  bool         // and was let through
	recorded bool         // its line was handed over
	lost     bool         // and could not be written
	written  func() error // of that line, until it was called
}

// An auditLine is the writer of one line.
type auditLine struct {
	*Recorder
	written func() error
}

func (l *auditLine) Write(line []byte) (int, error) {
	l.written = l.Audit.Append(line)
	return len(line), nil
}

// WriteLevel makes it a zerolog.LevelWriter, which zerolog needs not wrap.
func (l *auditLine) WriteLevel(_ zerolog.Level, line []byte) (int, error) { return l.Write(line) }

// add hands over a line that fill describes.
func (p *Recorder) add(fill func(e *zerolog.Event)) (written func() error) {
	l := &auditLine{Recorder: p}
	logger := zerolog.New(l)
	e := logger.Log().Time("time", time.Now())
	fill(e)
	e.Send()
	return l.written
}

// recordTimeout bounds how long a request waits for its record.
const recordTimeout = time.Second

var (
	errNoAuditLog = errors.New("there is no audit log, which a view over all tenants requires")
	errSlowRecord = errors.New("the record was not written in time")
)

// required reports whether a request must not be answered without a record: always,
// if the settings say so, for whoever may see all tenants, even if they ask for fewer,
// and, if there is an audit log, for whoever changes a silence.
func (r *Record) required() bool {
	return r.recorder.AuditRequired || r.identity.AllTenants || r.route.changes && r.recorder.Audit != nil
}

// Decide keeps that from now on a decision is made about the caller.
func (r *Record) Decide() { r.decision.made = true }

// errUnrecorded is the cause of a 503 where audit.required is set.
var errUnrecorded = errors.New("the decision could not be recorded")

func unrecorded(cause error) *apierr.Error {
	e := apierr.New(http.StatusServiceUnavailable, "this request is not answered, because promfence cannot record it; its log has the cause")
	e.Err = errors.Join(errUnrecorded, cause)
	return e
}

// Allow decides that a request is let through, and has that recorded: within a
// moment, and in any case before the answer begins. Where a record is required, it
// is there before the upstream is asked.
func (r *Record) Allow() error {
	required := r.required()
	r.decision.allowed = true
	switch {
	case r.recorder.Audit == nil && required:
		r.decision.allowed = false
		return unrecorded(errNoAuditLog)
	case r.recorder.Audit == nil:
		return nil
	}
	r.decision.recorded = true
	r.decision.written = r.recorder.add(r.describe)
	if !required {
		return nil
	}
	if err := r.Await(); err != nil {
		r.decision.allowed = false
		return unrecorded(err)
	}
	return nil
}

// Refuse records that a request is refused with e, and returns what the caller is
// told: something else than e where a record is required and cannot be.
func (r *Record) Refuse(e *apierr.Error) *apierr.Error {
	if r.recorder.Audit == nil || !r.decision.made || r.decision.allowed || r.decision.recorded {
		return e
	}
	r.decision.recorded = true
	r.decision.written = r.recorder.add(func(line *zerolog.Event) {
		r.describe(line)
		line.Int("status", e.Status).Dur("ms", time.Since(r.start)).Int("bytes", len(e.Body()))
	})
	if err := r.Await(); err != nil && r.required() { // else the log has the line, too
		return unrecorded(err)
	}
	return e
}

// Await returns once the record of the decision is written, or was not in time. It
// waits beside the write, which may hang with its disk.
func (r *Record) Await() error {
	written := r.decision.written
	if written == nil {
		return nil
	}
	r.decision.written = nil
	done := make(chan error, 1)
	go func() { done <- written() }()
	timer := time.NewTimer(recordTimeout)
	defer timer.Stop()
	var err error
	select {
	case err = <-done:
	case <-timer.C:
		err = errSlowRecord
	}
	r.decision.lost = err != nil
	return err
}

// complete adds to the record of a request that was let through what came of it.
func (r *Record) complete() {
	if r.recorder.Audit == nil || !r.decision.allowed || r.decision.lost {
		return // a line that completes no record says nothing
	}
	r.recorder.add(func(e *zerolog.Event) {
		e.Str("req_id", r.id)
		r.describeTenants(e)
		e.Str("decision", "answered")
		r.describeAnswer(e)
	})
}

// reason says why a request was refused, in a word out of a bounded set: the
// authenticator's, the limit's, or the error's type.
func reason(err error) string {
	if a, ok := errors.AsType[*auth.Error](err); ok {
		return string(a.Reason)
	}
	switch e := apierr.From(err); {
	case errors.Is(err, promql.ErrVerify):
		return "enforcement"
	case errors.Is(err, errUnrecorded):
		return "audit"
	case e.Limit != "":
		return e.Limit
	default:
		return e.Type
	}
}
