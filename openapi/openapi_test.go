package openapi_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/openapi"
)

// fakeRedoc stands in for the real one, which a build may lack.
const fakeRedoc = "window.Redoc = {init() {}};\n"

func compressed(t *testing.T, text string) *bytes.Reader {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(b.Bytes())
}

func variants(t *testing.T) map[string]http.Handler {
	return map[string]http.Handler{
		"with Redoc":    openapi.HandlerWith(compressed(t, fakeRedoc)),
		"without Redoc": openapi.HandlerWith(nil),
		"as built":      openapi.Handler(),
	}
}

// An answer is what came back, its body decompressed.
type answer struct {
	status int
	header http.Header
	body   string
}

func ask(t *testing.T, h http.Handler, method, path string, header ...string) answer {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body := io.Reader(w.Body)
	if w.Header().Get("Content-Encoding") == "gzip" && w.Body.Len() > 0 {
		z, err := gzip.NewReader(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		body = z
	}
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{w.Code, w.Header(), string(text)}
}

func TestDocumentAndPageAreServedInBothVariants(t *testing.T) {
	for name, h := range variants(t) {
		t.Run(name, func(t *testing.T) {
			doc := ask(t, h, "GET", "/openapi.yaml")
			if doc.status != 200 || doc.header.Get("Content-Type") != "application/yaml" {
				t.Errorf("/openapi.yaml: %d %q", doc.status, doc.header.Get("Content-Type"))
			}
			if !strings.Contains(doc.body, "\nopenapi: 3.1.0\n") {
				t.Error("/openapi.yaml is not the document")
			}
			page := ask(t, h, "GET", "/docs")
			if page.status != 200 || !strings.HasPrefix(page.header.Get("Content-Type"), "text/html") {
				t.Errorf("/docs: %d %q", page.status, page.header.Get("Content-Type"))
			}
		})
	}
}

// The page's own links must be served, and none may lead the browser elsewhere.
func TestPageLoadsOnlyWhatIsServedHere(t *testing.T) {
	link := regexp.MustCompile(`(?:src|href)="([^"]*)"`)
	for name, h := range variants(t) {
		t.Run(name, func(t *testing.T) {
			text := ask(t, h, "GET", "/docs").body
			for _, found := range link.FindAllStringSubmatch(text, -1) {
				if found[1] == "data:," {
					continue
				}
				if got := ask(t, h, "GET", "/"+found[1]).status; got != 200 {
					t.Errorf("the page refers to %q, which is answered with %d", found[1], got)
				}
			}
			if strings.Contains(text, "//") {
				t.Error("the page names another server")
			}
			if strings.Contains(text, "<style") || regexp.MustCompile(`<script(?:>|[^>]*>[^<])`).MatchString(text) {
				t.Error("the page holds an inline style or script")
			}
		})
	}
}

func TestPolicyAllowsNothingFromElsewhere(t *testing.T) {
	for name, h := range variants(t) {
		for _, path := range []string{"/docs", "/docs/init.js", "/docs/redoc.js", "/docs/redoc.css", "/docs/plain.css", "/openapi.yaml"} {
			resp := ask(t, h, "GET", path)
			if resp.status == 404 {
				continue
			}
			policy := resp.header.Get("Content-Security-Policy")
			if !strings.HasPrefix(policy, "default-src 'none'") {
				t.Errorf("%s: %s: policy %q", name, path, policy)
			}
			for source := range strings.FieldsSeq(strings.ReplaceAll(policy, ";", " ; ")) {
				if strings.ContainsAny(source, ".*") || strings.Contains(source, "http") || strings.Contains(source, "unsafe") {
					t.Errorf("%s: %s: policy allows %s", name, path, source)
				}
			}
			if got := resp.header.Get("X-Content-Type-Options"); got != "nosniff" {
				t.Errorf("%s: %s: X-Content-Type-Options %q", name, path, got)
			}
		}
	}
}

func TestUnchangedContentIsNotSentAgain(t *testing.T) {
	h := openapi.HandlerWith(compressed(t, fakeRedoc))
	for _, path := range []string{"/openapi.yaml", "/docs", "/docs/redoc.js"} {
		for _, encoding := range []string{"gzip", "identity"} {
			first := ask(t, h, "GET", path, "Accept-Encoding", encoding)
			tag := first.header.Get("ETag")
			again := ask(t, h, "GET", path, "Accept-Encoding", encoding, "If-None-Match", tag)
			if again.status != http.StatusNotModified || again.body != "" {
				t.Errorf("%s as %s: %d for its own ETag %s", path, encoding, again.status, tag)
			}
			if other := ask(t, h, "GET", path, "Accept-Encoding", encoding, "If-None-Match", `"other"`); other.status != 200 {
				t.Errorf("%s as %s: %d for another ETag", path, encoding, other.status)
			}
		}
		if a, b := ask(t, h, "GET", path, "Accept-Encoding", "gzip"), ask(t, h, "GET", path); a.header.Get("ETag") == b.header.Get("ETag") {
			t.Errorf("%s: both encodings have the ETag %s", path, a.header.Get("ETag"))
		}
	}
}

func TestEncodingIsNegotiated(t *testing.T) {
	h := openapi.HandlerWith(compressed(t, fakeRedoc))
	for accept, want := range map[string]string{
		"":                    "",
		"identity":            "",
		"br":                  "",
		"gzip":                "gzip",
		"br, GZIP;q=0.5":      "gzip",
		"*":                   "gzip",
		"gzip;q=0":            "",
		"gzip; q=0.0, *":      "",
		"*;q=0":               "",
		"gzip;q=x":            "",
		"deflate, gzip ; q=1": "gzip",
	} {
		resp := ask(t, h, "GET", "/docs/redoc.js", "Accept-Encoding", accept)
		if got := resp.header.Get("Content-Encoding"); got != want {
			t.Errorf("Accept-Encoding %q: Content-Encoding %q, want %q", accept, got, want)
		}
		if diff := cmp.Diff(fakeRedoc, resp.body); diff != "" {
			t.Errorf("Accept-Encoding %q (-want +got):\n%s", accept, diff)
		}
		if got := resp.header.Get("Vary"); got != "Accept-Encoding" {
			t.Errorf("Accept-Encoding %q: Vary %q", accept, got)
		}
	}
}

func TestHeadAnswersLikeGetWithoutABody(t *testing.T) {
	h := openapi.HandlerWith(nil)
	get, head := ask(t, h, "GET", "/openapi.yaml"), ask(t, h, "HEAD", "/openapi.yaml")
	if diff := cmp.Diff(get.header, head.header); diff != "" {
		t.Errorf("headers (-GET +HEAD):\n%s", diff)
	}
	if got := head.body; got != "" {
		t.Errorf("HEAD has a body of %d bytes", len(got))
	}
}

func TestEverythingElseIsRefusedInTheAPIsShape(t *testing.T) {
	h := openapi.HandlerWith(nil)
	for _, path := range []string{"/", "/docs/", "/docs//plain.css", "/docs/../docs", "/%64ocs", "/docs/plain.html", "/openapi.yaml/", "/docs/redoc.js"} {
		resp := ask(t, h, "GET", path)
		if resp.status != 404 || !strings.Contains(resp.body, `"errorType":"not_found"`) {
			t.Errorf("%s: %d", path, resp.status)
		}
	}
	resp := ask(t, h, "POST", "/docs")
	if resp.status != 405 || resp.header.Get("Allow") != "GET, HEAD" || !strings.Contains(resp.body, `"errorType":"method_not_allowed"`) {
		t.Errorf("POST /docs: %d, Allow %q", resp.status, resp.header.Get("Allow"))
	}
}

func TestPlainPageListsEveryOperation(t *testing.T) {
	page := ask(t, openapi.HandlerWith(nil), "GET", "/docs").body
	count := 0
	for method, path := range openapi.Operations() {
		count++
		if row := `<td class="method">` + method + `</td><td class="path"><code>` + path + `</code>`; !strings.Contains(page, row) {
			t.Errorf("%s %s is not on the page", method, path)
		}
	}
	if count < 50 {
		t.Errorf("the document has %d operations, want all of them", count)
	}
}

// Whoever fetched Redoc has the real page, with nothing from other servers.
func TestFetchedRedocNamesNoOtherServerToLoadFrom(t *testing.T) {
	resp := ask(t, openapi.Handler(), "GET", "/docs/redoc.js")
	if resp.status == 404 {
		t.Log("this build has no Redoc (make redoc): its page is plain, and tested above")
		return
	}
	text := resp.body
	for _, bad := range []string{"cdn.redoc.ly", "fonts.googleapis.com", "//# sourceMappingURL"} {
		if strings.Contains(text, bad) {
			t.Errorf("redoc.js names %s", bad)
		}
	}
	if !strings.Contains(text[:4096], "MIT License") {
		t.Error("redoc.js does not begin with its license")
	}
}
