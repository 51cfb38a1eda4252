package contract

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Handler passes requests on to next and checks every exchange, for tests whose
// client is another program. It holds answers until they are complete, so it is
// not for tests of streaming.
func Handler(t testing.TB, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("reading the request of %s: %v", r.URL.Path, err)
		}
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(sent)), nil }
		r.Body = io.NopCloser(bytes.NewReader(sent))
		held := httptest.NewRecorder()
		next.ServeHTTP(held, r)
		resp := held.Result()
		if r.Method == http.MethodHead { // a server would drop it too
			held.Body.Reset()
		}
		Check(t, r, resp, held.Body.Bytes())
		maps.Copy(w.Header(), resp.Header)
		w.WriteHeader(resp.StatusCode)
		_, _ = w.Write(held.Body.Bytes()) // the client may be gone
	})
}
