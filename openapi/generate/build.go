package main

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// preamble is the document's first lines.
const preamble = "# Generated from source/ by go generate; edit it there.\n"

// The base paths: the product's own, and Prometheus's.
const (
	metricsBase    = "/api/v1/metrics"
	prometheusBase = "/api/v1"
	prometheusTag  = "Prometheus's own paths"
)

// usualErrors are the error responses of every endpoint that needs a token.
var usualErrors = []int{400, 401, 403, 404, 405, 408, 413, 415, 422, 429, 500, 501, 502, 503, 504}

// errorResponses names the component of each error status.
var errorResponses = map[int]string{
	400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 405: "MethodNotAllowed", 408: "RequestTimeout",
	413: "TooLarge", 415: "UnsupportedMediaType", 422: "Unprocessable", 429: "TooManyRequests", 500: "Internal",
	501: "NotImplemented", 502: "BadGateway", 503: "Unavailable", 504: "GatewayTimeout",
}

// An endpoint is an entry of source/endpoints.yaml, whose head explains it.
type endpoint struct {
	ID          string    `yaml:"id"`
	Path        string    `yaml:"path"`
	Alias       string    `yaml:"alias"`
	Base        string    `yaml:"base"`
	Method      string    `yaml:"method"`
	Post        bool      `yaml:"post"`
	Tag         string    `yaml:"tag"`
	Summary     string    `yaml:"summary"`
	Description string    `yaml:"description"`
	Enforced    string    `yaml:"enforced"`
	Parameters  []string  `yaml:"parameters"`
	Body        yaml.Node `yaml:"body"`
	Data        string    `yaml:"data"`
	Empty       string    `yaml:"empty"`
	Examples    yaml.Node `yaml:"examples"`
	Success     yaml.Node `yaml:"success"`
	Errors      []int     `yaml:"errors"`
}

// sources are the parsed files of the source directory.
type sources struct {
	document, components, parameters, schemas, service *yaml.Node
	endpoints                                          []endpoint
}

// build makes the document from the files that read returns.
func build(read func(name string) ([]byte, error)) ([]byte, error) {
	src, err := load(read)
	if err != nil {
		return nil, err
	}
	own, alias, others := mapping(), mapping(), mapping()
	responses := find(src.components, "responses")
	bodies := mapping()
	for _, e := range src.endpoints {
		if err := e.check(src); err != nil {
			return nil, fmt.Errorf("endpoint %q: %w", e.ID, err)
		}
		add(responses, title(e.ID), e.response())
		if e.Data != "" {
			add(src.schemas, title(e.ID)+"Response", e.envelope())
		}
		if e.hasBody() {
			add(bodies, title(e.ID), e.requestBody(src.parameters))
		}
		if e.Base != "" {
			merge(others, e.Base+e.Path, e.pathItem(false))
			continue
		}
		add(own, metricsBase+e.Path, e.pathItem(false))
		switch e.Alias {
		case "-":
		case "":
			add(alias, prometheusBase+e.Path, e.pathItem(true))
		default:
			add(alias, e.Alias, e.pathItem(true))
		}
	}
	paths := mapping()
	paths.Content = slices.Concat(own.Content, alias.Content, others.Content, src.service.Content)
	add(src.document, "paths", paths)
	add(src.components, "parameters", src.parameters)
	add(src.components, "requestBodies", bodies)
	add(src.components, "schemas", src.schemas)
	add(src.document, "components", src.components)
	return encode(src.document)
}

func load(read func(string) ([]byte, error)) (*sources, error) {
	var src sources
	for name, into := range map[string]**yaml.Node{
		"document.yaml": &src.document, "components.yaml": &src.components, "parameters.yaml": &src.parameters,
		"schemas.yaml": &src.schemas, "service.yaml": &src.service,
	} {
		var file yaml.Node
		if err := decode(read, name, &file); err != nil {
			return nil, err
		}
		if len(file.Content) != 1 || file.Content[0].Kind != yaml.MappingNode {
			return nil, fmt.Errorf("%s: want a mapping", name)
		}
		*into = file.Content[0]
		(*into).HeadComment = ""
		if len((*into).Content) > 0 {
			(*into).Content[0].HeadComment = ""
		}
	}
	return &src, decode(read, "endpoints.yaml", &src.endpoints)
}

func decode(read func(string) ([]byte, error), name string, into any) error {
	text, err := read(name)
	if err != nil {
		return err
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func encode(doc *yaml.Node) ([]byte, error) {
	out := bytes.NewBufferString(preamble)
	e := yaml.NewEncoder(out)
	e.SetIndent(2)
	if err := e.Encode(doc); err != nil {
		return nil, err
	}
	return out.Bytes(), e.Close()
}

// check finds what would otherwise be a reference to nothing.
func (e endpoint) check(src *sources) error {
	for _, name := range e.Parameters {
		if find(src.parameters, name) == nil {
			return fmt.Errorf("no parameter %q in parameters.yaml", name)
		}
	}
	if (e.Data == "") == e.Success.IsZero() {
		return fmt.Errorf("want either data or success")
	}
	if e.Data != "" && find(src.schemas, e.Data) == nil {
		return fmt.Errorf("no schema %q in schemas.yaml", e.Data)
	}
	for _, status := range e.Errors {
		if errorResponses[status] == "" {
			return fmt.Errorf("no response for status %s", strconv.Itoa(status))
		}
	}
	return nil
}
