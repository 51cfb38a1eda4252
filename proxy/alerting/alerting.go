// Package alerting writes silences, and says what a caller may know of Alertmanager.
//
// It stops two threats: a silence that hushes or ends what is somebody else's, and an
// error of Alertmanager that tells of others. What a request replaces or ends is read
// first, and held against the caller's label policy by the scope.Request that is then
// sent; the answer is promfence's own; a silence that the caller may not see does not
// exist, in the same words as one that nobody has.
package alerting

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/promfence/promfence/auth"
	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/answer"
	"github.com/promfence/promfence/proxy/promql"
	"github.com/promfence/promfence/proxy/scope"
	"github.com/promfence/promfence/proxy/silence"
	"github.com/promfence/promfence/proxy/upstream"
)

// Options are what a Manager is made of.
type Options struct {
	URL        *url.URL // scheme, host and an optional path prefix; or unix and a socket's path
	Timeout    time.Duration
	Header     http.Header // promfence's own credentials
	TLS        *tls.Config // nil = Go's defaults
	Write      bool        // silences may be written, by those who may
	MaxSilence time.Duration
}

// A Manager is an Alertmanager: a second upstream, with connections of its own. The zero
// value is none: its rows do not exist.
type Manager struct {
	Client  *upstream.Client // nil = none
	write   bool
	longest time.Duration // of a silence
	hidden  func()
}

// connections are kept open to Alertmanager: nobody's dashboard asks it often.
const connections = 16

// New makes a Manager, or the zero one of nil. Hidden counts a text that the caller does
// not get.
func New(o *Options, hidden func()) Manager {
	if o == nil {
		return Manager{}
	}
	return Manager{
		Client: upstream.New(upstream.Options{URL: o.URL, Timeout: o.Timeout, Header: o.Header, TLS: o.TLS, MaxIdleConnections: connections}),
		write:  o.Write, longest: o.MaxSilence, hidden: hidden,
	}
}

// Sign says in the input of a row that changes a silence on whose behalf it does.
func (m Manager) Sign(in *scope.Input, id auth.Identity) {
	in.Author, in.Longest = id.Subject, m.longest
	if m.write {
		in.Silences = id.Silences
	}
}

// Allows says what a caller may do with silences: read or write them, or nothing where
// there is no Alertmanager.
func (m Manager) Allows(id auth.Identity) string {
	var in scope.Input
	switch m.Sign(&in, id); {
	case m.Client == nil:
		return ""
	case in.Silences.IsZero() || in.Author == "":
		return "read"
	}
	return policy.SilencesWrite
}

// Close gives up the connections.
func (m Manager) Close() {
	if m.Client != nil {
		m.Client.Close()
	}
}

// A witness is told when a change is sent, and when it is answered.
type witness interface {
	Asked()
	Responded(status int)
}

// Change creates, replaces or ends a silence on behalf of the label policy whose enforcer
// is e. It returns the id of the silence that was written; "" if one was ended. What it
// replaces or ends is read first.
func (m Manager) Change(ctx context.Context, c upstream.Call, e *promql.Enforcer, w witness) (id string, err error) {
	if id := c.Request.Unseen(); id != "" {
		found, err := m.readFirst(ctx, e, c.ID, id)
		if err != nil {
			return "", err
		}
		if c.Request, err = c.Request.Seen(found); err != nil {
			return "", err
		}
	}
	w.Asked()
	c.Streams = false
	resp, err := m.Client.Ask(ctx, c)
	if err != nil {
		return "", upstream.Failure(err)
	}
	defer func() { _ = resp.Body.Close() }()
	w.Responded(resp.StatusCode)
	if resp.StatusCode != http.StatusOK {
		return "", m.Error(resp)
	}
	if c.Method == http.MethodDelete {
		return "", nil
	}
	var made struct {
		SilenceID string `json:"silenceID"`
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxMade))
	if err == nil {
		err = json.Unmarshal(raw, &made)
	}
	if err != nil || !silence.ValidID(made.SilenceID) {
		return "", answer.Unfilterable(errors.Join(errors.New("no silenceID"), err))
	}
	return made.SilenceID, nil
}

// readFirst reads the silence that a change replaces or ends, as it is now.
func (m Manager) readFirst(ctx context.Context, e *promql.Enforcer, requestID []string, id string) ([]byte, error) {
	req, err := scope.LeaveToFilter(nil).Narrow(scope.Input{Enforcer: e})
	if err != nil {
		return nil, err
	}
	resp, err := m.Client.Ask(ctx, upstream.Call{
		Request: req, Method: http.MethodGet, Path: "/api/v2/silence/" + id, ID: requestID,
	})
	if err != nil {
		return nil, upstream.Failure(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, m.Error(resp)
	}
	src, err := answer.Plain(resp)
	if err != nil {
		return nil, answer.Unfilterable(err)
	}
	raw, err := io.ReadAll(io.LimitReader(src, maxSeen+1))
	if err != nil {
		return nil, upstream.Failure(err)
	}
	if len(raw) > maxSeen {
		return nil, silence.NotFound() // promfence has not written it
	}
	return raw, nil
}

// maxMade bounds what Alertmanager answers about a silence that it took.
const maxMade = 64 << 10

// maxSeen bounds a silence that is looked at.
const maxSeen = 1 << 20

// Error is what a caller may know of an error of Alertmanager: that there is
// no such silence, in the words for one that is somebody else's.
func (m Manager) Error(resp *http.Response) error {
	e, hidden := answer.Error(resp)
	switch resp.StatusCode {
	case http.StatusNotFound:
		none := silence.NotFound()
		none.Err = e.Err
		return none
	case http.StatusBadRequest:
		e.Message = "Alertmanager does not take this silence or filter; promfence's log has its message under this X-Request-Id"
	}
	if hidden {
		m.hidden()
	}
	return e
}
