package proxy

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// maxParams bounds the parameters of one request, known and unknown.
const maxParams = 1000

// bodyTimeout is how long a request's body may take to arrive.
const bodyTimeout = 3 * time.Second

// A param is one decoded parameter. Names ending in [] may come many times.
type param struct{ name, value string }

// params are a request's known parameters: those of the URL, then those of the
// body, in one list. There is no second copy that nobody scoped.
type params []param

func multiple(name string) bool { return strings.HasSuffix(name, "[]") }

// readParams merges URL and body. It refuses what two parsers could read
// differently (";", a body on GET, a single-valued parameter with two values)
// and drops what the row does not name.
func readParams(x *exchange, r *http.Request, route *Route, maxBody int64) (params, error) {
	body, err := readForm(x, r, maxBody)
	if err != nil {
		return nil, err
	}
	ps := make(params, 0, 8)
	count := 0
	for _, raw := range []string{r.URL.RawQuery, body} {
		if ps, err = ps.scan(raw, route, &count); err != nil {
			return nil, err
		}
	}
	return ps, nil
}

func (ps params) scan(raw string, route *Route, count *int) (params, error) {
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		if *count++; *count > maxParams {
			return nil, badData("too many parameters: at most %d are accepted", maxParams)
		}
		if strings.Contains(pair, ";") {
			return nil, badData(`";" is not accepted between parameters: separate them with "&", or write %%3B inside a value`)
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return nil, badData("a parameter's name is not valid percent-encoding")
		}
		value, err = url.QueryUnescape(value)
		if err != nil {
			return nil, badData("invalid parameter %q: not valid percent-encoding", clip(name))
		}
		if !route.knows(name) {
			continue
		}
		if !multiple(name) {
			if old, ok := ps.lookup(name); ok {
				if old != value {
					return nil, badData("parameter %q was sent twice with different values", name)
				}
				continue
			}
		}
		ps = append(ps, param{name, value})
	}
	return ps, nil
}

// clip keeps a caller's long text out of our answers.
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

// readForm returns the form in a POST's body; every other method has none.
func readForm(x *exchange, r *http.Request, maxBody int64) (string, error) {
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return "", nil
	}
	if r.Method != http.MethodPost {
		// An upstream may or may not read it: refused, unless it turns out empty.
		body, err := readBody(x, r, 1)
		if err != nil || len(body) > 0 {
			return "", badData("a body is not accepted with %s", r.Method)
		}
		return "", nil
	}
	body, err := readBody(x, r, maxBody)
	if err != nil || body == "" {
		return "", err
	}
	if !isForm(r.Header) {
		return "", failure(http.StatusUnsupportedMediaType, "want Content-Type: application/x-www-form-urlencoded, without Content-Encoding")
	}
	return body, nil
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
	body, err := readBody(x, r, maxBody)
	return []byte(body), err
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

// readBody reads a body of at most limit bytes that arrives within bodyTimeout.
func readBody(x *exchange, r *http.Request, limit int64) (string, error) {
	if r.ContentLength > limit {
		return "", tooLarge(limit)
	}
	rc := http.NewResponseController(x.ResponseWriter)
	// A writer without deadlines (a test's recorder) has no slow peer either.
	_ = rc.SetReadDeadline(time.Now().Add(bodyTimeout))
	buf, _ := bodies.Get().(*bytes.Buffer)
	defer putBack(buf)
	src := io.Reader(r.Body)
	if r.ContentLength < 0 { // else net/http reads no more than was announced
		src = io.LimitReader(src, limit+1)
	}
	_, err := buf.ReadFrom(src)
	if err != nil || r.ProtoMajor > 1 { // else net/http has done so at the body's end
		_ = rc.SetReadDeadline(time.Time{})
	}
	switch {
	case isTimeout(err):
		return "", &apiError{Status: http.StatusRequestTimeout, Type: "timeout", Message: "the request's body took too long to arrive", Err: err}
	case err != nil:
		return "", &apiError{Status: http.StatusBadRequest, Type: "bad_data", Message: "the request's body could not be read", Err: err}
	case int64(buf.Len()) > limit:
		return "", tooLarge(limit)
	}
	x.unread = false
	return buf.String(), nil
}

// bodies lends the buffers that bodies are read into.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// keptBody bounds what a pooled buffer holds on to.
const keptBody = 64 << 10

func putBack(buf *bytes.Buffer) {
	if buf.Cap() <= keptBody {
		buf.Reset()
		bodies.Put(buf)
	}
}

func tooLarge(limit int64) error {
	return overLimit("max_body_bytes", http.StatusRequestEntityTooLarge, "the request's body is larger than %d bytes", limit)
}
