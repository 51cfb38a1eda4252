package listener_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/cmd/promfence/listener"
)

const tooLarge = "431 431 Request Header Fields Too Large"

// over are the ways to talk HTTP/1.1 to a server.
func over(t *testing.T, test func(t *testing.T, s *server, dial func(t *testing.T) net.Conn)) {
	t.Helper()
	t.Run("TCP", func(t *testing.T) {
		s := serve(t, listener.Options{})
		test(t, s, s.dial)
	})
	t.Run("TLS", func(t *testing.T) {
		s := serve(t, listener.Options{TLS: certified(t)})
		test(t, s, func(t *testing.T) net.Conn {
			t.Helper()
			return tls.Client(s.dial(t), &tls.Config{InsecureSkipVerify: true})
		})
	})
}

// certified is a configuration with the certificate of Go's own tests.
func certified(t *testing.T) *tls.Config {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	return &tls.Config{Certificates: s.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12}
}

// Each stream of bytes is sent at once, byte by byte, and in random pieces.
func TestHeadersAreToldFromBodies(t *testing.T) {
	get := func(path string, n int) string {
		return "GET " + path + " HTTP/1.1\r\nHost: x\r\n" + lines(n-1) + "\r\n"
	}
	post := func(path, body string) string {
		return "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	}
	chunked := func(path, trailer string, chunks ...string) string {
		var b strings.Builder
		b.WriteString("POST " + path + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
		for _, c := range chunks {
			fmt.Fprintf(&b, "%x;ext=1\r\n%s\r\n", len(c), c)
		}
		return b.String() + "0\r\n" + trailer + "\r\n"
	}
	many, blank := strings.Repeat("\n", 500), strings.Repeat("a: b\r\n\r\n", 300)
	for name, tt := range map[string]struct {
		sent string
		want []string // the answers' beginnings
	}{
		"200 lines":                        {get("/", 200), []string{`200 GET / ""`}},
		"201 lines":                        {get("/", 201), []string{tooLarge}},
		"lines that end in LF alone":       {strings.ReplaceAll(get("/", 201), "\r", ""), []string{tooLarge}},
		"continued lines":                  {"GET / HTTP/1.1\r\nHost: x\r\na: b\r\n" + strings.Repeat(" c\r\n", 200) + "\r\n", []string{tooLarge}},
		"pipelined":                        {get("/1", 150) + get("/2", 150) + get("/3", 201), []string{"200 GET /1", "200 GET /2", tooLarge}},
		"a body of newlines":               {post("/", many) + get("/2", 200), []string{"200 POST / " + strconv.Quote(many), "200 GET /2"}},
		"a body that looks like headers":   {post("/", blank) + post("/2", blank) + get("/3", 201), []string{"200 POST / ", "200 POST /2", tooLarge}},
		"a large body":                     {post("/", strings.Repeat("x\n", 100_000)) + get("/2", 3), []string{"200 POST / ", "200 GET /2"}},
		"chunks of newlines":               {chunked("/", "", many, blank, "x") + get("/2", 200) + get("/3", 201), []string{"200 POST / ", "200 GET /2", tooLarge}},
		"chunks with a trailer":            {chunked("/", "a: b\r\nc: d\r\n", "x") + chunked("/2", "", many) + get("/3", 201), []string{"200 POST / ", "200 POST /2", tooLarge}},
		"no chunk":                         {chunked("/", "") + get("/2", 201), []string{`200 POST / ""`, tooLarge}},
		"a body that nobody waits for":     {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n\n\n" + get("/2", 200), []string{"200 GET /", "200 GET /2"}},
		"too many bytes in a line":         {"GET / HTTP/1.1\r\nHost: x\r\na: " + strings.Repeat("b", 97<<10), []string{tooLarge}},
		"too many bytes in the URL":        {"GET /" + strings.Repeat("b", 97<<10), []string{tooLarge}},
		"too many bytes after a body":      {post("/", many) + "GET /" + strings.Repeat("b", 97<<10), []string{"200 POST / ", tooLarge}},
		"a token of 64 KiB":                {"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + strings.Repeat("b", 64<<10) + "\r\n\r\n", []string{"200 GET /"}},
		"what is no header":                {"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n" + get("/2", 1), []string{"400 "}},
		"a beginning like that of HTTP/2":  {"PRI * HTTP/2.0\r\n\r\nSM: x\r\n" + lines(300), []string{"200 PRI *"}}, // and no more requests
		"HTTP/2's beginning at the second": {get("/", 1) + "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + lines(300), []string{"200 GET /", "200 PRI *"}},
	} {
		t.Run(name, func(t *testing.T) {
			over(t, func(t *testing.T, _ *server, dial func(t *testing.T) net.Conn) {
				for way, most := range map[string]int{"at once": len(tt.sent), "in pieces": 3000, "byte by byte": 1} {
					switch {
					case way == "byte by byte" && len(tt.sent) > 8<<10:
						continue
					case way != "at once" && tt.want[0] == "400 ":
						continue // net/http's own refusal is lost by a reset, if more comes
					}
					c := dial(t)
					go func() {
						for rest := []byte(tt.sent); len(rest) > 0; {
							n := min(len(rest), 1+rand.IntN(most))
							if most == len(tt.sent) {
								n = len(rest)
							}
							if _, err := c.Write(rest[:n]); err != nil {
								return // refused
							}
							rest = rest[n:]
						}
					}()
					got := answers(t, c, len(tt.want))
					for i := range got {
						if len(tt.want) > i {
							got[i] = got[i][:min(len(got[i]), len(tt.want[i]))]
						}
					}
					if diff := cmp.Diff(tt.want, got); diff != "" {
						t.Errorf("%s (-want +got):\n%s", way, diff)
					}
				}
			})
		})
	}
}

// A refused caller gets the whole answer and then the end, although most of what
// was sent is unread, and nothing behind it is a request.
func TestRefusedHeadersEndTheConnection(t *testing.T) {
	over(t, func(t *testing.T, s *server, dial func(t *testing.T) net.Conn) {
		t.Parallel() // it lingers
		c := dial(t)
		go func() {
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\n"+lines(5000)+"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
		}()
		all, err := io.ReadAll(c)
		if err != nil || !strings.HasPrefix(string(all), "HTTP/1.1 431 ") || !strings.Contains(string(all), "Connection: close\r\n") || strings.Contains(string(all), "200") {
			t.Errorf("%q %v", all, err)
		}
		s.wantMetric(t, "promfence_headers_refused_total", 1)
		s.wantMetric(t, "promfence_connections", 0)
	})
}

// A header that is over before it has begun is none for net/http.
func TestABlankLineFirstGainsNothing(t *testing.T) {
	over(t, func(t *testing.T, _ *server, dial func(t *testing.T) net.Conn) {
		for _, first := range []string{"\r\n", "\n", "\r\n\r\n", " \r\n"} {
			c := dial(t)
			go func() { _, _ = io.WriteString(c, first+"GET / HTTP/1.1\r\nHost: x\r\n"+lines(200)+"\r\n") }()
			all, _ := io.ReadAll(c) // ends with a reset when something was left unread
			if strings.Contains(string(all), " 200 ") {
				t.Errorf("%q: %q", first, all)
			}
		}
	})
}

func TestClientsNoticeNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		tls   bool
		http2 bool
	}{"HTTP/1.1": {}, "HTTP/1.1 over TLS": {true, false}, "HTTP/2": {false, true}, "HTTP/2 over TLS": {true, true}} {
		t.Run(name, func(t *testing.T) {
			var o listener.Options
			scheme := "http://"
			if tt.tls {
				o.TLS, scheme = certified(t), "https://"
			}
			s := serve(t, o)
			var protocols http.Protocols
			protocols.SetHTTP1(!tt.http2)
			protocols.SetHTTP2(tt.http2)
			protocols.SetUnencryptedHTTP2(tt.http2)
			client := &http.Client{Transport: &http.Transport{Protocols: &protocols, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, Timeout: patience}
			defer client.CloseIdleConnections()
			body := strings.Repeat("a: b\r\n\r\n\n", 5000)
			for i := range 6 {
				var sent io.Reader = strings.NewReader(body)
				if i%2 == 1 {
					sent = io.MultiReader(sent) // without a length
				}
				resp, err := client.Post(scheme+s.addr+"/", "text/plain", sent)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if want := fmt.Sprintf("POST / %q <nil> %t", body, tt.tls); err != nil || string(got) != want || (resp.ProtoMajor == 2) != tt.http2 {
					t.Fatalf("%s %d bytes, want %d; %v", resp.Proto, len(got), len(want), err)
				}
			}
			s.wantMetric(t, "promfence_connections", 1) // it was kept alive
		})
	}
}

// A caller who leaves is noticed while the handler works.
func TestLeavingIsNoticed(t *testing.T) {
	over(t, func(t *testing.T, s *server, dial func(t *testing.T) net.Conn) {
		for _, request := range []string{"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n", "POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"} {
			c := dial(t)
			if _, err := io.WriteString(c, request); err != nil {
				t.Fatal(err)
			}
			s.wantWaiting(t, 1)
			_ = c.Close()
			s.wantWaiting(t, 0)
			s.wantMetric(t, "promfence_connections", 0)
		}
	})
}

func TestTLSHandshakes(t *testing.T) {
	s := serve(t, listener.Options{TLS: certified(t)})
	c := s.dial(t)
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if all, err := io.ReadAll(c); err != nil || !strings.Contains(string(all), "Client sent an HTTP request to an HTTPS server") {
		t.Errorf("%q %v", all, err)
	}
	s.wantMetric(t, "promfence_connections", 0)
	for range 3 { // who waits in front of a handshake is in nobody's way
		s.dial(t)
	}
	w := tls.Client(s.dial(t), &tls.Config{InsecureSkipVerify: true})
	if _, err := io.WriteString(w, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if got := answers(t, w, 1); !slices.Equal(got, []string{`200 GET / "" <nil> true`}) {
		t.Error(got)
	}
}
