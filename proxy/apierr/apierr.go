// Package apierr is the one error that every room of proxy fails with, as every
// Prometheus client knows it.
//
// It stops one threat: a cause that reaches the caller. What a caller reads is
// Message, which is written by us for them; the cause, in Err, is for the log. An
// error that this package does not know is a bare 500: its text, which may name an
// address, a token or another tenant, goes nowhere. Write renders an error once,
// with the headers that its status needs, so that no handler can forget one.
package apierr

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/promfence/promfence/auth"
)

// An Error is a failed request. The caller reads Status, Type and Message; the
// log reads Err.
type Error struct {
	Status     int
	Type       string        // Prometheus's errorType: bad_data, unauthorized, …
	Message    string        // for the caller: no token, key, address or other tenant
	Allow      []string      // with 405: the methods that exist
	RetryAfter time.Duration // with 429 and 503
	Limit      string        // the setting of the section limits that refused
	Err        error         // for the log
}

// Error is the text for the log, with the cause.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New makes an Error of a status and a text for the caller.
func New(status int, format string, args ...any) *Error {
	return &Error{Status: status, Type: typeOf(status), Message: fmt.Sprintf(format, args...)}
}

// BadData makes a 400: the caller sent something that cannot be used.
func BadData(format string, args ...any) *Error {
	return New(http.StatusBadRequest, format, args...)
}

// Internal makes a 500 that keeps the cause for the log: the caller learns only
// that it was not their fault.
func Internal(cause error) *Error {
	return New(http.StatusInternalServerError, "promfence could not handle this request; its log has the cause under this X-Request-Id").Because(cause)
}

// Because keeps the cause of an error that was just made, for the log.
func (e *Error) Because(cause error) *Error {
	e.Err = cause
	return e
}

// OverLimit names the setting of the section limits that refused.
func (e *Error) OverLimit(setting string) *Error {
	e.Limit = setting
	return e
}

// From finds the Error in err, or makes one: an *auth.Error becomes a 401, 403 or
// 503, and whatever else it is a bare 500.
func From(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*auth.Error](err); ok {
		return fromAuth(e)
	}
	return Internal(err)
}

func fromAuth(e *auth.Error) *Error {
	status := http.StatusUnauthorized
	switch e.Reason {
	case auth.BadTenant, auth.BadPolicy:
		status = http.StatusForbidden
	case auth.BadHeader:
		status = http.StatusBadRequest
	case auth.Unavailable:
		status = http.StatusServiceUnavailable
	}
	f := New(status, "%s", e.Message)
	if status == http.StatusUnauthorized {
		f.Message += "; see /docs"
	}
	f.RetryAfter, f.Err = e.RetryAfter, e
	return f
}

// errorTypes names the errorType of every status that promfence answers with.
var errorTypes = map[int]string{
	http.StatusBadRequest:            "bad_data",
	http.StatusUnauthorized:          "unauthorized",
	http.StatusForbidden:             "forbidden",
	http.StatusNotFound:              "not_found",
	http.StatusMethodNotAllowed:      "method_not_allowed",
	http.StatusRequestTimeout:        "timeout",
	http.StatusRequestEntityTooLarge: "too_large",
	http.StatusUnsupportedMediaType:  "unsupported_media_type",
	http.StatusUnprocessableEntity:   "execution",
	http.StatusTooManyRequests:       "too_many_requests",
	http.StatusInternalServerError:   "internal",
	http.StatusBadGateway:            "bad_gateway",
	http.StatusServiceUnavailable:    "unavailable",
	http.StatusGatewayTimeout:        "timeout",
}

// typeOf is the errorType of a status, also of one that only upstreams answer with.
func typeOf(status int) string {
	if t, ok := errorTypes[status]; ok {
		return t
	}
	if status < http.StatusInternalServerError {
		return "bad_data"
	}
	return "internal"
}

// WithID names the request in the text of a 5xx, whose cause its caller can only ask an
// operator for: a Grafana panel shows no headers.
func (e *Error) WithID(id string) *Error {
	if e.Status < http.StatusInternalServerError {
		return e
	}
	named := *e
	named.Message += " (X-Request-Id: " + id + ")"
	return &named
}

// Write renders the error as Prometheus's JSON, with the headers that its status
// needs. An answer must not have begun.
func (e *Error) Write(w http.ResponseWriter) {
	h := w.Header()
	switch {
	case e.Status == http.StatusUnauthorized:
		h.Set("WWW-Authenticate", e.challenge())
	case e.Status == http.StatusMethodNotAllowed:
		h.Set("Allow", strings.Join(e.Allow, ", "))
	case e.RetryAfter > 0:
		h.Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
	}
	body := e.Body()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(e.Status)
	_, _ = w.Write(body) // the caller may be gone: the access line tells the bytes
}

// challenge is a Bearer challenge (RFC 6750 section 3), which no browser answers with
// a login form. A request without a credential is told of no error.
func (e *Error) challenge() string {
	if a, ok := errors.AsType[*auth.Error](e.Err); ok && a.Reason == auth.Missing {
		return "Bearer"
	}
	return `Bearer error="invalid_token"`
}

// Body is the JSON that Write writes.
func (e *Error) Body() []byte {
	body, err := json.Marshal(struct {
		Status    string `json:"status"`
		ErrorType string `json:"errorType"`
		Error     string `json:"error"`
	}{"error", e.Type, e.Message})
	if err != nil { // three strings always marshal
		panic(err)
	}
	return body
}

// Clip keeps a long text, of a caller or an upstream, out of answers and the log.
func Clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
