package main

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

func mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode} }

// text is a string, quoted by the encoder where it would read as something else.
func text(s string) *yaml.Node {
	var n yaml.Node
	n.SetString(s)
	return &n
}

func list(items ...string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, item := range items {
		n.Content = append(n.Content, text(item))
	}
	return n
}

func ref(kind, name string) *yaml.Node {
	n := mapping()
	n.Style = yaml.FlowStyle
	add(n, "$ref", text("#/components/"+kind+"/"+name))
	return n
}

func add(m *yaml.Node, key string, value *yaml.Node) {
	m.Content = append(m.Content, text(key), value)
}

// find returns the value of a mapping's key, or nil.
func find(m *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i+1]
		}
	}
	return nil
}

// plain is a deep copy without anchors and aliases: many readers of OpenAPI
// documents have none.
func plain(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return plain(n.Alias)
	}
	c := *n
	c.Anchor = ""
	c.Content = make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		c.Content[i] = plain(child)
	}
	return &c
}

func title(id string) string { return strings.ToUpper(id[:1]) + id[1:] }

// merge adds a path's methods to those that it has.
func merge(paths *yaml.Node, path string, item *yaml.Node) {
	if known := find(paths, path); known != nil {
		known.Content = append(known.Content, item.Content...)
		return
	}
	add(paths, path, item)
}
