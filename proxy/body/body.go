// Package body reads what a request carries: its parameters, or its body.
//
// It stops two threats. The first is a request that promfence and the upstream read
// differently, so that the upstream answers another question than the one that was
// narrowed: a body beside GET, two media types, an encoding, or a body of another type
// is refused. The second is a caller who makes promfence hold memory: a body has a
// greatest length, whatever length it announces; it may arrive slowly, but a pause ends
// it; and all large bodies together are bounded.
package body

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/scope"
)

// A Body is what one request carries. It is read once, by one of the methods.
type Body struct {
	w      http.ResponseWriter
	room   Room
	taken  int64 // of the room
	unread bool  // the body, or a part of it
}

// Of is the Body of a request that is answered by w.
func (room Room) Of(w http.ResponseWriter, r *http.Request) Body {
	return Body{w: w, room: room, unread: r.ContentLength != 0}
}

// Unread reports whether the body, or a part of it, is still to be read.
func (b *Body) Unread() bool { return b.unread }

// Params merges URL and body. It refuses what two parsers could read
// differently (";", a body on GET, a single-valued parameter with two values)
// and drops what the row does not name: a megabyte of it is not held while the
// upstream thinks.
// Of the body at most limit bytes are read.
func (b *Body) Params(r *http.Request, known []string, maxSelectors int, limit int64) (scope.Params, error) {
	buf, _ := buffers.Get().(*bytes.Buffer)
	defer putBack(buf)
	buf.WriteString(r.URL.RawQuery)
	buf.WriteByte('&')
	if err := b.readForm(r, buf, limit); err != nil {
		return nil, err
	}
	var ps scope.Params
	err := ps.Read(buf.Bytes(), known, maxSelectors)
	return ps, err
}

// readForm appends the form in a POST's body to buf; every other method has none.
func (b *Body) readForm(r *http.Request, buf *bytes.Buffer, limit int64) error {
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	if r.Method != http.MethodPost {
		// An upstream may or may not read it: refused, unless it turns out empty.
		n, err := b.read(r, buf, 1)
		if err != nil || n > 0 {
			return apierr.BadData("a body is not accepted with %s", r.Method)
		}
		return nil
	}
	n, err := b.read(r, buf, limit)
	if err != nil || n == 0 {
		return err
	}
	if !isForm(r.Header) {
		return apierr.New(http.StatusUnsupportedMediaType, "want Content-Type: application/x-www-form-urlencoded, without Content-Encoding")
	}
	return nil
}

// protobuf is the media type of remote read.
const protobuf = "application/x-protobuf"

// RemoteRead returns the body of a remote-read request, still compressed, if it has at
// most limit bytes.
func (b *Body) RemoteRead(r *http.Request, limit int64) ([]byte, error) {
	types, encodings := r.Header.Values("Content-Type"), r.Header.Values("Content-Encoding")
	mediaType := ""
	if len(types) == 1 {
		mediaType, _, _ = mime.ParseMediaType(types[0]) // a broken one is not protobuf
	}
	if mediaType != protobuf || len(encodings) != 1 || !strings.EqualFold(encodings[0], "snappy") {
		return nil, apierr.New(http.StatusUnsupportedMediaType, "want Content-Type: %s and Content-Encoding: snappy", protobuf)
	}
	return b.Bytes(r, limit)
}

// maxSilence bounds a silence's body.
const maxSilence = 64 << 10

// Silence returns the body of a silence, if it has at most limit bytes.
func (b *Body) Silence(r *http.Request, limit int64) ([]byte, error) {
	types := r.Header.Values("Content-Type")
	mediaType := ""
	if len(types) == 1 {
		mediaType, _, _ = mime.ParseMediaType(types[0]) // a broken one is not JSON
	}
	if mediaType != "application/json" || !identity(r.Header) {
		return nil, apierr.New(http.StatusUnsupportedMediaType, "want Content-Type: application/json, without Content-Encoding")
	}
	if r.Body == nil {
		return nil, apierr.BadData("want a silence in the body")
	}
	return b.Bytes(r, min(limit, maxSilence))
}

// Bytes returns a body of at most limit bytes, whatever its type.
func (b *Body) Bytes(r *http.Request, limit int64) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	buf, _ := buffers.Get().(*bytes.Buffer)
	defer putBack(buf)
	if _, err := b.read(r, buf, limit); err != nil {
		return nil, err
	}
	return bytes.Clone(buf.Bytes()), nil
}

// form is the media type of a POST's parameters.
const form = "application/x-www-form-urlencoded"

func isForm(h http.Header) bool {
	types := h.Values("Content-Type")
	if len(types) != 1 || !identity(h) {
		return false
	}
	if types[0] == form { // as most clients spell it
		return true
	}
	mediaType, ps, err := mime.ParseMediaType(types[0])
	if err != nil || mediaType != form {
		return false
	}
	delete(ps, "charset")
	return len(ps) == 0
}

func identity(h http.Header) bool {
	for _, v := range h.Values("Content-Encoding") {
		if v != "" && !strings.EqualFold(v, "identity") {
			return false
		}
	}
	return true
}

// read appends a body of at most limit bytes to buf, if it arrives within
// bodyTimeout, and returns its length.
func (b *Body) read(r *http.Request, buf *bytes.Buffer, limit int64) (int64, error) {
	if r.ContentLength > limit {
		return 0, tooLarge(limit)
	}
	paced := &pacedReader{body: r.Body, rc: *http.NewResponseController(b.w), end: time.Now().Add(bodyTimeout)}
	src := io.Reader(paced)
	size := r.ContentLength
	if size < 0 { // else net/http reads no more than was announced
		src, size = io.LimitReader(src, limit+1), limit
	}
	first := src
	if size > keptBody {
		first = io.LimitReader(src, keptBody)
	}
	n, err := buf.ReadFrom(first)
	if err == nil && n == keptBody && size > keptBody {
		if err := b.take(size); err != nil {
			return 0, err
		}
		var rest int64
		rest, err = buf.ReadFrom(src)
		n += rest
	}
	if err != nil || r.ProtoMajor > 1 { // else net/http has done so at the body's end
		_ = paced.rc.SetReadDeadline(time.Time{})
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, &apierr.Error{Status: http.StatusRequestTimeout, Type: "timeout", Message: "the request's body took too long to arrive", Err: err}
	case err != nil:
		return 0, &apierr.Error{Status: http.StatusBadRequest, Type: "bad_data", Message: "the request's body could not be read", Err: err}
	case n > limit:
		return 0, tooLarge(limit)
	}
	b.unread = false
	return n, nil
}

func tooLarge(limit int64) error {
	return apierr.New(http.StatusRequestEntityTooLarge, "the request's body is larger than %d bytes", limit).OverLimit("max_body_bytes")
}

// buffers are what bodies are read into.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// keptBody bounds what a pooled buffer holds on to.
const keptBody = 64 << 10

func putBack(buf *bytes.Buffer) {
	if buf.Cap() <= keptBody {
		buf.Reset()
		buffers.Put(buf)
	}
}
