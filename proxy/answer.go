package proxy

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/promfence/promfence/proxy/answer"
)

// answerHeaders are the upstream's headers that reach the caller. Its CORS,
// caching, cookie, challenge and redirect headers do not.
var answerHeaders = []string{"Content-Type", "Content-Encoding", "Content-Length", "Date", "Retry-After"}

var nosniff = []string{"nosniff"}

// narrow is what happens to every answer before the caller sees a byte of it:
// errors in our words, the row's filter. An answer that we cannot place is an
// answer that nobody gets.
func (p *Proxy) narrow(resp *http.Response, x *exchange) error {
	x.upstream.took, x.upstream.status = time.Since(x.forwarded), resp.StatusCode
	if resp.StatusCode < http.StatusBadRequest {
		resp.Header.Del("Retry-After") // narrowError reads it of an error
	}
	if len(resp.Header.Get("Date")) != len(http.TimeFormat) {
		resp.Header.Del("Date") // net/http adds one
	}
	x.answer.ReadCloser, x.answer.x = resp.Body, x
	resp.Body = &x.answer
	switch {
	case resp.StatusCode == http.StatusNoContent: // nothing, so nobody's
		resp.Header.Del("Content-Encoding")
		resp.Header.Del("Content-Length")
		return nil
	case resp.StatusCode >= http.StatusBadRequest:
		return p.narrowError(resp, x)
	case resp.StatusCode < http.StatusOK || resp.StatusCode >= http.StatusMultipleChoices,
		x.route.Guard.filter != nil && resp.StatusCode != http.StatusOK:
		e := failure(http.StatusBadGateway, "the upstream gave an answer that is not one of its query API")
		e.Err = fmt.Errorf("status %d, Location %q", resp.StatusCode, clip(resp.Header.Get("Location")))
		return e
	case x.route.Streams:
		if err := answer.HideWarnings(resp, false, &x.warnings); err != nil {
			return err
		}
		return p.filterAnswer(resp, x)
	case x.route.Guard.filter != nil:
		return p.filterAnswer(resp, x)
	}
	return answer.HideWarnings(resp, x.route.Formats, &x.warnings)
}

// narrowError keeps an upstream error's status and type, and its text if it speaks of
// the query.
func (p *Proxy) narrowError(resp *http.Response, x *exchange) error {
	e, hidden := answer.Error(resp)
	if hidden {
		p.metrics.hidden.Inc()
	}
	if resp.StatusCode == http.StatusMethodNotAllowed {
		// The row has another method, or the upstream lacks the endpoint.
		e.Allow = slices.DeleteFunc(slices.Clone(x.route.Methods), func(m string) bool { return m == x.scoped.r.Method })
	}
	return e
}
