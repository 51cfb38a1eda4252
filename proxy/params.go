package proxy

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

// maxParams bounds the parameters of one request, known and unknown.
const maxParams = 1000

// A param is one decoded parameter. Names ending in [] may come many times.
type param struct{ name, value string }

// params are a request's known parameters: those of the URL, then those of the
// body, in one list. There is no second copy that nobody scoped.
type params []param

func multiple(name string) bool { return strings.HasSuffix(name, "[]") }

// readParams merges URL and body. It refuses what two parsers could read
// differently (";", a body on GET, a single-valued parameter with two values)
// and drops what the row does not name: a megabyte of it is not held while the
// upstream thinks.
func readParams(x *exchange, r *http.Request, route *Route, maxBody int64) (params, error) {
	buf, _ := bodies.Get().(*scratch)
	defer putBack(buf)
	buf.WriteString(r.URL.RawQuery)
	buf.WriteByte('&')
	if err := readForm(x, r, buf, maxBody); err != nil {
		return nil, err
	}
	return scanParams(buf, route)
}

// A paramScanner reads parameters out of a buffer that is lent, and gathers the
// values of those that are known at the buffer's beginning: an unescaped text is
// never longer than the escaped one.
type paramScanner struct {
	route  *Route
	count  int
	buf    []byte
	kept   int // bytes of known values
	params params
	ends   []int // of the params' values
}

func scanParams(buf *scratch, route *Route) (params, error) {
	s := paramScanner{route: route, buf: buf.Bytes(), params: make(params, 0, 8), ends: buf.ends[:0]}
	defer func() { buf.ends = s.ends }()
	for rest := s.buf; len(rest) > 0; {
		var pair []byte
		pair, rest, _ = bytes.Cut(rest, []byte{'&'})
		if len(pair) == 0 {
			continue
		}
		if err := s.read(pair); err != nil {
			return nil, err
		}
	}
	values := string(s.buf[:s.kept]) // the only copy: what is known, and nothing beside it
	from := 0
	for i, end := range s.ends {
		s.params[i].value = values[from:end]
		from = end
	}
	return s.params, nil
}

// read takes one parameter, or drops it.
func (s *paramScanner) read(pair []byte) error {
	if s.count++; s.count > maxParams {
		return badData("too many parameters: at most %d are accepted", maxParams)
	}
	if bytes.IndexByte(pair, ';') >= 0 {
		return badData(`";" is not accepted between parameters: separate them with "&", or write %%3B inside a value`)
	}
	rawName, rawValue, _ := bytes.Cut(pair, []byte{'='})
	name, ok := unescapeTo(s.buf[s.kept:s.kept], rawName)
	if !ok {
		return badData("a parameter's name is not valid percent-encoding")
	}
	value, ok := unescapeTo(rawValue[:0], rawValue)
	if !ok {
		return badData("invalid parameter %q: not valid percent-encoding", clip(string(name)))
	}
	known, ok := s.route.param(name)
	if !ok {
		return nil
	}
	if !multiple(known) {
		for i, p := range s.params {
			if p.name != known {
				continue
			}
			if !bytes.Equal(s.value(i), value) {
				return badData("parameter %q was sent twice with different values", known)
			}
			return nil
		}
	}
	s.kept += copy(s.buf[s.kept:], value)
	s.params, s.ends = append(s.params, param{name: known}), append(s.ends, s.kept)
	return nil
}

func (s *paramScanner) value(i int) []byte {
	from := 0
	if i > 0 {
		from = s.ends[i-1]
	}
	return s.buf[from:s.ends[i]]
}

// unescapeTo appends src to dst, unescaped as url.QueryUnescape does it. dst may
// be the same memory, up to where src begins.
func unescapeTo(dst, src []byte) ([]byte, bool) {
	for i := 0; i < len(src); i++ {
		c := src[i]
		switch c {
		case '+':
			c = ' '
		case '%':
			if i+2 >= len(src) {
				return nil, false
			}
			high, ok1 := fromHex(src[i+1])
			low, ok2 := fromHex(src[i+2])
			if !ok1 || !ok2 {
				return nil, false
			}
			c, i = high<<4|low, i+2
		}
		dst = append(dst, c)
	}
	return dst, true
}

// fromHex is the value of a hexadecimal digit.
func fromHex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return (c | 0x20) - 'a' + 10, true
	}
	return 0, false
}

// clip keeps a caller's long text out of our answer.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}

func (ps params) lookup(name string) (string, bool) {
	for _, p := range ps {
		if p.name == name {
			return p.value, true
		}
	}
	return "", false
}

// values is the same list as the map that filters read.
func (ps params) values() url.Values {
	v := make(url.Values, len(ps))
	for _, p := range ps {
		v.Add(p.name, p.value)
	}
	return v
}

// without leaves the named parameters out: those that promfence applies itself.
func (ps params) without(names ...string) params {
	kept := make(params, 0, len(ps))
next:
	for _, p := range ps {
		for _, name := range names {
			if p.name == name {
				continue next
			}
		}
		kept = append(kept, p)
	}
	return kept
}

// encode spells the list as a query string or form, in our spelling throughout.
func (ps params) encode() string {
	size := 0
	for _, p := range ps {
		size += len(p.name) + len(p.value)*3/2 + len("=&") // a query's usual share of escapes
	}
	var b strings.Builder
	b.Grow(size)
	for i, p := range ps {
		if i > 0 {
			b.WriteByte('&')
		}
		writeEscaped(&b, p.name)
		b.WriteByte('=')
		writeEscaped(&b, p.value)
	}
	return b.String()
}

// unreserved are the bytes that stand for themselves (RFC 3986, section 2.3).
var unreserved = func() (set [256]bool) {
	for c := range set {
		set[c] = isWord(byte(c)) || strings.IndexByte("-.~", byte(c)) >= 0
	}
	return set
}()

// writeEscaped spells s as url.QueryEscape does.
func writeEscaped(b *strings.Builder, s string) {
	const hex = "0123456789ABCDEF"
	from := 0
	for i := range len(s) {
		c := s[i]
		if unreserved[c] {
			continue
		}
		b.WriteString(s[from:i])
		from = i + 1
		if c == ' ' {
			b.WriteByte('+')
		} else {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	b.WriteString(s[from:])
}

// readForm appends the form in a POST's body to buf; every other method has none.
func readForm(x *exchange, r *http.Request, buf *scratch, maxBody int64) error {
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	if r.Method != http.MethodPost {
		// An upstream may or may not read it: refused, unless it turns out empty.
		n, err := readBody(x, r, buf, 1)
		if err != nil || n > 0 {
			return badData("a body is not accepted with %s", r.Method)
		}
		return nil
	}
	n, err := readBody(x, r, buf, maxBody)
	if err != nil || n == 0 {
		return err
	}
	if !isForm(r.Header) {
		return failure(http.StatusUnsupportedMediaType, "want Content-Type: application/x-www-form-urlencoded, without Content-Encoding")
	}
	return nil
}

// protobuf is the media type of remote read.
const protobuf = "application/x-protobuf"

// readProtobuf returns the body of a remote-read request, still compressed.
func readProtobuf(x *exchange, r *http.Request, maxBody int64) ([]byte, error) {
	types, encodings := r.Header.Values("Content-Type"), r.Header.Values("Content-Encoding")
	mediaType := ""
	if len(types) == 1 {
		mediaType, _, _ = mime.ParseMediaType(types[0]) // a broken one is not protobuf
	}
	if mediaType != protobuf || len(encodings) != 1 || !strings.EqualFold(encodings[0], "snappy") {
		return nil, failure(http.StatusUnsupportedMediaType, "want Content-Type: %s and Content-Encoding: snappy", protobuf)
	}
	buf, _ := bodies.Get().(*scratch)
	defer putBack(buf)
	if _, err := readBody(x, r, buf, maxBody); err != nil {
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

// readBody appends a body of at most limit bytes to buf, if it arrives within
// bodyTimeout, and returns its length.
func readBody(x *exchange, r *http.Request, buf *scratch, limit int64) (int64, error) {
	if r.ContentLength > limit {
		return 0, tooLarge(limit)
	}
	rc := http.NewResponseController(x.ResponseWriter)
	src := io.Reader(&pacedReader{body: r.Body, rc: rc, end: time.Now().Add(bodyTimeout)})
	size := r.ContentLength
	if size < 0 { // else net/http reads no more than was announced
		src, size = io.LimitReader(src, limit+1), limit
	}
	n, err := buf.ReadFrom(io.LimitReader(src, keptBody))
	if err == nil && n == keptBody && size > keptBody {
		if err := x.proxy.bodies.take(x, size); err != nil {
			return 0, err
		}
		var rest int64
		rest, err = buf.ReadFrom(src)
		n += rest
	}
	if err != nil || r.ProtoMajor > 1 { // else net/http has done so at the body's end
		_ = rc.SetReadDeadline(time.Time{})
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, &apiError{Status: http.StatusRequestTimeout, Type: "timeout", Message: "the request's body took too long to arrive", Err: err}
	case err != nil:
		return 0, &apiError{Status: http.StatusBadRequest, Type: "bad_data", Message: "the request's body could not be read", Err: err}
	case n > limit:
		return 0, tooLarge(limit)
	}
	x.unread = false
	return n, nil
}

// A scratch is what parameters are read in. It is lent.
type scratch struct {
	bytes.Buffer
	ends []int // of a paramScanner
}

var bodies = sync.Pool{New: func() any { return new(scratch) }}

// keptBody bounds what a pooled buffer holds on to.
const keptBody = 64 << 10

func putBack(buf *scratch) {
	if buf.Cap() <= keptBody {
		buf.Reset()
		bodies.Put(buf)
	}
}

func tooLarge(limit int64) error {
	return overLimit("max_body_bytes", http.StatusRequestEntityTooLarge, "the request's body is larger than %d bytes", limit)
}
