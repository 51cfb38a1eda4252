package answer

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/promfence/promfence/proxy/apierr"
)

const (
	maxError      = 64 << 10 // bytes that are read of an upstream's error
	maxErrorLog   = 4 << 10  // bytes of them in the log
	maxRetryAfter = 3600     // seconds
)

// Error is what a caller may know of an upstream's error; hidden tells that its text
// is not among it. Sent are limits that the upstream was asked to enforce.
func Error(resp *http.Response, sent ...SentLimit) (e *apierr.Error, hidden bool) {
	status := resp.StatusCode
	var body struct{ Status, ErrorType, Error string }
	raw := errorText(resp)
	said := string(raw) // not every server says it in JSON
	if json.Unmarshal(raw, &body) == nil && body.Status == "error" {
		said = body.Error
	} else {
		body.ErrorType, body.Error = "", ""
	}
	e = apierr.New(status, "%s", body.Error).Because(fmt.Errorf("upstream: %d %s", status, logged(raw)))
	if knownTypes[body.ErrorType] {
		e.Type = body.ErrorType
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		// The upstream doubts promfence, not the caller, whose token is fine.
		e.Status, e.Type, e.Message, hidden = http.StatusBadGateway, "bad_gateway", fixedSentence(status), true
	default:
		if !speaksOfQuery(status, body.ErrorType, body.Error) {
			e.Message, e.Limit = limitSentence(said, sent)
			hidden = true
		} else if text := settingAbove(e.Message, sent); text != "" {
			e.Message = text
		}
		if e.Message == "" {
			e.Message = fixedSentence(status)
		}
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 && seconds <= maxRetryAfter {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e, hidden
}

// errorText reads an error's body, bounded, whatever the encoding that the caller asked for.
func errorText(resp *http.Response) []byte {
	src, err := Plain(resp)
	if err != nil {
		return nil
	}
	raw, err := io.ReadAll(io.LimitReader(src, maxError))
	if err != nil {
		return nil
	}
	return raw
}

func logged(raw []byte) string {
	if len(raw) > maxErrorLog {
		return string(raw[:maxErrorLog]) + "…"
	}
	return string(raw)
}

// knownTypes are the errorTypes of Prometheus and of Thanos.
var knownTypes = map[string]bool{
	"timeout": true, "canceled": true, "execution": true, "bad_data": true, "internal": true, "cost_limit": true,
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
	case status == http.StatusUnprocessableEntity, status == statusCanceled, status == http.StatusServiceUnavailable && errorType == "timeout":
		for _, prefix := range engineTexts {
			if strings.HasPrefix(text, prefix) {
				return true
			}
		}
		return durationText.MatchString(text) || strings.TrimPrefix(text, "expanding series: ") == "context deadline exceeded" // the caller's timeout
	}
	return false
}

// statusCanceled is what Prometheus says of a query that was canceled.
const statusCanceled = 499
