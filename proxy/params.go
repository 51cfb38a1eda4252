package proxy

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
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
func readParams(w http.ResponseWriter, r *http.Request, route *Route, maxBody int64) (params, error) {
	body, err := readForm(w, r, maxBody)
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
		size += len(p.name) + len(p.value) + len(p.value)/2 + 2
	}
	b := make([]byte, 0, size)
	for i, p := range ps {
		if i > 0 {
			b = append(b, '&')
		}
		b = appendEscaped(b, p.name)
		b = append(b, '=')
		b = appendEscaped(b, p.value)
	}
	return string(b)
}

// appendEscaped spells s as url.QueryEscape does, in one pass.
func appendEscaped(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		switch c := s[i]; {
		case isWord(c) || c == '-' || c == '.' || c == '~':
			b = append(b, c)
		case c == ' ':
			b = append(b, '+')
		default:
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return b
}

// readForm returns the form in a POST's body; every other method has none.
func readForm(w http.ResponseWriter, r *http.Request, maxBody int64) (string, error) {
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return "", nil
	}
	if r.Method != http.MethodPost {
		// An upstream may or may not read it: refused, unless it turns out empty.
		body, err := readBody(w, r, 1)
		if err != nil || len(body) > 0 {
			return "", badData("a body is not accepted with %s", r.Method)
		}
		return "", nil
	}
	body, err := readBody(w, r, maxBody)
	if err != nil || len(body) == 0 {
		return "", err
	}
	if !isForm(r.Header) {
		return "", failure(http.StatusUnsupportedMediaType, "want Content-Type: application/x-www-form-urlencoded, without Content-Encoding")
	}
	return string(body), nil
}

// protobuf is the media type of remote read.
const protobuf = "application/x-protobuf"

// readProtobuf returns the body of a remote-read request, still compressed.
func readProtobuf(w http.ResponseWriter, r *http.Request, maxBody int64) ([]byte, error) {
	types, encodings := r.Header.Values("Content-Type"), r.Header.Values("Content-Encoding")
	mediaType := ""
	if len(types) == 1 {
		mediaType, _, _ = mime.ParseMediaType(types[0]) // a broken one is not protobuf
	}
	if mediaType != protobuf || len(encodings) != 1 || !strings.EqualFold(encodings[0], "snappy") {
		return nil, failure(http.StatusUnsupportedMediaType, "want Content-Type: %s and Content-Encoding: snappy", protobuf)
	}
	return readBody(w, r, maxBody)
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
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	rc := http.NewResponseController(w)
	// A writer without deadlines (a test's recorder) has no slow peer either.
	_ = rc.SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := readAll(io.LimitReader(r.Body, limit+1), r.ContentLength)
	if err != nil || r.ProtoMajor > 1 { // else net/http has done so at the body's end
		_ = rc.SetReadDeadline(time.Time{})
	}
	switch {
	case isTimeout(err):
		return nil, &apiError{Status: http.StatusRequestTimeout, Type: "timeout", Message: "the request's body took too long to arrive", Err: err}
	case err != nil:
		return nil, &apiError{Status: http.StatusBadRequest, Type: "bad_data", Message: "the request's body could not be read", Err: err}
	case int64(len(body)) > limit:
		return nil, tooLarge(limit)
	}
	return body, nil
}

// readAll is io.ReadAll with room for what is announced.
func readAll(src io.Reader, length int64) ([]byte, error) {
	b := bytes.NewBuffer(make([]byte, 0, max(0, length)+bytes.MinRead))
	_, err := b.ReadFrom(src)
	return b.Bytes(), err
}

func tooLarge(limit int64) error {
	return overLimit("max_body_bytes", http.StatusRequestEntityTooLarge, "the request's body is larger than %d bytes", limit)
}
