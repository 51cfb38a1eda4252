package openapi

import (
	"bytes"
	"html/template"
)

// plainPage lists the document's endpoints, for builds without Redoc.
func plainPage() []byte {
	c := parse()
	t := template.Must(template.New("plain.html").ParseFS(pageFiles, "page/plain.html"))
	var b bytes.Buffer
	if err := t.Execute(&b, map[string]any{"Info": c.Info, "Sections": c.sections()}); err != nil {
		panic(err)
	}
	return b.Bytes()
}
