package main_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/auth/authtest"
	promfence "github.com/promfence/promfence/cmd/promfence"
)

// An authority signs certificates for 127.0.0.1 and upstream.test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	a.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	a.pool = x509.NewCertPool()
	a.pool.AddCert(a.cert)
	return a
}

// issue returns a certificate and its key as PEM.
func (a *authority) issue(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"upstream.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, k.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}

func (a *authority) pair(t *testing.T, name string) tls.Certificate {
	t.Helper()
	p, err := tls.X509KeyPair(a.issue(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// write puts a file in its place whole: a process that looks at it meanwhile sees the
// old or the new one.
func write(t *testing.T, path string, content []byte) string {
	t.Helper()
	beside := path + ".new"
	if err := os.WriteFile(beside, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(beside, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// served returns the name in the certificate that a new connection gets.
func served(t *testing.T, address string, c *tls.Config) (string, error) {
	t.Helper()
	conn, err := tls.Dial("tcp", address, c)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_, err = conn.Write([]byte("GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
	if err == nil {
		_, err = io.ReadAll(conn) // TLS 1.3 tells a client's refusal only here
	}
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName, err
}

func TestServesTLSAndTakesNewCertificates(t *testing.T) {
	dir, ca := t.TempDir(), newAuthority(t)
	cert, key := ca.issue(t, "first")
	certFile, keyFile := write(t, filepath.Join(dir, "tls.crt"), cert), write(t, filepath.Join(dir, "tls.key"), key)
	p := start(t, append(settings(authtest.NewIssuer(t), "http://127.0.0.1:9090"),
		"PROMFENCE_SERVER_TLS_CERT_FILE="+certFile, "PROMFENCE_SERVER_TLS_KEY_FILE="+keyFile)...)
	address := strings.TrimPrefix(p.server, "http://")
	trust := &tls.Config{RootCAs: ca.pool}
	if name, err := served(t, address, trust); err != nil || name != "first" {
		t.Fatalf("%s, %v", name, err)
	}
	if _, err := served(t, address, &tls.Config{RootCAs: ca.pool, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil || !strings.Contains(err.Error(), "remote error") {
		t.Errorf("TLS 1.1 is served, or refused by the caller alone: %v", err)
	}

	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections() // a drain waits a second for one
	healthy := func() {
		t.Helper()
		resp, err := client.Get("https://" + address + "/-/healthy")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.Proto != "HTTP/2.0" || resp.TLS.PeerCertificates[0].Subject.CommonName != "first" {
			t.Errorf("%s with the certificate %s", resp.Proto, resp.TLS.PeerCertificates[0].Subject.CommonName)
		}
	}
	healthy()

	write(t, certFile, []byte("broken"))
	p.logged(t, "error", "settings not reloaded", "SERVER_TLS_CERT_FILE")
	if name, err := served(t, address, trust); err != nil || name != "first" {
		t.Errorf("with a broken file on disk: %s, %v", name, err)
	}
	cert, key = ca.issue(t, "second")
	write(t, certFile, cert)
	write(t, keyFile, key)
	p.logged(t, "info", "settings reloaded")
	if name, err := served(t, address, trust); err != nil || name != "second" {
		t.Errorf("after the change: %s, %v", name, err)
	}
	healthy() // on the connection of before
}

// Whether the listener speaks TLS is decided when it is opened.
func TestTLSStaysOnUntilARestart(t *testing.T) {
	dir, ca, idp := t.TempDir(), newAuthority(t), authtest.NewIssuer(t)
	cert, key := ca.issue(t, "first")
	file := write(t, filepath.Join(dir, "promfence.yaml"), fileSettings(idp, "http://127.0.0.1:9090", fmt.Sprintf("server: {tls: {cert_file: %q, key_file: %q}}",
		write(t, filepath.Join(dir, "tls.crt"), cert), write(t, filepath.Join(dir, "tls.key"), key))))
	p := startBlind(t, "PROMFENCE_CONFIG="+file)
	write(t, file, fileSettings(idp, "http://127.0.0.1:9090", ""))
	hangUp(t)
	p.logged(t, "warn", "with a restart only", "server.tls.cert_file")
	if name, err := served(t, strings.TrimPrefix(p.server, "http://"), &tls.Config{RootCAs: ca.pool}); err != nil || name != "first" {
		t.Errorf("after the settings for TLS have gone: %s, %v", name, err)
	}
}

func TestAsksCallersForCertificates(t *testing.T) {
	dir, ca := t.TempDir(), newAuthority(t)
	cert, key := ca.issue(t, "promfence")
	p := start(t, append(settings(authtest.NewIssuer(t), "http://127.0.0.1:9090"),
		"PROMFENCE_SERVER_TLS_CERT_FILE="+write(t, filepath.Join(dir, "tls.crt"), cert),
		"PROMFENCE_SERVER_TLS_KEY_FILE="+write(t, filepath.Join(dir, "tls.key"), key),
		"PROMFENCE_SERVER_TLS_CLIENT_CA_FILE="+write(t, filepath.Join(dir, "ca.crt"), ca.pem))...)
	address := strings.TrimPrefix(p.server, "http://")
	for name, tt := range map[string]struct {
		certificates []tls.Certificate
		taken        bool
	}{
		"none":                {nil, false},
		"another authority's": {[]tls.Certificate{newAuthority(t).pair(t, "grafana")}, false},
		"ours":                {[]tls.Certificate{ca.pair(t, "grafana")}, true},
	} {
		if _, err := served(t, address, &tls.Config{RootCAs: ca.pool, Certificates: tt.certificates}); (err == nil) != tt.taken {
			t.Errorf("a caller with the certificate %s: %v", name, err)
		}
	}
}

func TestTakesANewAuthorityOfCallers(t *testing.T) {
	dir, ca, old, next := t.TempDir(), newAuthority(t), newAuthority(t), newAuthority(t)
	cert, key := ca.issue(t, "promfence")
	caFile := write(t, filepath.Join(dir, "ca.crt"), old.pem)
	p := start(t, append(settings(authtest.NewIssuer(t), "http://127.0.0.1:9090"),
		"PROMFENCE_SERVER_TLS_CERT_FILE="+write(t, filepath.Join(dir, "tls.crt"), cert),
		"PROMFENCE_SERVER_TLS_KEY_FILE="+write(t, filepath.Join(dir, "tls.key"), key),
		"PROMFENCE_SERVER_TLS_CLIENT_CA_FILE="+caFile)...)
	address := strings.TrimPrefix(p.server, "http://")
	with := func(a *authority) *tls.Config {
		return &tls.Config{RootCAs: ca.pool, Certificates: []tls.Certificate{a.pair(t, "grafana")}}
	}
	dials := 0
	client := &http.Client{Transport: &http.Transport{DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials++
		return (&tls.Dialer{Config: with(old)}).DialContext(ctx, network, addr)
	}}}
	ask := func() {
		t.Helper()
		resp, err := client.Get("https://" + address + "/-/healthy")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	ask()
	if _, err := served(t, address, with(next)); err == nil {
		t.Error("a caller of the next authority is served too early")
	}
	write(t, caFile, next.pem)
	p.logged(t, "info", "settings reloaded")
	if _, err := served(t, address, with(next)); err != nil {
		t.Errorf("a caller of the next authority: %v", err)
	}
	if _, err := served(t, address, with(old)); err == nil {
		t.Error("a caller of the old authority is still served")
	}
	if ask(); dials != 1 {
		t.Errorf("the connection of before is closed: %d dialed", dials)
	}
}

func TestHTTP2WithoutTLS(t *testing.T) {
	p := start(t, settings(authtest.NewIssuer(t), "http://127.0.0.1:9090")...)
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: &protocols}}
	defer client.CloseIdleConnections() // a drain waits a second for one
	resp, err := client.Get(p.server + "/-/healthy")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Proto != "HTTP/2.0" || resp.StatusCode != http.StatusOK {
		t.Errorf("%s %s", resp.Proto, resp.Status)
	}
}

func TestUpstreamOverTLS(t *testing.T) {
	dir, ca, idp := t.TempDir(), newAuthority(t), authtest.NewIssuer(t)
	asked := make(chan *http.Request, 10)
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r
		_, _ = io.WriteString(w, answer)
	}))
	up.TLS = &tls.Config{Certificates: []tls.Certificate{ca.pair(t, "thanos")}, ClientCAs: ca.pool, ClientAuth: tls.RequireAndVerifyClientCert}
	up.StartTLS()
	t.Cleanup(up.Close)
	cert, key := ca.issue(t, "promfence")
	caFile, certFile := write(t, filepath.Join(dir, "ca.crt"), ca.pem), write(t, filepath.Join(dir, "tls.crt"), cert)
	keyFile, headers := write(t, filepath.Join(dir, "tls.key"), key), write(t, filepath.Join(dir, "headers"), []byte("X-Scope: a\nx-scope: b\n"))
	token := write(t, filepath.Join(dir, "token"), []byte("one\n"))

	all := append(settings(idp, up.URL), "PROMFENCE_UPSTREAM_TLS_CA_FILE="+caFile,
		"PROMFENCE_UPSTREAM_TLS_CERT_FILE="+certFile, "PROMFENCE_UPSTREAM_TLS_KEY_FILE="+keyFile,
		"PROMFENCE_UPSTREAM_BEARER_TOKEN_FILE="+token, "PROMFENCE_UPSTREAM_HEADERS_FILE="+headers)
	p := start(t, append(all, "PROMFENCE_UPSTREAM_TLS_SERVER_NAME=upstream.test")...)
	until(t, p.server+"/-/ready", 200)
	query := func(p *process) *http.Request {
		t.Helper()
		status, body, _ := get(t, p.server+"/api/v1/query?query=up", idp.Token(t, "acme", nil))
		if status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
		return <-asked
	}
	r := query(p)
	if got := r.Header.Get("Authorization") + " " + strings.Join(r.Header["X-Scope"], "+"); got != "Bearer one a+b" || r.TLS.ServerName != "upstream.test" {
		t.Errorf("%s, %s", got, r.TLS.ServerName)
	}
	write(t, token, []byte("two"))
	p.logged(t, "info", "settings reloaded")
	if got := query(p).Header.Get("Authorization"); got != "Bearer two" {
		t.Errorf("after the change: %s", got)
	}

	for name, wrong := range map[string]string{
		"another authority": "PROMFENCE_UPSTREAM_TLS_CA_FILE=" + write(t, filepath.Join(dir, "other.crt"), newAuthority(t).pem),
		"another name":      "PROMFENCE_UPSTREAM_TLS_SERVER_NAME=other.test",
	} {
		environ := all
		if strings.Contains(wrong, "CA_FILE") {
			environ = append(settings(idp, up.URL), all[4:]...)
		}
		p := start(t, append(slices.Clip(environ), wrong)...)
		until(t, p.server+"/-/ready", 200)
		if status, body, _ := get(t, p.server+"/api/v1/query?query=up", idp.Token(t, "acme", nil)); status != http.StatusBadGateway {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}

func TestBasicAuthTowardsTheUpstream(t *testing.T) {
	idp, asked := authtest.NewIssuer(t), make(chan string, 1)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		asked <- user + " " + password
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(up.Close)
	pair := write(t, filepath.Join(t.TempDir(), "pair"), []byte("promfence:one:and a colon\n"))
	p := start(t, append(settings(idp, up.URL), "PROMFENCE_UPSTREAM_BASIC_AUTH_FILE="+pair)...)
	until(t, p.server+"/-/ready", 200)
	if got := p.asks(t, idp, asked); got != "promfence one:and a colon" {
		t.Errorf("the upstream was shown %q", got)
	}
	write(t, pair, []byte("promfence:two"))
	p.logged(t, "info", "settings reloaded")
	if got := p.asks(t, idp, asked); got != "promfence two" {
		t.Errorf("after the change: %q", got)
	}
}

func TestCredentialsThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string { return write(t, filepath.Join(dir, name), []byte(content)) }
	token, pair := file("token", "s3cret"), file("pair", "user:s3cret")
	for name, tt := range map[string]struct {
		environ []string
		want    string
	}{
		"no password":                  {[]string{"BASIC_AUTH_FILE=" + file("name", "s3cret")}, "BASIC_AUTH_FILE: want user:password"},
		"an empty token":               {[]string{"BEARER_TOKEN_FILE=" + file("empty", "")}, "BEARER_TOKEN_FILE: want a file with something in it"},
		"a token on two lines":         {[]string{"BEARER_TOKEN_FILE=" + file("lines", "s3cret\nmore")}, "BEARER_TOKEN_FILE: want one line"},
		"a header of ours":             {[]string{"HEADERS_FILE=" + file("accept", "accept-encoding: s3cret")}, "HEADERS_FILE: want no Accept-Encoding"},
		"a name that is none":          {[]string{"HEADERS_FILE=" + file("spaced", "X Key: s3cret")}, "HEADERS_FILE: want names of letters"},
		"the tenants' header":          {[]string{"TENANT_HEADER=x-scope-orgid", "HEADERS_FILE=" + file("orgid", "X-Scope-OrgID: s3cret")}, "HEADERS_FILE: want no X-Scope-Orgid"},
		"two credentials":              {[]string{"BEARER_TOKEN_FILE=" + token, "HEADERS_FILE=" + file("auth", "Authorization: s3cret")}, "HEADERS_FILE: want no Authorization"},
		"no header":                    {[]string{"HEADERS_FILE=" + file("text", "s3cret")}, "HEADERS_FILE: want a line"},
		"a blank token":                {[]string{"BEARER_TOKEN_FILE=" + file("blank", " \n")}, "BEARER_TOKEN_FILE: want a file with something in it"},
		"a pair on two lines":          {[]string{"BASIC_AUTH_FILE=" + file("pairs", "user:s3cret\nmore")}, "BASIC_AUTH_FILE: want user:password in one line"},
		"headers below an empty line":  {[]string{"HEADERS_FILE=" + file("gap", "X-A: s3cret\r\n\r\nX-B: s3cret\n")}, "HEADERS_FILE: want no empty line"},
		"headers that begin with one":  {[]string{"HEADERS_FILE=" + file("first", "\nX-A: s3cret\n")}, "HEADERS_FILE: want no empty line"},
		"a tenant in place of a token": {[]string{"TENANT_HEADER=authorization"}, "TENANT_HEADER: want another header than Authorization"},
		"a tenant as an encoding":      {[]string{"TENANT_HEADER=Accept-Encoding"}, "TENANT_HEADER: want another header than Accept-Encoding"},
		"a certificate that is no PEM": {[]string{"TLS_CA_FILE=" + pair}, "TLS_CA_FILE: want PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			environ := settings(authtest.NewIssuer(t), "https://thanos")
			for _, e := range tt.environ {
				environ = append(environ, "PROMFENCE_UPSTREAM_"+e)
			}
			err := promfence.Run(t.Context(), []string{"check"}, environ, io.Discard, io.Discard)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v does not say %s", err, tt.want)
			}
			if strings.Contains(fmt.Sprint(err), "s3cret") {
				t.Errorf("%v tells a secret", err)
			}
		})
	}
}
