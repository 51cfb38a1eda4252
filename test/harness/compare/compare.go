// Package compare asks the same of two servers and spells their answers so that
// two which a client cannot tell apart are equal.
package compare

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
)

// A Question is one request.
type Question struct {
	Name   string // what it is, when its URL does not tell
	Method string
	Path   string
	Params url.Values // in the URL of a GET, in the body of a POST
	Header http.Header
	Body   string // in place of a form of Params, which are in the URL then

	Unordered bool // the engine's own order changes from run to run
	Clock     bool // the answer tells when it was made
}

// An Answer is all of it that a client sees.
type Answer struct {
	Status int
	Header map[string]string
	Body   any // decoded if it is JSON
}

func (q Question) String() string {
	text := q.Name
	if text == "" {
		text = fmt.Sprintf("%s %s?%s", q.Method, q.Path, q.Params.Encode())
		text, _ = url.QueryUnescape(text)
	}
	if len(q.Header) > 0 {
		text += fmt.Sprint(" ", q.Header)
	}
	return text
}

// Ask asks the server at base and spells its answer. Samples later than now, which
// the server has made itself meanwhile, lose their value.
func (q Question) Ask(t testing.TB, base, token string, now time.Time) Answer {
	t.Helper()
	address, body := base+q.Path, io.Reader(nil)
	switch {
	case q.Body != "":
		body = strings.NewReader(q.Body)
		if len(q.Params) > 0 {
			address += "?" + q.Params.Encode()
		}
	case q.Method == http.MethodPost:
		body = strings.NewReader(q.Params.Encode())
	case len(q.Params) > 0:
		address += "?" + q.Params.Encode()
	}
	req, err := http.NewRequestWithContext(t.Context(), q.Method, address, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	maps.Copy(req.Header, q.Header)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := unredirected.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	decoded, err := q.read(resp.Header, raw, now)
	if err != nil {
		t.Fatalf("%s: %v in %q", q, err, raw)
	}
	return Answer{resp.StatusCode, ownless(resp.Header), decoded}
}

var unredirected = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// ownHeaders are those that promfence sets in place of the upstream's, or beside
// them, on every answer; Date and Content-Length are the connection's.
var ownHeaders = []string{
	"Cache-Control", "Vary", "X-Request-Id", "X-Content-Type-Options", "Date", "Content-Length",
	"Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers",
	"Access-Control-Expose-Headers", "Access-Control-Max-Age",
}

func ownless(h http.Header) map[string]string {
	all := map[string]string{}
	for name, values := range h {
		if !slices.Contains(ownHeaders, name) {
			all[name] = strings.Join(values, ", ")
		}
	}
	return all
}

// read decodes a body by what its headers say.
func (q Question) read(h http.Header, raw []byte, now time.Time) (any, error) {
	switch h.Get("Content-Encoding") {
	case "gzip":
		zr, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			return nil, err
		}
		if raw, err = io.ReadAll(zr); err != nil {
			return nil, err
		}
	case "snappy":
		return snappy.Decode(nil, raw)
	}
	if !strings.Contains(h.Get("Content-Type"), "json") {
		return settled(string(raw), now), nil
	}
	var all []any
	for d := json.NewDecoder(bytes.NewReader(raw)); ; {
		d.UseNumber()
		var v any
		if err := d.Decode(&v); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		all = append(all, q.normal("", v))
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return all, nil
}

var sample = regexp.MustCompile(`(?m) \S+ (\d{13})$`)

// settled hides the samples of a text that a server has made itself meanwhile.
func settled(text string, now time.Time) string {
	last := fmt.Sprint(now.UnixMilli())
	return sample.ReplaceAllStringFunc(text, func(s string) string {
		if s[strings.LastIndex(s, " ")+1:] > last {
			return " now"
		}
		return s
	})
}

// moments are the members that tell when, how fast or from where a server did
// something: two servers agree in their kind only.
var moments = map[string]bool{
	"lastEvaluation": true, "evaluationTime": true, "activeAt": true, "lastScrape": true, "lastScrapeDuration": true,
	"groupNextToken": true, "evalTotalTime": true, "resultSortTime": true, "queryPreparationTime": true, "innerEvalTime": true,
	"execQueueTime": true, "execTotalTime": true, "globalUrl": true,
}

var (
	folder    = regexp.MustCompile(`^/.*/`)
	annotated = regexp.MustCompile(`\(\d+:\d+\)`) // of an annotation: it points into the enforced text
)

// normal makes two servers' answers comparable.
func (q Question) normal(name string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for member, inner := range v {
			v[member] = q.normal(member, inner)
		}
	case []any:
		for i, inner := range v {
			v[i] = q.normal(name, inner)
		}
		if q.Clock && len(v) == 2 && (name == "value" || name == "values" || name == "result") {
			if _, ok := v[0].(json.Number); ok {
				v[0] = "now"
			}
		}
		if name == "result" && q.Unordered || name == "warnings" || name == "infos" || name == "activeTargets" || name == "alerts" || q.Path == "/api/v1/series" || q.Path == "/api/v1/targets/metadata" {
			slices.SortFunc(v, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
	case json.Number:
		if moments[name] {
			return "a number"
		}
	case string:
		switch {
		case moments[name]:
			return "a text"
		case name == "file":
			return folder.ReplaceAllString(v, "")
		case name == "warnings" || name == "infos":
			return annotated.ReplaceAllString(v, "(…)")
		}
	}
	return v
}
