package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
)

const formType = "application/x-www-form-urlencoded"

// find returns the operation of a request and the parameters in its path, or
// nil. Paths are compared as they stand on the wire.
func find(doc *openapi3.T, req *http.Request) (*routers.Route, map[string]string) {
	for path, item := range doc.Paths.Map() {
		values, ok := match(path, req.URL.EscapedPath())
		if op := item.GetOperation(req.Method); ok && op != nil {
			return &routers.Route{Spec: doc, Path: path, PathItem: item, Method: req.Method, Operation: op}, values
		}
	}
	return nil, nil
}

func match(template, path string) (map[string]string, bool) {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return nil, false
	}
	values := map[string]string{}
	for i := range want {
		if name, ok := strings.CutPrefix(want[i], "{"); ok {
			value, err := url.PathUnescape(got[i])
			if err != nil {
				return nil, false
			}
			values[strings.TrimSuffix(name, "}")] = value
		} else if want[i] != got[i] {
			return nil, false
		}
	}
	return values, true
}

// merged is the request with all parameters of a form in its body, where the
// document describes them: they may stand in the URL as well.
func merged(req *http.Request) (*http.Request, error) {
	clone := req.Clone(req.Context())
	var sent []byte
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		if sent, err = io.ReadAll(body); err != nil {
			return nil, err
		}
	}
	clone.Body, clone.GetBody = io.NopCloser(bytes.NewReader(sent)), nil
	isForm := strings.HasPrefix(req.Header.Get("Content-Type"), formType)
	if req.Method != http.MethodPost || (!isForm && len(sent) > 0) {
		return clone, nil
	}
	form, err := url.ParseQuery(string(sent))
	if err != nil {
		return nil, fmt.Errorf("the form: %w", err)
	}
	all := req.URL.Query()
	for name, values := range form {
		all[name] = append(all[name], values...)
	}
	clone.URL.RawQuery = ""
	clone.Header.Set("Content-Type", formType)
	clone.Body = io.NopCloser(strings.NewReader(all.Encode()))
	return clone, nil
}

// lines checks a search's answer: each line is documented, and the last one ends
// the answer.
func lines(doc *openapi3.T, body []byte) error {
	schema := doc.Components.Schemas["SearchLine"].Value
	var last map[string]any
	for line := range bytes.Lines(body) {
		last = nil
		if err := json.Unmarshal(line, &last); err != nil {
			return fmt.Errorf("line %q: %w", line, err)
		}
		if err := schema.VisitJSON(last, openapi3.EnableJSONSchema2020()); err != nil {
			return fmt.Errorf("line %q: %w", line, err)
		}
	}
	if last["status"] == nil {
		return fmt.Errorf("the answer ends without a trailer or an error")
	}
	return nil
}
