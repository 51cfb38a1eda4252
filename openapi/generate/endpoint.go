package main

import (
	"cmp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

func (e endpoint) hasBody() bool { return e.Post || !e.Body.IsZero() }

// pathItem is the endpoint at one base path; alias tells Prometheus's own.
func (e endpoint) pathItem(alias bool) *yaml.Node {
	item := mapping()
	method := cmp.Or(e.Method, "get")
	add(item, method, e.operation(method, alias))
	if e.Post {
		add(item, "post", e.operation("post", alias))
	}
	return item
}

// narrowing are the headers that every endpoint takes.
var narrowing = []string{"narrowPolicy", "narrowTenant"}

func (e endpoint) operation(method string, alias bool) *yaml.Node {
	id, tag, summary := e.ID, e.Tag, e.Summary
	if alias {
		id, tag, summary = "prom"+title(id), prometheusTag, summary+", at Prometheus's path"
	}
	asForm := e.Post && method == "post"
	if asForm {
		id, summary = id+"Post", summary+", as a form"
	}
	op := mapping()
	add(op, "operationId", text(id))
	add(op, "tags", list(tag))
	add(op, "summary", text(summary))
	add(op, "description", text(strings.TrimSpace(e.Description)+"\n\n**Tenant:** "+strings.TrimSpace(e.Enforced)+"\n"))
	params := []*yaml.Node{}
	for _, name := range narrowing {
		params = append(params, ref("parameters", name))
	}
	if !asForm {
		for _, name := range e.Parameters {
			params = append(params, ref("parameters", name))
		}
	}
	add(op, "parameters", &yaml.Node{Kind: yaml.SequenceNode, Content: params})
	if e.hasBody() && method == "post" {
		add(op, "requestBody", ref("requestBodies", title(e.ID)))
	}
	add(op, "responses", e.responses(method))
	return op
}

func (e endpoint) responses(method string) *yaml.Node {
	all := mapping()
	add(all, "200", ref("responses", title(e.ID)))
	if e.Empty != "" {
		none := mapping()
		add(none, "description", text(e.Empty))
		add(none, "headers", headers())
		add(all, "204", none)
	}
	statuses := e.Errors
	if statuses == nil {
		statuses = usualErrors
	}
	for _, status := range statuses {
		if status == 415 && method != "post" {
			continue // there is no body to be of the wrong type
		}
		add(all, strconv.Itoa(status), ref("responses", errorResponses[status]))
	}
	return all
}

// response is the endpoint's answer with status 200.
func (e endpoint) response() *yaml.Node {
	if e.Data == "" {
		return plain(&e.Success)
	}
	media := mapping()
	add(media, "schema", ref("schemas", title(e.ID)+"Response"))
	add(media, "examples", plain(&e.Examples))
	content := mapping()
	add(content, "application/json", media)
	r := mapping()
	add(r, "description", text("The answer."))
	add(r, "headers", headers())
	add(r, "content", content)
	return r
}

// envelope is what Prometheus wraps around every data.
func (e endpoint) envelope() *yaml.Node {
	status := mapping()
	add(status, "type", text("string"))
	add(status, "const", text("success"))
	properties := mapping()
	add(properties, "status", status)
	add(properties, "data", ref("schemas", e.Data))
	add(properties, "warnings", ref("schemas", "Warnings"))
	add(properties, "infos", ref("schemas", "Infos"))
	s := mapping()
	add(s, "type", text("object"))
	add(s, "required", list("status", "data"))
	add(s, "properties", properties)
	return s
}

// requestBody is the endpoint's own body, or its parameters as a form.
func (e endpoint) requestBody(parameters *yaml.Node) *yaml.Node {
	if !e.Body.IsZero() {
		return plain(&e.Body)
	}
	properties := mapping()
	var required []string
	for _, key := range e.Parameters {
		p := find(parameters, key)
		name := find(p, "name").Value
		property := plain(find(p, "schema"))
		add(property, "description", plain(find(p, "description")))
		if example := find(p, "example"); example != nil && find(property, "examples") == nil {
			add(property, "examples", &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle, Content: []*yaml.Node{plain(example)}})
		}
		property.Style = 0
		add(properties, name, property)
		if r := find(p, "required"); r != nil && r.Value == "true" {
			required = append(required, name)
		}
	}
	schema := mapping()
	add(schema, "type", text("object"))
	if required != nil {
		add(schema, "required", list(required...))
	}
	add(schema, "properties", properties)
	media := mapping()
	add(media, "schema", schema)
	content := mapping()
	add(content, "application/x-www-form-urlencoded", media)
	body := mapping()
	if required != nil {
		add(body, "required", &yaml.Node{Kind: yaml.ScalarNode, Value: "true"})
	}
	add(body, "content", content)
	return body
}

func headers() *yaml.Node {
	h := mapping()
	for _, name := range []string{"X-Request-Id", "Cache-Control", "Vary"} {
		add(h, name, ref("headers", name))
	}
	return h
}
