package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDocumentIsUpToDate(t *testing.T) {
	var got bytes.Buffer
	if err := run([]string{"../source"}, &got); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")); diff != "" {
		t.Errorf("run go generate ./openapi (-openapi.yaml +source):\n%s", diff)
	}
}

// TestDocumentIsCompressed holds that what is embedded is what is read.
func TestDocumentIsCompressed(t *testing.T) {
	want, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("../openapi.yaml.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, want) {
		t.Errorf("run go generate ./openapi: openapi.yaml.gz is another document (%v)", err)
	}
}

func TestMistakesInTheSourceAreNamed(t *testing.T) {
	good := map[string]string{
		"document.yaml": "openapi: 3.1.0\n", "components.yaml": "responses: {}\n", "parameters.yaml": "query: {name: query, schema: {type: string}}\n",
		"schemas.yaml": "Names: {type: array}\n", "service.yaml": "/docs: {}\n",
	}
	for name, tt := range map[string]struct{ endpoints, want string }{
		"unknown parameter":    {"[{id: labels, path: /labels, data: Names, parameters: [matcher]}]", `endpoint "labels": no parameter "matcher"`},
		"unknown schema":       {"[{id: labels, path: /labels, data: Name}]", `endpoint "labels": no schema "Name"`},
		"no answer":            {"[{id: labels, path: /labels}]", `endpoint "labels": want either data or success`},
		"unknown error status": {"[{id: labels, path: /labels, data: Names, errors: [418]}]", `no response for status 418`},
		"unknown field":        {"[{id: labels, patch: /labels}]", `field patch not found`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := build(func(file string) ([]byte, error) {
				if file == "endpoints.yaml" {
					return []byte(tt.endpoints), nil
				}
				return []byte(good[file]), nil
			})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}
