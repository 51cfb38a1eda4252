package openapi

import (
	"bytes"
	"iter"
	"strings"

	"go.yaml.in/yaml/v3"
)

// An operation is one method of one path, as the plain page lists it.
type operation struct {
	Method, Path string
	ID           string   `yaml:"operationId"`
	Summary      string   `yaml:"summary"`
	Tags         []string `yaml:"tags"`
}

// A section is a tag with its operations.
type section struct {
	Name        string `yaml:"name"`
	Description string `yaml:"description"`
	Operations  []operation
}

// contents is what the plain page and Operations need of the document.
type contents struct {
	Info struct {
		Title   string `yaml:"title"`
		Summary string `yaml:"summary"`
	} `yaml:"info"`
	Tags  []section `yaml:"tags"`
	Paths yaml.Node `yaml:"paths"`
}

// Operations yields the method and path of every operation in the document, in
// its order. Path parameters stand in braces, as in /api/v1/label/{name}/values.
func Operations() iter.Seq2[string, string] {
	return func(yield func(method, path string) bool) {
		for _, op := range parse().operations() {
			if !yield(op.Method, op.Path) {
				return
			}
		}
	}
}

// parse reads the embedded document; that it can be read is tested.
func parse() *contents {
	var c contents
	text, err := newCompressed("", nil, bytes.NewReader(document)).plain()
	if err == nil {
		err = yaml.Unmarshal(text, &c)
	}
	if err != nil {
		panic(err)
	}
	return &c
}

// operations walks the paths in the order of the text, which a map would lose.
func (c *contents) operations() []operation {
	var all []operation
	for i := 0; i+1 < len(c.Paths.Content); i += 2 {
		path, item := c.Paths.Content[i].Value, c.Paths.Content[i+1]
		for j := 0; j+1 < len(item.Content); j += 2 {
			op := operation{Method: strings.ToUpper(item.Content[j].Value), Path: path}
			if err := item.Content[j+1].Decode(&op); err != nil {
				panic(err)
			}
			all = append(all, op)
		}
	}
	return all
}

// sections are the tags in the document's order, each with its operations.
func (c *contents) sections() []section {
	all := make([]section, len(c.Tags))
	copy(all, c.Tags)
	for _, op := range c.operations() {
		for i := range all {
			if len(op.Tags) > 0 && op.Tags[0] == all[i].Name {
				all[i].Operations = append(all[i].Operations, op)
			}
		}
	}
	return all
}
