package openapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// files serve fixed contents by their paths.
type files map[string]*file

// A file is a fixed content in two forms, compressed and not.
type file struct {
	contentType string
	policy      func() string // the content security policy
	tag         string        // names the content, without quotes
	gzipped     content
	plain       func() ([]byte, error)
}

// A content can be read by many at a time. What is embedded is read where it lies:
// ReadFile would hold a copy of it for as long as the program runs.
type content interface {
	io.ReaderAt
	Size() int64
}

// embedded is a file that the compiler put into the program, or nil.
func embedded(files fs.FS, name string) content {
	f, err := files.Open(name)
	if err != nil {
		return nil
	}
	at, ok := f.(io.ReaderAt)
	info, err := f.Stat()
	if !ok || err != nil {
		return nil
	}
	return io.NewSectionReader(at, 0, info.Size())
}

func newFile(contentType string, policy func() string, content []byte) *file {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		panic(err) // the level is a constant
	}
	_, _ = z.Write(content) // a bytes.Buffer takes everything
	_ = z.Close()
	f := newCompressed(contentType, policy, bytes.NewReader(b.Bytes()))
	f.plain = func() ([]byte, error) { return content, nil }
	return f
}

// newCompressed is a file that was compressed beforehand. Few clients want it
// otherwise, so it is decompressed when the first of them asks.
func newCompressed(contentType string, policy func() string, gzipped content) *file {
	all := func() io.Reader { return io.NewSectionReader(gzipped, 0, gzipped.Size()) }
	sum := sha256.New()
	_, _ = io.Copy(sum, all()) // neither memory nor a hash fails
	return &file{
		contentType: contentType,
		policy:      policy,
		tag:         hex.EncodeToString(sum.Sum(nil)[:8]),
		gzipped:     gzipped,
		plain: sync.OnceValues(func() ([]byte, error) {
			z, err := gzip.NewReader(all())
			if err != nil {
				return nil, err
			}
			return io.ReadAll(z)
		}),
	}
}

func (fs files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := fs[r.URL.EscapedPath()]
	switch {
	case f == nil:
		fail(w, http.StatusNotFound, "not_found", "no such page: see /docs and /openapi.yaml")
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		fail(w, http.StatusMethodNotAllowed, "method_not_allowed", "only GET and HEAD are served here")
	default:
		f.serve(w, r)
	}
}

func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Content-Security-Policy", f.policy())
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache") // kept, and asked about each time
	h.Add("Vary", "Accept-Encoding")
	body, tag := f.gzipped, f.tag+"-gzip"
	if acceptsGzip(r.Header) {
		h.Set("Content-Encoding", "gzip")
	} else {
		plain, err := f.plain()
		if err != nil {
			fail(w, http.StatusInternalServerError, "internal", "the page cannot be decompressed")
			return
		}
		body, tag = bytes.NewReader(plain), f.tag
	}
	h.Set("ETag", `"`+tag+`"`)
	h.Set("Content-Length", strconv.FormatInt(body.Size(), 10))
	http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(body, 0, body.Size()))
}

// acceptsGzip reads Accept-Encoding (RFC 9110 section 12.5.3).
func acceptsGzip(h http.Header) bool {
	accepted := false
	for item := range strings.SplitSeq(strings.Join(h.Values("Accept-Encoding"), ","), ",") {
		coding, params, _ := strings.Cut(item, ";")
		refused := isZero(params)
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip", "x-gzip":
			return !refused
		case "*":
			accepted = !refused
		}
	}
	return accepted
}

// isZero tells a quality of zero, which refuses.
func isZero(params string) bool {
	name, value, _ := strings.Cut(params, "=")
	if !strings.EqualFold(strings.TrimSpace(name), "q") {
		return false
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	return err != nil || q <= 0
}

// fail writes a failure in the API's own shape. The texts are constants.
func fail(w http.ResponseWriter, status int, errorType, message string) {
	h := w.Header()
	h.Del("Content-Encoding")
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"status":"error","errorType":%q,"error":%q}`, errorType, message)
}
