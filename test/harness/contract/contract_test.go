package contract_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/promfence/promfence/test/harness/contract"
)

func TestDocumentIsValidAndItsExamplesToo(t *testing.T) {
	doc, err := contract.Document()
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context(), openapi3.EnableExamplesValidation(), openapi3.EnableSchemaFormatValidation(), openapi3.EnableMultiError()); err != nil {
		t.Error(err)
	}
}

// Validate looks at schemas only; the examples of whole answers are compared
// here, with every object closed.
func TestEveryExampleMatchesItsSchema(t *testing.T) {
	doc, err := contract.Document()
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	verify := func(where string, schema *openapi3.SchemaRef, example any) {
		if example == nil || schema == nil {
			return
		}
		count++
		if err := schema.Value.VisitJSON(example, openapi3.EnableJSONSchema2020(), openapi3.MultiErrors()); err != nil {
			t.Errorf("%s: %v", where, err)
		}
	}
	for name, response := range doc.Components.Responses {
		for media, content := range response.Value.Content {
			verify(name+" "+media, content.Schema, content.Example)
			for title, example := range content.Examples {
				verify(name+" "+title, content.Schema, example.Value.Value)
			}
		}
	}
	for name, parameter := range doc.Components.Parameters {
		verify(name, parameter.Value.Schema, parameter.Value.Example)
	}
	for name, header := range doc.Components.Headers {
		verify(name, header.Value.Schema, header.Value.Example)
	}
	for name, schema := range doc.Components.Schemas {
		for _, example := range schema.Value.Examples {
			verify(name, schema, example)
		}
	}
	if count < 100 {
		t.Errorf("%d examples, want at least one for each answer, error, parameter and header", count)
	}
}

func TestEveryErrorHasAnExampleInPrometheusShape(t *testing.T) {
	doc, err := contract.Document()
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			for status, response := range op.Responses.Map() {
				media := response.Value.Content.Get("application/json")
				if status < "400" || method == http.MethodHead {
					continue
				}
				if media == nil || (media.Example == nil && len(media.Examples) == 0) || media.Schema.Ref != "#/components/schemas/Error" {
					t.Errorf("%s %s: %s has no example of an Error", method, path, status)
				}
			}
		}
	}
}

// recorder is a test that notes failures instead of failing.
type recorder struct {
	testing.TB
	failures []string
}

func (r *recorder) Helper() {}
func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

const (
	vector  = `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"job":"api"},"value":[1.5,"NaN"]}]}}`
	refusal = `{"status":"error","errorType":"unauthorized","error":"the token has expired"}`
	usual   = "Content-Type: application/json\nX-Request-Id: 1\nCache-Control: private, no-store\nVary: Authorization\n"
)

func TestExchanges(t *testing.T) {
	for name, tt := range map[string]struct {
		request string // method, target, form
		status  int
		header  string
		body    string
		want    string // in the failure, or empty
	}{
		"a vector":                    {"GET /api/v1/query?query=up", 200, usual, vector, ""},
		"at the other base":           {"GET /api/v1/metrics/query?query=up&time=1.5", 200, usual, vector, ""},
		"parameters in form and URL":  {"POST /api/v1/query?time=2026-01-01T00:00:00Z query=up", 200, usual, vector, ""},
		"all parameters in the URL":   {"POST /api/v1/series?match[]=up", 200, usual, `{"status":"success","data":[]}`, ""},
		"no request id":               {"GET /api/v1/query?query=up", 200, strings.Replace(usual, "X-Request-Id: 1\n", "", 1), vector, "X-Request-Id"},
		"an unknown field":            {"GET /api/v1/query?query=up", 200, usual, `{"status":"success","data":{"resultType":"vector","result":[]},"extra":1}`, "extra"},
		"an unknown field inside":     {"GET /api/v1/query?query=up", 200, usual, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"vale":[1,"1"]}]}}`, "vale"},
		"a number for a value":        {"GET /api/v1/query?query=up", 200, usual, `{"status":"success","data":{"resultType":"scalar","result":[1,1]}}`, "got number, want string"},
		"an unknown status":           {"GET /api/v1/query?query=up", 418, usual, refusal, "status is not supported"},
		"a missing parameter":         {"GET /api/v1/query", 200, usual, vector, "query"},
		"a missing form field":        {"POST /api/v1/query time=1", 200, usual, vector, "query"},
		"a wrong parameter":           {"GET /api/v1/series?match[]=up&limit=many", 200, usual, `{"status":"success","data":[]}`, "limit"},
		"a refused request":           {"GET /api/v1/query", 401, usual + "WWW-Authenticate: Bearer\n", refusal, ""},
		"a refusal without challenge": {"GET /api/v1/query", 401, usual, refusal, "WWW-Authenticate"},
		"a refusal in plain text":     {"GET /api/v1/query", 401, "X-Request-Id: 1\nWWW-Authenticate: Bearer\nContent-Type: text/plain\n", "no", `content type "text/plain"`},
		"a label in the path":         {"GET /api/v1/label/http%2Estatus/values", 200, usual, `{"status":"success","data":["a"]}`, ""},
		"no such endpoint":            {"GET /api/v1/admin", 404, usual, `{"status":"error","errorType":"not_found","error":"no"}`, ""},
		"a leak":                      {"GET /api/v1/admin", 200, usual, vector, "not documented"},
		"another method":              {"PUT /api/v1/query", 405, usual + "Allow: GET, POST\n", `{"status":"error","errorType":"method_not_allowed","error":"no"}`, ""},
		"no exemplars":                {"GET /api/v1/query_exemplars?query=1", 204, usual, "", ""},
		"a search":                    {"GET /api/v1/search/label_names", 200, usual + "Content-Type: application/x-ndjson; charset=utf-8\n", `{"results":[{"name":"job"}]}` + "\n" + `{"status":"success","has_more":false}` + "\n", ""},
		"a search cut off":            {"GET /api/v1/search/label_names", 200, usual + "Content-Type: application/x-ndjson; charset=utf-8\n", `{"results":[{"name":"job"}]}` + "\n", "without a trailer"},
		"metadata in a search":        {"GET /api/v1/search/metric_names", 200, usual + "Content-Type: application/x-ndjson\n", `{"results":[{"name":"up","type":"gauge","help":"h"}]}` + "\n" + `{"status":"success","has_more":false}` + "\n", ""},
		"the page":                    {"GET /docs", 200, "Content-Type: text/html\nETag: \"1\"\n", "<p>", ""},
		"an unchanged page":           {"GET /docs", 304, "ETag: \"1\"\n", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := &recorder{TB: t}
			send(t, contract.Transport(r, canned(tt.status, tt.header, tt.body)), tt.request)
			got := strings.Join(r.failures, "\n")
			if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
				t.Errorf("failure %q, want %q", got, tt.want)
			}
		})
	}
}

// canned is a transport that always gives the same answer.
func canned(status int, header, body string) http.RoundTripper {
	return transport(func(req *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		for line := range strings.Lines(header) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		if body != "" {
			if _, err := io.WriteString(w, body); err != nil {
				return nil, err
			}
		}
		resp := w.Result()
		resp.Request = req
		return resp, nil
	})
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// send sends a request written as "METHOD TARGET FORM".
func send(t *testing.T, via http.RoundTripper, request string) {
	t.Helper()
	method, rest, _ := strings.Cut(request, " ")
	target, form, _ := strings.Cut(rest, " ")
	target = strings.ReplaceAll(strings.ReplaceAll(target, "[", url.QueryEscape("[")), "]", url.QueryEscape("]"))
	req, err := http.NewRequestWithContext(context.Background(), method, "http://promfence"+target, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	if form != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := via.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
}
