// Package openapi holds the description of promfence's API and serves it, as a
// document for programs and as pages for people.
//
// All of them are public. The package stops two threats. The first is a script or a
// style that is not promfence's and runs in a page of the origin to which browsers send
// tokens: everything that the pages need is in the binary, and a strict content security
// policy runs no script from anywhere else. The second is a document that says something
// else than what is served: Operations lets a test compare the document with the routes.
package openapi

import (
	"bytes"
	"embed"
	"net/http"
	"sync"
)

//go:generate sh -c "go run ./generate source > openapi.new && mv openapi.new openapi.yaml && gzip -9 -n -c openapi.yaml > openapi.yaml.gz"

// document is openapi.yaml, in a tenth of its size.
//
//go:embed openapi.yaml.gz
var document []byte

// pageFiles holds the page; redocFiles also the program that renders it, where
// `make redoc` has fetched it. A build without it serves a plain page.
var (
	//go:embed page
	pageFiles embed.FS
	//go:embed redoc
	redocFiles embed.FS
)

// redocFile is Redoc, compressed, as redoc.mk leaves it.
const redocFile = "redoc/redoc.standalone.js.gz"

// Handler serves /openapi.yaml and /docs with what the page loads from below
// /docs/. It answers GET and HEAD, and 404 to every other path. Paths are
// compared as they stand, without a redirect.
func Handler() http.Handler { return pages() }

// pages are made once: nothing in them changes while the program runs.
var pages = sync.OnceValue(func() http.Handler {
	return handler(embedded(redocFiles, redocFile)) // nil where it was not fetched: the page is plain
})

// handler is Handler with the given compressed Redoc, or a plain page without.
func handler(redoc content) http.Handler {
	files := files{
		"/openapi.yaml": newCompressed("application/yaml", fixed("default-src 'none'"), bytes.NewReader(document)),
	}
	if redoc == nil {
		files["/docs"] = newFile("text/html; charset=utf-8", fixed(plainPolicy), plainPage())
		files["/docs/plain.css"] = newFile("text/css; charset=utf-8", fixed(plainPolicy), asset("plain.css"))
		return files
	}
	files["/docs"] = newFile("text/html; charset=utf-8", fixed(redocPolicy), asset("redoc.html"))
	files["/docs/redoc.css"] = newFile("text/css; charset=utf-8", fixed(redocPolicy), asset("redoc.css"))
	files["/docs/init.js"] = newFile("text/javascript; charset=utf-8", fixed(redocPolicy), asset("init.js"))
	files["/docs/redoc.js"] = newCompressed("text/javascript; charset=utf-8", fixed(redocPolicy), redoc)
	return files
}

// The content security policies: nothing from elsewhere, no script or style in
// the page itself, no form, no frame around it. Redoc starts its search index as
// a worker from a blob, and adds two style elements: one that it leaves empty
// and fills rule by rule, which is no inline style, and one with a fixed text.
// The hashes are those of the two, for the version that redoc.mk pins.
const (
	commonPolicy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	plainPolicy  = commonPolicy + "; style-src 'self'"
	redocPolicy  = commonPolicy + "; script-src 'self'; connect-src 'self'; worker-src blob:; img-src data:; " +
		"style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' 'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='"
)

// fixed is a policy that is the same for every answer.
func fixed(policy string) func() string { return func() string { return policy } }

// asset is a file of the page directory, which the compiler put there.
func asset(name string) []byte {
	b, err := pageFiles.ReadFile("page/" + name)
	if err != nil {
		panic(err)
	}
	return b
}
