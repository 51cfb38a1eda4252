package proxy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/promfence/promfence/proxy/apierr"
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
		x.route.Filter != nil && resp.StatusCode != http.StatusOK:
		e := failure(http.StatusBadGateway, "the upstream gave an answer that is not one of its query API")
		e.Err = fmt.Errorf("status %d, Location %q", resp.StatusCode, clip(resp.Header.Get("Location")))
		return e
	case x.route.Filter != nil:
		return p.filterAnswer(resp, x)
	}
	return p.hideWarnings(resp, x)
}

// maxErrorBody bounds what is read of an upstream's error.
const maxErrorBody = 64 << 10

// narrowError keeps an upstream error's status and type. Its text passes when
// it speaks of the query; others name label sets and addresses of stores, so
// they go to the log and a fixed sentence to the caller.
func (p *Proxy) narrowError(resp *http.Response, x *exchange) error {
	status := resp.StatusCode
	var body struct{ Status, ErrorType, Error string }
	raw := readError(resp)
	if json.Unmarshal(raw, &body) != nil || body.Status != "error" {
		body.ErrorType, body.Error = "", ""
	}
	e := &apiError{Status: status, Type: body.ErrorType, Message: body.Error, Err: fmt.Errorf("upstream: %d %s", status, clipLog(string(raw)))}
	if !knownTypes[e.Type] {
		e.Type = apierr.TypeOf(status)
	}
	if !speaksOfQuery(status, body.ErrorType, body.Error) {
		p.metrics.hidden.Inc()
		e.Message = fixedSentence(status)
	}
	if status == http.StatusUnauthorized || status == http.StatusProxyAuthRequired {
		// The upstream doubts promfence, not the caller, whose token is fine.
		e.Status, e.Type = http.StatusBadGateway, "bad_gateway"
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 && seconds <= 3600 {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	if status == http.StatusMethodNotAllowed {
		// The row has another method, or the upstream lacks the endpoint.
		e.Allow = slices.DeleteFunc(slices.Clone(x.route.Methods), func(m string) bool { return m == x.scoped.r.Method })
	}
	return e
}

// readError reads an error's body whatever the encoding that the caller asked for.
func readError(resp *http.Response) []byte {
	src, err := plainBody(resp)
	if err != nil {
		return nil
	}
	raw, err := io.ReadAll(io.LimitReader(src, maxErrorBody))
	if err != nil {
		return nil
	}
	return raw
}

// knownTypes are the errorTypes of Prometheus and of Thanos.
var knownTypes = map[string]bool{
	"timeout": true, "canceled": true, "execution": true, "bad_data": true, "internal": true,
	"unavailable": true, "not_found": true, "not_acceptable": true, "too_many_requests": true,
}

func fixedSentence(status int) string {
	switch status {
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return "the upstream does not serve this endpoint, or has nothing to show there"
	case http.StatusTooManyRequests:
		return "the upstream has too many requests to handle: try again later"
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return "the upstream refused promfence; its operator finds the cause in the log under this X-Request-Id"
	case http.StatusGatewayTimeout, http.StatusRequestTimeout:
		return "the upstream did not answer in time"
	}
	return "the upstream could not answer this request; promfence's log has its message under this X-Request-Id"
}

// engineTexts begin the messages with which a query engine speaks of the query
// itself or of series that the query selected.
var engineTexts = []string{
	"query processing would load too many samples into memory in ",
	"query timed out in ",
	"query was canceled in ",
	"vector cannot contain metrics with the same labelset",
	"found duplicate series for the match group ",
	"multiple matches for labels: ",
	"Parameter value is NaN",
	"Scalar value ",
	"Ratio value is NaN",
	"invalid label name ",
	"invalid destination label name in ",
	"invalid source label name in ",
	"invalid regular expression in ",
	"anchored modifier ",
	"smoothed modifier ",
	"exceeded maximum resolution of ",
	"invalid smoothing factor. Expected: ",
	"invalid trend factor. Expected: ",
	"native histograms are not supported in extended range functions", // Thanos
}

// speaksOfQuery reports whether an upstream's error text may reach the caller.
func speaksOfQuery(status int, errorType, text string) bool {
	switch {
	case text == "":
		return false
	case status == http.StatusBadRequest:
		return errorType == "bad_data"
	case status == http.StatusUnprocessableEntity, status == statusClientGone, status == http.StatusServiceUnavailable && errorType == "timeout":
		for _, prefix := range engineTexts {
			if strings.HasPrefix(text, prefix) {
				return true
			}
		}
		return durationText(text) || strings.TrimPrefix(text, "expanding series: ") == "context deadline exceeded" // the caller's timeout
	}
	return false
}

// durationText recognizes the engine's messages on duration expressions, which
// begin with their position: "6:9: division by zero".
func durationText(text string) bool {
	rest := strings.TrimLeft(text, "0123456789:")
	for _, end := range []string{" duration is ", " duration must be ", " division by zero", " modulo by zero"} {
		if rest != text && strings.HasPrefix(rest, end) {
			return true
		}
	}
	return false
}
