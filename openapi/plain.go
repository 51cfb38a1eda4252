package openapi

import (
	"html"
	"strings"
)

// plainPage lists the document's endpoints, for builds without Redoc. It is
// written by hand, because a template engine calls methods by name, and so keeps
// the linker from leaving out the unused ones of every package: 5 MB of them.
func plainPage() []byte {
	c := parse()
	var b strings.Builder
	for _, s := range c.sections() {
		b.WriteString("<section>\n<h2>" + html.EscapeString(s.Name) + "</h2>\n<p>" + html.EscapeString(s.Description) + "</p>\n<table>\n")
		for _, op := range s.Operations {
			b.WriteString(`<tr><td class="method">` + html.EscapeString(op.Method) +
				`</td><td class="path"><code>` + html.EscapeString(op.Path) +
				`</code></td><td>` + html.EscapeString(op.Summary) + "</td></tr>\n")
		}
		b.WriteString("</table>\n</section>\n")
	}
	page := strings.NewReplacer(
		"{{title}}", html.EscapeString(c.Info.Title),
		"{{summary}}", html.EscapeString(c.Info.Summary),
		"{{sections}}", b.String(),
	)
	return []byte(page.Replace(string(asset("plain.html"))))
}
