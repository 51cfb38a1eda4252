package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

var zipped, plain = []string{"gzip"}, []string{"identity"}

// acceptEncoding is what the upstream may answer in: gzip if the caller takes
// it, or plain. Both can be read on the way.
func acceptEncoding(h http.Header) []string {
	for _, line := range h["Accept-Encoding"] {
		for coding := range strings.SplitSeq(line, ",") {
			name, q, _ := strings.Cut(coding, ";")
			if strings.EqualFold(strings.TrimSpace(name), "gzip") && !zeroQuality(q) {
				return zipped
			}
		}
	}
	return plain
}

func zeroQuality(q string) bool {
	q = strings.ReplaceAll(q, " ", "")
	return strings.HasPrefix(q, "q=0") && strings.Trim(q, "q=0.") == ""
}

// plainBody undoes the encoding of an answer.
func plainBody(resp *http.Response) (io.Reader, error) {
	switch encoding := resp.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		return resp.Body, nil
	case "gzip":
		return gzip.NewReader(resp.Body)
	default:
		return nil, fmt.Errorf("%w: Content-Encoding %q", errUnfiltered, clip(encoding))
	}
}

// hideWarnings puts a warningReader into the answer's way. An answer that the
// upstream compressed is compressed again behind it: what cannot be read cannot
// be vouched for.
func (p *Proxy) hideWarnings(resp *http.Response, x *exchange) error {
	contentType := resp.Header.Get("Content-Type")
	types := jsonTypes
	if x.route.Formats {
		types = sampleTypes
	}
	mediaType, ok := answerType(contentType, types)
	if !ok {
		return unfilterable(fmt.Errorf("Content-Type %q", clip(contentType)))
	}
	if x.route.Formats {
		return nil // samples have no warnings
	}
	src, err := plainBody(resp)
	if err != nil {
		return unfilterable(err)
	}
	w := &x.warnings
	w.src, w.Closer, w.errors = src, resp.Body, mediaType == "application/x-ndjson"
	if resp.Header.Get("Content-Encoding") != "gzip" {
		resp.Body = w
		return nil
	}
	resp.Header.Del("Content-Length")
	resp.ContentLength = -1
	resp.Body = struct {
		io.Reader
		io.Closer
	}{newGzipReader(w), w}
	return nil
}

// What an answer may be: a login page or a format that nobody asked for is not.
// A server that names no type has JSON guessed as one of the last two.
var (
	jsonTypes   = []string{"application/json", "application/x-ndjson", "text/json", "text/plain", "application/octet-stream"}
	sampleTypes = []string{"text/plain", "application/openmetrics-text", "application/vnd.google.protobuf", protobuf, "application/x-streamed-protobuf"}
)

// unnamed is the type of a row's answer that names none.
func (r *Route) unnamed() []string {
	if r.Formats {
		return []string{"application/octet-stream"}
	}
	return []string{"application/json"}
}

// answerType reports the media type of an answer, and whether it may be of it.
func answerType(contentType string, types []string) (mediaType string, ok bool) {
	if contentType == "" || slices.Contains(types, contentType) {
		return contentType, true
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	return mediaType, err == nil && slices.Contains(types, mediaType)
}

// A gzipReader compresses what it reads, and passes on with each read all that
// has come so far.
type gzipReader struct {
	src   io.Reader
	out   bytes.Buffer
	zw    *gzip.Writer
	chunk []byte
	err   error
}

const zipBuffer = 32 << 10

// gzipWriters are dear to make.
var gzipWriters = sync.Pool{New: func() any {
	zw, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil { // the level is a constant that exists
		panic(err)
	}
	return zw
}}

func newGzipReader(src io.Reader) *gzipReader {
	z := &gzipReader{src: src, chunk: make([]byte, zipBuffer)}
	z.zw, _ = gzipWriters.Get().(*gzip.Writer)
	z.zw.Reset(&z.out)
	return z
}

func (z *gzipReader) Read(p []byte) (int, error) {
	for z.out.Len() == 0 && z.err == nil {
		var n int
		n, z.err = z.src.Read(z.chunk)
		_, _ = z.zw.Write(z.chunk[:n]) // into memory: it does not fail
		if z.err == nil {
			_ = z.zw.Flush()
		} else if errors.Is(z.err, io.EOF) {
			_ = z.zw.Close()
			gzipWriters.Put(z.zw)
			z.zw = nil
		}
	}
	if z.out.Len() == 0 {
		return 0, z.err
	}
	return z.out.Read(p)
}
