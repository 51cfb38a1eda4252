package proxy

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

// An apiError is the only way to fail: the caller reads Message, the log reads
// Err, and write turns it into the JSON that every Prometheus client knows.
type apiError struct {
	Status     int
	Type       string        // Prometheus errorType: bad_data, unauthorized, …
	Message    string        // for the caller: no token, key, address or other tenant
	Allow      []string      // with 405: the methods that exist
	RetryAfter time.Duration // with 429 and 503
	Limit      string        // the setting of the section limits that refused
	Err        error         // for the log
}

func (e *apiError) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + ": " + e.Err.Error()
}

func (e *apiError) Unwrap() error { return e.Err }

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
	http.StatusTooManyRequests:       "too_many_requests",
	http.StatusInternalServerError:   "internal",
	http.StatusBadGateway:            "bad_gateway",
	http.StatusServiceUnavailable:    "unavailable",
	http.StatusGatewayTimeout:        "timeout",
}

func failure(status int, format string, args ...any) *apiError {
	return &apiError{Status: status, Type: errorTypes[status], Message: fmt.Sprintf(format, args...)}
}

func badData(format string, args ...any) *apiError {
	return failure(http.StatusBadRequest, format, args...)
}

// internal keeps the cause for the log: the caller learns only that it was not
// their fault.
func internal(err error) *apiError {
	e := failure(http.StatusInternalServerError, "promfence could not handle this request; its log has the cause under this X-Request-Id")
	e.Err = err
	return e
}

// asAPIError makes an apiError of any error: what is not known is a bare 500.
func asAPIError(err error) *apiError {
	if e, ok := errors.AsType[*apiError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*auth.Error](err); ok {
		return authError(e)
	}
	return internal(err)
}

func authError(e *auth.Error) *apiError {
	status := http.StatusUnauthorized
	switch e.Reason {
	case auth.BadTenant:
		status = http.StatusForbidden
	case auth.Unavailable:
		status = http.StatusServiceUnavailable
	}
	f := failure(status, "%s", e.Message)
	f.RetryAfter, f.Err = e.RetryAfter, e
	return f
}

// write renders the error, once, with the headers its status needs.
func (e *apiError) write(w http.ResponseWriter) {
	h := w.Header()
	switch {
	case e.Status == http.StatusUnauthorized:
		// RFC 6750 section 3: a Bearer challenge, which no browser answers with a login form.
		h.Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	case e.Status == http.StatusMethodNotAllowed:
		h.Set("Allow", strings.Join(e.Allow, ", "))
	case e.RetryAfter > 0:
		h.Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
	}
	body, err := json.Marshal(struct {
		Status    string `json:"status"`
		ErrorType string `json:"errorType"`
		Error     string `json:"error"`
	}{"error", e.Type, e.Message})
	if err != nil { // three strings always marshal
		panic(err)
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(e.Status)
	_, _ = w.Write(body) // the caller may be gone: the access line tells the bytes
}
