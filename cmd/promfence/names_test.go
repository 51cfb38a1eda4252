package main_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/promfence/promfence/auth/authtest"
)

// A nameServer speaks just enough DNS (RFC 1035) for Go's resolver: it knows
// the IPv4 address of some names, and that there are no others.
type nameServer struct {
	conn net.PacketConn

	mu        sync.Mutex
	addresses map[string]net.IP // by the name, without the last dot
}

// resolveWith makes every look-up of this process ask a server of the test's own.
func resolveWith(t *testing.T) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{conn: conn, addresses: map[string]net.IP{}}
	usual := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = usual
		_ = conn.Close()
	})
	go s.serve()
	return s
}

// point changes where a name leads; nil makes it unknown.
func (s *nameServer) point(name string, to net.IP) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addresses[name] = to
}

func (s *nameServer) serve() {
	b := make([]byte, 1500)
	for {
		n, from, err := s.conn.ReadFrom(b)
		if err != nil {
			return
		}
		if answer := s.answer(b[:n]); answer != nil {
			_, _ = s.conn.WriteTo(answer, from)
		}
	}
}

func (s *nameServer) answer(question []byte) []byte {
	var name []string
	end := 12 // of the header
	for end < len(question) && question[end] != 0 {
		next := end + 1 + int(question[end])
		if next >= len(question) {
			return nil
		}
		name, end = append(name, string(question[end+1:next])), next
	}
	end += 5 // the root, type and class
	if end > len(question) {
		return nil
	}
	s.mu.Lock()
	ip := s.addresses[strings.Join(name, ".")].To4()
	s.mu.Unlock()
	const response, recursionAvailable, noSuchName, typeA = 0x8100, 0x80, 3, 1
	flags, answers := uint16(response|recursionAvailable), uint16(0)
	switch {
	case ip == nil:
		flags |= noSuchName
	case binary.BigEndian.Uint16(question[end-4:]) == typeA:
		answers = 1
	}
	out := append([]byte(nil), question[:2]...)
	for _, v := range []uint16{flags, 1, answers, 0, 0} {
		out = binary.BigEndian.AppendUint16(out, v)
	}
	out = append(out, question[12:end]...)
	if answers == 1 { // a pointer to the name, type A, class IN, an hour, four bytes
		out = append(out, 0xc0, 12, 0, typeA, 0, 1, 0, 0, 0x0e, 0x10, 0, 4)
		out = append(out, ip...)
	}
	return out
}

// replica is an upstream that answers with its name, at an address; an empty
// port takes a free one.
func replica(t *testing.T, name string, ip net.IP, port string) *httptest.Server {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(ip.String(), port))
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: ln, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"status":"success","data":"`+name+`"}`)
	})}}
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// An upstream that is known by name moves as Kubernetes and DNS let it.
func TestUpstreamMovesToAnotherAddress(t *testing.T) {
	names, idp := resolveWith(t), authtest.NewIssuer(t)
	one, two := net.IPv4(127, 0, 0, 1), net.IPv4(127, 0, 0, 2)
	first := replica(t, "first", one, "0")
	_, port, err := net.SplitHostPort(first.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	names.point("metrics.test", one)
	p := startBlind(t, settings(idp, "http://metrics.test:"+port)...)
	until(t, p.server+"/-/ready", 200)
	answers := func(status int, what string) {
		t.Helper()
		got, body, _ := get(t, p.server+"/api/v1/query?query=up", idp.Token(t, "acme", nil))
		if got != status || !strings.Contains(body, what) || strings.Contains(body, "metrics.test") || strings.Contains(body, "127.0.0") {
			t.Errorf("%d %s, want %d with %q", got, body, status, what)
		}
	}
	answers(200, "first")

	second := replica(t, "second", two, port)
	names.point("metrics.test", two)
	first.Close()
	answers(200, "second") // at once, and no 502 in between

	names.point("metrics.test", nil)
	second.Close()
	answers(502, "bad_gateway")
	p.logged(t, "error", `"status":502`, "no such host")

	replica(t, "first again", one, port)
	names.point("metrics.test", one)
	answers(200, "first again")

	// An address that is still served keeps the connections that are open, until
	// the settings are read again.
	replica(t, "second again", two, port)
	names.point("metrics.test", two)
	answers(200, "first again")
	hangUp(t)
	p.logged(t, "info", "settings reloaded")
	answers(200, "second again")
}
