package body_test

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/proxy/apierr"
	"github.com/promfence/promfence/proxy/body"
)

const form = "application/x-www-form-urlencoded"

// params reads the parameters query and time of a request.
func params(t *testing.T, room body.Room, r *http.Request, limit int64) (map[string][]string, error) {
	t.Helper()
	b := room.Of(httptest.NewRecorder(), r)
	defer b.Release()
	ps, err := b.Params(r, []string{"query", "time"}, 10, limit)
	if err == nil && b.Unread() {
		t.Error("a body that was read is to be read")
	}
	return ps.Values(), err
}

// request is a request whose body has a length, or none if it comes in chunks.
func request(t *testing.T, method, target, sent string, chunked bool, header http.Header) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(sent))
	if chunked {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(sent)), -1
	}
	maps.Copy(r.Header, header)
	return r
}

func wantStatus(t *testing.T, err error, status int) {
	t.Helper()
	got := http.StatusOK
	if err != nil {
		got = apierr.From(err).Status
	}
	if got != status {
		t.Errorf("%d, want %d: %v", got, status, err)
	}
}

// Two parsers could read them differently: one believes the first type, one the last.
func TestAmbiguousBodiesAreRefused(t *testing.T) {
	typed := func(types ...string) http.Header { return http.Header{"Content-Type": types} }
	encoded := func(encoding string) http.Header {
		return http.Header{"Content-Type": {form}, "Content-Encoding": {encoding}}
	}
	for name, tt := range map[string]struct {
		method string
		header http.Header
		status int
	}{
		"a form":              {http.MethodPost, typed(form), http.StatusOK},
		"with a charset":      {http.MethodPost, typed(form + "; charset=utf-8"), http.StatusOK},
		"as it is":            {http.MethodPost, encoded("identity"), http.StatusOK},
		"compressed":          {http.MethodPost, encoded("gzip"), http.StatusUnsupportedMediaType},
		"a second type":       {http.MethodPost, typed(form, "application/json"), http.StatusUnsupportedMediaType},
		"the same type twice": {http.MethodPost, typed(form, form), http.StatusUnsupportedMediaType},
		"another type":        {http.MethodPost, typed("application/json"), http.StatusUnsupportedMediaType},
		"a strange parameter": {http.MethodPost, typed(form + "; boundary=x"), http.StatusUnsupportedMediaType},
		"no type":             {http.MethodPost, nil, http.StatusUnsupportedMediaType},
		"a body on GET":       {http.MethodGet, typed(form), http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := params(t, body.NewRoom(100), request(t, tt.method, "/?time=1", "query=up", false, tt.header), 100)
			wantStatus(t, err, tt.status)
			if tt.status == http.StatusOK {
				if diff := cmp.Diff(map[string][]string{"query": {"up"}, "time": {"1"}}, got); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// A body on GET in chunks has no length to be refused by.
func TestBodiesOfUnknownLengthOnGET(t *testing.T) {
	for sent, status := range map[string]int{"query=down": 400, "time=1": 400, "&": 400, "": 200} { // also what would change nothing
		_, err := params(t, body.NewRoom(100), request(t, http.MethodGet, "/?query=up", sent, true, nil), 100)
		wantStatus(t, err, status)
	}
}

// What is cut must not be executed: its beginning is another query.
func TestBodiesOverTheLimit(t *testing.T) {
	const limit = 100
	header := http.Header{"Content-Type": {form}}
	for size, status := range map[int]int{limit: http.StatusOK, limit + 1: http.StatusRequestEntityTooLarge, 50 * limit: http.StatusRequestEntityTooLarge} {
		for _, chunked := range []bool{false, true} {
			sent := "query=up&x=" + strings.Repeat("y", size-11)
			_, err := params(t, body.NewRoom(limit), request(t, http.MethodPost, "/", sent, chunked, header), limit)
			wantStatus(t, err, status)
		}
	}
}

func TestRemoteReadIsSnappyProtobuf(t *testing.T) {
	const protobuf = "application/x-protobuf"
	for name, tt := range map[string]struct {
		types, encodings []string
		status           int
	}{
		"as it should be":  {[]string{protobuf}, []string{"snappy"}, http.StatusOK},
		"with a parameter": {[]string{protobuf + ";proto=prometheus.ReadRequest"}, []string{"Snappy"}, http.StatusOK},
		"another encoding": {[]string{protobuf}, []string{"gzip"}, http.StatusUnsupportedMediaType},
		"none":             {[]string{protobuf}, nil, http.StatusUnsupportedMediaType},
		"two":              {[]string{protobuf}, []string{"snappy", "snappy"}, http.StatusUnsupportedMediaType},
		"another type":     {[]string{form}, []string{"snappy"}, http.StatusUnsupportedMediaType},
		"two types":        {[]string{protobuf, protobuf}, []string{"snappy"}, http.StatusUnsupportedMediaType},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(t, http.MethodPost, "/", "sent", false, http.Header{"Content-Type": tt.types, "Content-Encoding": tt.encodings})
			b := body.NewRoom(100).Of(httptest.NewRecorder(), r)
			got, err := b.RemoteRead(r, 100)
			wantStatus(t, err, tt.status)
			if err == nil && string(got) != "sent" {
				t.Errorf("read %q", got)
			}
		})
	}
}

func TestASilenceIsPlainJSON(t *testing.T) {
	const large = 64<<10 + 1
	for name, tt := range map[string]struct {
		header http.Header
		size   int
		status int
	}{
		"JSON":         {http.Header{"Content-Type": {"application/json"}}, 10, http.StatusOK},
		"a form":       {http.Header{"Content-Type": {form}}, 10, http.StatusUnsupportedMediaType},
		"two types":    {http.Header{"Content-Type": {"application/json", form}}, 10, http.StatusUnsupportedMediaType},
		"compressed":   {http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}, 10, http.StatusUnsupportedMediaType},
		"a large body": {http.Header{"Content-Type": {"application/json"}}, large, http.StatusRequestEntityTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(t, http.MethodPost, "/", strings.Repeat("x", tt.size), false, tt.header)
			b := body.NewRoom(2*large).Of(httptest.NewRecorder(), r)
			_, err := b.Silence(r, 2*large)
			wantStatus(t, err, tt.status)
		})
	}
}

func TestLargeBodiesShareARoom(t *testing.T) {
	const size, fit = 1 << 20, 32
	room := body.NewRoom(size)
	post := func(sent io.Reader, length int64) error {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", sent)
		r.ContentLength = length
		r.Header.Set("Content-Type", form)
		_, err := params(t, room, r, size)
		return err
	}
	large := "query=up&x=" + strings.Repeat("y", size-11)
	var ended sync.WaitGroup
	var begun []*io.PipeWriter
	for range fit {
		sent, sends := io.Pipe()
		ended.Go(func() {
			defer sent.Close()
			wantStatus(t, post(sent, size), http.StatusBadRequest)
		})
		if _, err := io.WriteString(sends, large[:size/2]); err != nil { // returns when it was read
			t.Fatal(err)
		}
		begun = append(begun, sends)
	}
	wantStatus(t, post(strings.NewReader(large), size), http.StatusServiceUnavailable)
	wantStatus(t, post(strings.NewReader("query=up"), 8), http.StatusOK)
	for _, sends := range begun {
		_ = sends.CloseWithError(io.ErrUnexpectedEOF)
	}
	ended.Wait()
	wantStatus(t, post(strings.NewReader(large), size), http.StatusOK)
}
