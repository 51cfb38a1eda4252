package attack_test

import (
	"bufio"
	"crypto/tls"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// certificate is one for 127.0.0.1, and the file of its authority.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	path := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(path, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return s.TLS.Certificates[0], path
}

// A server that is being taken out of service may send every HTTP/2 connection
// away as soon as it is opened. Asking again without end would take the process
// down with it, so upstreams are asked by HTTP/1.1, where a request that was
// sent away has failed.
func TestAnUpstreamThatSendsConnectionsAwayIsNotAskedWithoutEnd(t *testing.T) {
	cert, ca := certificate(t)
	var connections atomic.Int64
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	serveRaw(t, l, func(conn net.Conn) {
		connections.Add(1)
		sendAway(conn)
	})
	f := startFence(t, "https://"+l.Addr().String(), "UPSTREAM_TLS_CA_FILE="+ca, "UPSTREAM_TIMEOUT=3s")
	for name, r := range map[string]request{"GET": query("up"), "POST": post("/api/v1/query", "query=up")} {
		t.Run(name, func(t *testing.T) {
			connections.Store(0)
			got := send(t, f.addr, f.Token(t, "acme"), r)
			if n := connections.Load(); got.status != http.StatusOK || n > 5 {
				t.Errorf("status %d after %s and %d connections, want an answer and at most 5", got.status, got.took, n)
			}
		})
	}
}

// sendAway answers HTTP/1.1, and ends each HTTP/2 connection with its first
// request unanswered.
func sendAway(conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	in := bufio.NewReader(conn)
	first, err := in.Peek(4)
	switch {
	case err != nil:
	case string(first) == "PRI ":
		_, _ = io.WriteString(conn, "\x00\x00\x00\x04\x00\x00\x00\x00\x00")                                 // SETTINGS
		_, _ = in.Discard(100)                                                                              // the preface, the client's settings, a request
		_, _ = io.WriteString(conn, "\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00") // GOAWAY
	default:
		answerOnce(in, conn, ok(emptyVector))
	}
}
