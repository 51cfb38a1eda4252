// Package contract holds exchanges against the API's document.
//
// It answers one question about every request that a test sends: would somebody
// who knows nothing but openapi.yaml have expected this answer? A status, a
// header or a field that the document lacks fails the test.
package contract

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/promfence/promfence/openapi"
)

// Check fails the test unless both sides of the exchange are as documented. The
// request's parameters are checked only when the answer accepts them. body is
// the whole body of the answer.
func Check(t testing.TB, req *http.Request, resp *http.Response, body []byte) {
	t.Helper()
	report(t, req, resp, check(req, resp, body, true))
}

// CheckAnswer is Check without the request's parameters, for tests that send
// what no documented client would.
func CheckAnswer(t testing.TB, req *http.Request, resp *http.Response, body []byte) {
	t.Helper()
	report(t, req, resp, check(req, resp, body, false))
}

func report(t testing.TB, req *http.Request, resp *http.Response, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("not as documented: %s %s answered with %d: %v", req.Method, req.URL.EscapedPath(), resp.StatusCode, err)
	}
}

// Transport checks every exchange that goes through base. It reads answers
// whole, so it is not for tests of streaming.
func Transport(t testing.TB, base http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		if err := rewindable(req); err != nil {
			return nil, err
		}
		resp, err := base.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			return nil, err
		}
		Check(t, req, resp, body)
		resp.Body = io.NopCloser(bytes.NewReader(body))
		return resp, nil
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// rewindable keeps a copy of the request's body, to be read again by check.
func rewindable(req *http.Request) error {
	if req.Body == nil || req.Body == http.NoBody || req.GetBody != nil {
		return nil
	}
	sent, err := io.ReadAll(req.Body)
	if err := errors.Join(err, req.Body.Close()); err != nil {
		return err
	}
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(sent)), nil }
	req.Body, err = req.GetBody()
	return err
}

func check(req *http.Request, resp *http.Response, body []byte, request bool) error {
	doc, err := Document()
	if err != nil {
		return err
	}
	if resp.Header.Get("Content-Encoding") == "gzip" && len(body) > 0 {
		if body, err = gunzip(body); err != nil {
			return err
		}
	}
	if req.Method == http.MethodOptions { // a preflight belongs to the browser, not to the API
		return nil
	}
	route, pathParams := find(doc, req)
	if route == nil {
		return undocumented(doc, req, resp, body)
	}
	input := &openapi3filter.RequestValidationInput{
		Request: req, PathParams: pathParams, Route: route,
		Options: options(),
	}
	if err := answer(input, resp, body); err != nil {
		return err
	}
	if !request || resp.StatusCode >= 300 {
		return nil
	}
	if input.Request, err = merged(req); err != nil {
		return err
	}
	if err := openapi3filter.ValidateRequest(req.Context(), input); err != nil {
		return fmt.Errorf("the request was accepted: %w", err)
	}
	return nil
}

// undocumented allows what the document says of endpoints that don't exist: a
// documented error.
func undocumented(doc *openapi3.T, req *http.Request, resp *http.Response, body []byte) error {
	if resp.StatusCode < 400 {
		return errors.New("the endpoint is not documented")
	}
	model := doc.Paths.Find("/api/v1/metrics/query").Post
	return answer(&openapi3filter.RequestValidationInput{
		Request: req, Route: &routers.Route{Spec: doc, Operation: model},
		Options: options(),
	}, resp, body)
}

func options() *openapi3filter.Options {
	o := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true}
	o.WithCustomSchemaErrorFunc(func(err *openapi3.SchemaError) string { return err.Reason })
	return o
}

// answer checks status, headers and body. Bodies other than JSON are only
// checked for their content type, searches line by line.
func answer(input *openapi3filter.RequestValidationInput, resp *http.Response, body []byte) error {
	opts := *input.Options
	media, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	documented := input.Route.Operation.Responses.Status(resp.StatusCode)
	if media != "application/json" && documented != nil {
		opts.ExcludeResponseBody = true
		if content := documented.Value.Content; len(content) > 0 && content.Get(media) == nil && input.Request.Method != http.MethodHead {
			return fmt.Errorf("content type %q is not documented", media)
		}
		if len(documented.Value.Content) == 0 && len(body) > 0 {
			return fmt.Errorf("a body of %d bytes is not documented", len(body))
		}
		if media == "application/x-ndjson" {
			if err := lines(input.Route.Spec, body); err != nil {
				return err
			}
		}
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: resp.StatusCode, Header: resp.Header, Options: &opts,
	}
	return openapi3filter.ValidateResponse(context.Background(), in.SetBodyBytes(body))
}

func gunzip(body []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// Document is the API's document as it is served, with every object closed: a
// field that it doesn't name is an error here. Clients, in contrast, are to
// ignore such fields.
var Document = sync.OnceValues(func() (*openapi3.T, error) {
	w := httptest.NewRecorder()
	openapi.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/openapi.yaml", nil))
	doc, err := openapi3.NewLoader().LoadFromData(w.Body.Bytes())
	if err != nil {
		return nil, err
	}
	for _, schema := range doc.Components.Schemas {
		closeObjects(schema.Value, map[*openapi3.Schema]bool{})
	}
	return doc, nil
})

func closeObjects(s *openapi3.Schema, seen map[*openapi3.Schema]bool) {
	if s == nil || seen[s] {
		return
	}
	seen[s] = true
	open := s.AdditionalProperties
	if s.Type.Includes("object") && open.Has == nil && open.Schema == nil {
		s.AdditionalProperties.Has = new(bool)
	}
	for _, ref := range s.Properties {
		closeObjects(ref.Value, seen)
	}
	if s.Items != nil {
		closeObjects(s.Items.Value, seen)
	}
	if open.Schema != nil {
		closeObjects(open.Schema.Value, seen)
	}
}
