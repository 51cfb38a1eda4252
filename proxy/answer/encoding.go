package answer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"sync"

	"github.com/klauspost/compress/gzip"

	"github.com/promfence/promfence/proxy/apierr"
)

// Plain undoes the encoding of an answer.
func Plain(resp *http.Response) (io.Reader, error) {
	switch encoding := resp.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		return resp.Body, nil
	case "gzip":
		return gzip.NewReader(resp.Body)
	default:
		return nil, fmt.Errorf("%w: Content-Encoding %q", errUnfiltered, apierr.Clip(encoding))
	}
}

// Hide puts w into the way of an answer that its caller reads as it comes. An answer
// that the upstream compressed is compressed again behind it: what cannot be read
// cannot be vouched for. Samples have no warnings. A text that is not empty is added
// to the answer's warnings. An answer that names no type gets one: net/http would
// guess, and might find HTML.
func (w *Warnings) Hide(resp *http.Response, samples bool, added string) error {
	contentType := resp.Header.Get("Content-Type")
	types := jsonTypes
	if samples {
		types = sampleTypes
	}
	mediaType, ok := answerType(contentType, types)
	if !ok {
		return Unfilterable(fmt.Errorf("Content-Type %q", apierr.Clip(contentType)))
	}
	if len(resp.Header["Content-Type"]) == 0 {
		resp.Header["Content-Type"] = unnamed(samples)
	}
	if samples {
		return nil
	}
	src, err := Plain(resp)
	if err != nil {
		return Unfilterable(err)
	}
	if resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 {
		src = &whole{src: src}
	}
	src = w.meter.meter(src, w.metering)
	w.src, w.Closer, w.errors = src, resp.Body, mediaType == "application/x-ndjson"
	out := io.Reader(w)
	if added != "" && !w.errors { // lines have no one place for it
		out = newWarner(w, added)
	}
	zipped := resp.Header.Get("Content-Encoding") == "gzip"
	if out == w && !zipped {
		resp.Body = w
		return nil
	}
	if zipped {
		out = newGzipReader(out)
	}
	resp.Header.Del("Content-Length")
	resp.ContentLength = -1
	resp.Body = struct {
		io.Reader
		io.Closer
	}{out, w}
	return nil
}

// What an answer may be: a login page or a format that nobody asked for is not.
// A server that names no type has JSON guessed as one of the last two.
var (
	jsonTypes   = []string{"application/json", "application/x-ndjson", "text/json", "text/plain", "application/octet-stream"}
	sampleTypes = []string{"text/plain", "application/openmetrics-text", "application/vnd.google.protobuf", "application/x-protobuf", "application/x-streamed-protobuf"}
)

// unnamed is the type of an answer that names none.
func unnamed(samples bool) []string {
	if samples {
		return []string{"application/octet-stream"}
	}
	return []string{"application/json"}
}

// isJSON reports whether an answer may be JSON, by its Content-Type.
func isJSON(contentType string) bool {
	_, ok := answerType(contentType, jsonTypes)
	return ok
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
