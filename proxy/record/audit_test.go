package record_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/record"
)

// A journal is an audit log whose lines are written, or not, when somebody waits.
type journal struct {
	lines   []string
	written func() error
}

func (j *journal) Append(line []byte) func() error {
	j.lines = append(j.lines, string(line))
	return j.written
}

func TestWhatMustBeRecordedAndCannotBeIsRefused(t *testing.T) {
	broken := func() error { return errors.New("disk full") }
	narrowed := caller(t, "acme")
	narrowed.AllTenants = true
	for name, tt := range map[string]struct {
		id       auth.Identity
		audit    interface{ Append([]byte) func() error }
		required bool
		changes  bool
		refused  bool
	}{
		"a tenant":                                  {caller(t, "acme"), &journal{written: broken}, false, false, false},
		"a tenant, without an audit log":            {caller(t, "acme"), nil, false, false, false},
		"a tenant where records are required":       {caller(t, "acme"), &journal{written: broken}, true, false, true},
		"all tenants":                               {everybody(t), &journal{written: broken}, false, false, true},
		"all tenants, without an audit log":         {everybody(t), nil, false, false, true},
		"whoever might see all":                     {narrowed, &journal{written: broken}, false, false, true},
		"whoever changes a silence":                 {caller(t, "acme"), &journal{written: broken}, false, true, true},
		"whoever changes one, without an audit log": {caller(t, "acme"), nil, false, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := begin(t, record.Options{Audit: tt.audit, AuditRequired: tt.required}, tt.id, nil)
			r.Route("/x", tt.changes)
			err := r.Allow()
			if (err != nil) != tt.refused || err != nil && apierr.From(err).Status != http.StatusServiceUnavailable {
				t.Errorf("let through with %v", err)
			}
		})
	}
}

// A refusal is on record as a decision is, and is another one where it cannot be.
func TestRefusalsAreRecorded(t *testing.T) {
	j := &journal{written: func() error { return errors.New("disk full") }}
	for required, want := range map[bool]int{false: http.StatusBadRequest, true: http.StatusServiceUnavailable} {
		j.lines = nil
		r := begin(t, record.Options{Audit: j, AuditRequired: required}, caller(t, "acme"), nil)
		e := apierr.BadData("no")
		r.Failed(e)
		if got := r.Refuse(e); got.Status != want || len(j.lines) != 1 {
			t.Errorf("required %v: %v, and %d records", required, got, len(j.lines))
		}
		if got := r.Refuse(e); got != e || len(j.lines) != 1 {
			t.Errorf("refused twice: %v, and %d records", got, len(j.lines))
		}
	}
}

// A line that completes no record says nothing.
func TestALostRecordIsNotCompleted(t *testing.T) {
	for want, written := range map[int]func() error{2: func() error { return nil }, 1: func() error { return errors.New("disk full") }} {
		j := &journal{written: written}
		r := begin(t, record.Options{Audit: j}, caller(t, "acme"), nil)
		if err := r.Allow(); err != nil {
			t.Fatal(err)
		}
		_ = r.Await()
		if r.End(nil, 0); len(j.lines) != want {
			t.Errorf("%d records, want %d: %v", len(j.lines), want, j.lines)
		}
	}
}

func TestARecordThatTakesTooLongIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		j := &journal{written: func() error { <-end; return nil }}
		for _, decide := range []func(*record.Record) error{
			(*record.Record).Allow,
			func(r *record.Record) error { return r.Refuse(apierr.BadData("no")) },
		} {
			start := time.Now()
			err := decide(begin(t, record.Options{Audit: j, AuditRequired: true}, caller(t, "acme"), nil))
			if took := time.Since(start); apierr.From(err).Status != http.StatusServiceUnavailable || took != time.Second {
				t.Errorf("%v after %s", err, took)
			}
		}
		// Where it need not be, the request goes on without.
		r := begin(t, record.Options{Audit: j}, caller(t, "acme"), nil)
		start := time.Now()
		if err := r.Allow(); err != nil || time.Since(start) > 0 {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		if err := r.Await(); err == nil || time.Since(start) != time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		r.End(nil, 0)
		r = begin(t, record.Options{Audit: j}, caller(t, "acme"), nil)
		start = time.Now()
		no := apierr.BadData("no")
		if e := r.Refuse(no); e != no || time.Since(start) != time.Second {
			t.Errorf("%v after %s", e, time.Since(start))
		}
		close(end)
	})
}
