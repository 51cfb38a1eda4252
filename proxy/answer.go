package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/promfence/promfence/proxy/answer"
	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/filter"
	"github.com/promfence/promfence/proxy/upstream"
)

// answerHeaders are the upstream's headers that reach the caller. Its CORS,
// caching, cookie, challenge and redirect headers do not.
var answerHeaders = []string{"Content-Type", "Content-Encoding", "Content-Length", "Date", "Retry-After"}

var nosniff = []string{"nosniff"}

// Take narrows an answer and gives the caller those of its headers that are on the
// list. It is called by upstream's Forward; ReverseProxy, which would copy all headers, finds none.
func (x *exchange) Take(resp *http.Response) error {
	if err := x.proxy.narrow(resp, x); err != nil {
		return err
	}
	if !x.route.Guard.Filters() { // a filtered answer is ready as far as it is held
		if err := answer.Hold(resp); err != nil {
			return cutShort(err)
		}
	}
	h := x.Header()
	for _, name := range answerHeaders {
		if v := resp.Header[name]; len(v) > 0 {
			h[name] = v[:1:1]
		}
	}
	h["X-Content-Type-Options"] = nosniff
	resp.Header = nil
	return nil
}

// Fail answers with what went wrong at the upstream, or on the way.
func (x *exchange) Fail(err error) { x.proxy.fail(x, upstream.Failure(err)) }

// narrow is what happens to every answer before the caller sees a byte of it:
// errors in our words, the row's filter. An answer that we cannot place is an
// answer that nobody gets.
func (p *Proxy) narrow(resp *http.Response, x *exchange) error {
	x.record.Responded(resp.StatusCode)
	if resp.StatusCode < http.StatusBadRequest {
		resp.Header.Del("Retry-After") // narrowError reads it of an error
	}
	if len(resp.Header.Get("Date")) != len(http.TimeFormat) {
		resp.Header.Del("Date") // net/http adds one
	}
	x.answer.ReadCloser, x.answer.x = resp.Body, x
	resp.Body = &x.answer
	filters := x.route.Guard.Filters()
	switch {
	case resp.StatusCode == http.StatusNoContent: // nothing, so nobody's
		resp.Header.Del("Content-Encoding")
		resp.Header.Del("Content-Length")
		return nil
	case resp.StatusCode >= http.StatusBadRequest:
		return p.narrowError(resp, x)
	case resp.StatusCode < http.StatusOK || resp.StatusCode >= http.StatusMultipleChoices, filters && resp.StatusCode != http.StatusOK:
		return apierr.New(http.StatusBadGateway, "the upstream gave an answer that is not one of its query API").
			Because(fmt.Errorf("status %d, Location %q", resp.StatusCode, apierr.Clip(resp.Header.Get("Location"))))
	case x.route.Streams:
		if err := x.warnings.Hide(resp, false, ""); err != nil {
			return err
		}
		return p.filterAnswer(resp, x)
	case filters:
		return p.filterAnswer(resp, x)
	}
	warning := x.warning
	if resp.StatusCode != http.StatusOK {
		warning = ""
	}
	return x.warnings.Hide(resp, x.route.Formats, warning)
}

// filterAnswer puts the row's filter into the answer's way.
func (p *Proxy) filterAnswer(resp *http.Response, x *exchange) error {
	view := p.questions.View
	if x.route.Alerting() {
		view = p.questions.AlertingView
	}
	err := answer.Filter(resp, x.route.Streams, x.route.Guard.filter, func(ctx context.Context) filter.View {
		v := view(ctx, x.record.ID(), x.enforcer)
		v.Params = x.params.Values()
		return v
	})
	if err == nil {
		resp.Body = &answerBody{ReadCloser: resp.Body, x: x}
	}
	return err
}

// narrowError keeps an upstream error's status and type, and its text if it speaks of
// the query.
func (p *Proxy) narrowError(resp *http.Response, x *exchange) error {
	if x.route.Alerting() {
		return p.alerting.Error(resp)
	}
	e, hidden := answer.Error(resp, x.limited...)
	if hidden {
		p.recorder.HideText()
	}
	if resp.StatusCode == http.StatusMethodNotAllowed {
		// The row has another method, or the upstream lacks the endpoint.
		e.Allow = slices.DeleteFunc(slices.Clone(x.route.Methods), func(m string) bool { return m == x.record.Method() })
	}
	return e
}

// An answerBody is an upstream's answer on its way. It tells the access line
// when the answer was cut short.
type answerBody struct {
	io.ReadCloser
	x *exchange
}

func (b *answerBody) Read(buf []byte) (int, error) {
	n, err := b.ReadCloser.Read(buf)
	if err != nil && err != io.EOF {
		b.x.record.Failed(fmt.Errorf("the answer was cut short: %w", err))
	}
	return n, err
}

// cutShort is an answer that broke off before its caller got anything of it.
func cutShort(err error) error {
	e, said := errors.AsType[*apierr.Error](err)
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case said:
		return e
	}
	return apierr.New(http.StatusBadGateway, "the upstream broke off its answer").Because(err)
}
