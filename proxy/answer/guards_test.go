package answer_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/promfence/promfence/proxy/answer"
)

func TestUntrustedAnswersAreNotPassedOn(t *testing.T) {
	of := func(status int, body string, header ...string) *http.Response {
		h := http.Header{}
		for i := 0; i < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body))}
	}
	t.Run("in an unknown encoding", func(t *testing.T) {
		if src, err := answer.Plain(of(200, "x", "Content-Encoding", "br")); err == nil {
			t.Errorf("it can be read: %v", src)
		}
	})
	t.Run("of an unknown type", func(t *testing.T) {
		for contentType, good := range map[string]bool{"text/html": false, "application/json; charset=utf-8": true, "": true} {
			err := new(answer.Warnings).Hide(of(200, "{}", "Content-Type", contentType), false, "")
			if (err == nil) != good {
				t.Errorf("%q: %v", contentType, err)
			}
		}
	})
	t.Run("of no type", func(t *testing.T) {
		for samples, want := range map[bool]string{false: "application/json", true: "application/octet-stream"} {
			resp := of(200, "{}")
			if err := new(answer.Warnings).Hide(resp, samples, ""); err != nil || resp.Header.Get("Content-Type") != want {
				t.Errorf("samples %t: %q, %v, want %s", samples, resp.Header.Get("Content-Type"), err, want)
			}
		}
	})
	for name, tt := range map[string]struct {
		status int
		body   string
		want   int
		never  string
	}{
		"a 401 of the upstream":          {401, `{"status":"error","errorType":"bad_data","error":"secret"}`, 502, "secret"},
		"a 403 of the upstream":          {403, `{"status":"error","errorType":"bad_data","error":"secret"}`, 502, "secret"},
		"a 400 of a store":               {400, `{"status":"error","errorType":"internal","error":"secret"}`, 400, "secret"},
		"a 400 that claims to be fine":   {400, `{"status":"success","errorType":"bad_data","error":"secret"}`, 400, "secret"},
		"a 400 of a mistake in a query":  {400, `{"status":"error","errorType":"bad_data","error":"1:2: parse error"}`, 400, "-"},
		"a 400 without a status of such": {400, `{"errorType":"bad_data","error":"secret"}`, 400, "secret"},
	} {
		e, _ := answer.Error(of(tt.status, tt.body, "Content-Type", "application/json"))
		if e.Status != tt.want || strings.Contains(e.Message, tt.never) {
			t.Errorf("%s: %d %q", name, e.Status, e.Message)
		}
	}
}
