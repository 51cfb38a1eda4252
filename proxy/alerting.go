package proxy

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/answer"
	"github.com/promfence/promfence/proxy/scope"
	"github.com/promfence/promfence/proxy/silence"
	"github.com/promfence/promfence/proxy/upstream"
)

// Alerting is the Alertmanager behind the rows below /alertmanager.
type Alerting struct {
	URL        *url.URL // as Options.Upstream
	Timeout    time.Duration
	Header     http.Header // promfence's own credentials
	TLS        *tls.Config // nil = Go's defaults
	Write      bool        // silences may be written, by those who may
	MaxSilence time.Duration
}

// An alertmanager is a second upstream, with connections of its own. The zero value
// is none: its rows do not exist.
type alertmanager struct {
	client *upstream.Client
	write  bool
	limits silence.Limits
}

// alertingConnections are kept open to Alertmanager: nobody's dashboard asks it often.
const alertingConnections = 16

func newAlertmanager(o *Alerting) alertmanager {
	if o == nil {
		return alertmanager{}
	}
	limits := scope.AlertingLimits
	limits.Duration = o.MaxSilence
	return alertmanager{
		client: upstream.New(upstream.Options{URL: o.URL, Timeout: o.Timeout, Header: o.Header, TLS: o.TLS, MaxIdleConnections: alertingConnections}),
		write:  o.Write, limits: limits,
	}
}

// writer is on whose behalf a silence of this request is written.
func (a alertmanager) writer(x *exchange) scope.Writer {
	id := x.record.Identity()
	w := scope.Writer{Subject: id.Subject, Limits: a.limits}
	if a.write {
		w.Labels = id.Silences
	}
	return w
}

// allows says what a caller may do with silences: read or write them, or nothing where
// there is no Alertmanager.
func (a alertmanager) allows(x *exchange) string {
	switch w := a.writer(x); {
	case a.client == nil:
		return ""
	case w.Labels.IsZero() || w.Subject == "":
		return "read"
	}
	return policy.SilencesWrite
}

func (a alertmanager) close() {
	if a.client != nil {
		a.client.Close()
	}
}

// writeSilence sends what creates, replaces or ends a silence. What it replaces or
// ends is read first. The answer is promfence's own.
func writeSilence(p *Proxy, x *exchange, r *http.Request, req scope.Request) error {
	ctx := r.Context()
	path := x.route.upstreamPath(x.silence)
	if id := req.Unseen(); id != "" {
		found, err := p.readSilenceFirst(ctx, x, id)
		if err != nil {
			return err
		}
		if req, err = req.Seen(found); err != nil {
			return err
		}
	}
	x.record.Asked()
	resp, err := p.alerting.client.Ask(ctx, upstream.Call{
		Request: req, Kind: upstream.Filtered, Method: r.Method, Path: path, ID: x.idHeader[:], Span: x.record.Span(),
	})
	if err != nil {
		return upstream.Failure(err)
	}
	defer func() { _ = resp.Body.Close() }()
	x.record.Responded(resp.StatusCode)
	if resp.StatusCode != http.StatusOK {
		return p.alertingError(resp)
	}
	if r.Method == http.MethodDelete {
		x.WriteHeader(http.StatusOK)
		return nil
	}
	var made struct {
		SilenceID string `json:"silenceID"`
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxMade))
	if err == nil {
		err = json.Unmarshal(raw, &made)
	}
	if err != nil || !silence.ValidID(made.SilenceID) {
		return answer.Unfilterable(errors.Join(errors.New("no silenceID"), err))
	}
	x.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(x, `{"silenceID":%q}`, made.SilenceID) // the caller may be gone
	return nil
}

// readSilenceFirst reads the silence that a request replaces or ends, as it is now.
func (p *Proxy) readSilenceFirst(ctx context.Context, x *exchange, id string) ([]byte, error) {
	req, err := scope.LeaveToFilter(nil).Narrow(scope.Input{Enforcer: x.enforcer})
	if err != nil {
		return nil, err
	}
	resp, err := p.alerting.client.Ask(ctx, upstream.Call{
		Request: req, Kind: upstream.Filtered, Method: http.MethodGet, Path: alertingAPI + "/silence/" + id, ID: x.idHeader[:],
	})
	if err != nil {
		return nil, upstream.Failure(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, p.alertingError(resp)
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

// alertingError is what a caller may know of an error of Alertmanager: that there is
// no such silence, in the words for one that is somebody else's.
func (p *Proxy) alertingError(resp *http.Response) error {
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
		p.recorder.HideText()
	}
	return e
}

// silence is the id of the silence in a row's path.
func (r *Route) silence(segment string) string {
	if r == nil || !r.Alerting() {
		return ""
	}
	return strings.Clone(segment) // a record may outlive its request
}
