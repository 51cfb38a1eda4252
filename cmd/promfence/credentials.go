package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/http/httpguts"

	"github.com/promfence/promfence/config"
)

// A reader of the files that settings name. It keeps the mistakes, each with
// the setting's name and without a path or a content: both may be a secret that
// stands in the wrong place.
type fileReader struct{ wrong []config.Mistake }

func (f *fileReader) refuse(key, want string) {
	f.wrong = append(f.wrong, config.Mistake{Key: key, Want: want})
}

// read returns what is in a file, or nothing when none is set.
func (f *fileReader) read(key, path string) []byte {
	if path == "" {
		return nil
	}
	b, err := readFile(path)
	if err != nil {
		f.refuse(key, err.Error())
	} else if len(bytes.TrimSpace(b)) == 0 {
		f.refuse(key, "want a file with something in it")
	}
	return b
}

// pair reads a certificate chain and its key, if they are set.
func (f *fileReader) pair(section, certFile, keyFile string) []tls.Certificate {
	cert, key := f.read(section+".cert_file", certFile), f.read(section+".key_file", keyFile)
	if len(cert) == 0 || len(key) == 0 {
		return nil
	}
	p, err := tls.X509KeyPair(cert, key)
	if err != nil {
		f.refuse(section+".cert_file", "want a PEM certificate with the key of "+section+".key_file: "+err.Error())
		return nil
	}
	return []tls.Certificate{p}
}

// pool reads certificates of authorities, if they are set.
func (f *fileReader) pool(key, path string) *x509.CertPool {
	b := f.read(key, path)
	if len(b) == 0 {
		return nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		f.refuse(key, "want PEM certificates")
	}
	return pool
}

// serverTLS is how callers connect to the listener of a section, or nil without TLS.
func (f *fileReader) serverTLS(section string, t config.ServerTLS) *tls.Config {
	if t.CertFile == "" {
		return nil
	}
	c := &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		Certificates: f.pair(section, t.CertFile, t.KeyFile),
		ClientCAs:    f.pool(section+".client_ca_file", t.ClientCAFile),
	}
	if t.ClientCAFile != "" {
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return c
}

// upstreamTLS is how promfence connects to the https server of a section.
func (f *fileReader) upstreamTLS(section string, t config.UpstreamTLS) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: t.ServerName,
		Certificates: f.pair(section, t.CertFile, t.KeyFile),
		RootCAs:      f.pool(section+".ca_file", t.CAFile),
	}
}

// upstreamHeader is what says to the upstream who promfence is.
func (f *fileReader) upstreamHeader(u config.Upstream) http.Header {
	h := f.headers(u)
	if name := textproto.CanonicalMIMEHeaderKey(u.TenantHeader); name == "Authorization" || slices.Contains(ours, name) {
		f.refuse("upstream.tenant_header", "want another header than "+name+", which has a meaning of its own")
	}
	authorization := f.authorization("upstream", u.BearerTokenFile, u.BasicAuthFile)
	if authorization == "" {
		return h
	}
	if h.Get("Authorization") != "" {
		f.refuse("upstream.headers_file", "want no Authorization beside upstream.bearer_token_file or upstream.basic_auth_file")
	}
	h.Set("Authorization", authorization)
	return h
}

// alertmanagerHeader is what says to Alertmanager who promfence is.
func (f *fileReader) alertmanagerHeader(a config.Alertmanager) http.Header {
	h := http.Header{}
	if authorization := f.authorization("alertmanager", a.BearerTokenFile, a.BasicAuthFile); authorization != "" {
		h.Set("Authorization", authorization)
	}
	return h
}

// authorization is the credential of a section, if it has one.
func (f *fileReader) authorization(section, tokenFile, pairFile string) string {
	authorization := ""
	if token := strings.TrimSpace(string(f.read(section+".bearer_token_file", tokenFile))); token != "" {
		authorization = "Bearer " + token
	}
	if pair := strings.TrimRight(string(f.read(section+".basic_auth_file", pairFile)), "\r\n"); pair != "" {
		if !strings.Contains(pair, ":") || strings.ContainsFunc(pair, unicode.IsControl) {
			f.refuse(section+".basic_auth_file", "want user:password in one line")
		}
		authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
	}
	if strings.ContainsFunc(authorization, unicode.IsControl) {
		f.refuse(section+".bearer_token_file", "want one line")
	}
	return authorization
}

// ours are headers whose values promfence decides; upstream.headers_file may
// not hold them.
var ours = []string{
	"Accept", "Accept-Encoding", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Expect", "Host",
	"Idempotency-Key", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "X-Request-Id",
}

func (f *fileReader) headers(u config.Upstream) http.Header {
	const key = "upstream.headers_file"
	b := bytes.TrimRight(f.read(key, u.HeadersFile), "\r\n")
	if len(b) == 0 {
		return http.Header{}
	}
	if slices.ContainsFunc(bytes.Split(b, []byte("\n")), func(line []byte) bool { return len(bytes.TrimRight(line, "\r")) == 0 }) {
		f.refuse(key, "want no empty line: what is below would not be read")
	}
	read, err := textproto.NewReader(bufio.NewReader(io.MultiReader(bytes.NewReader(b), strings.NewReader("\n\n")))).ReadMIMEHeader()
	if err != nil && !errors.Is(err, io.EOF) {
		f.refuse(key, "want a line Name: value for each header")
		return http.Header{}
	}
	for name, values := range read {
		if slices.Contains(ours, name) || name == textproto.CanonicalMIMEHeaderKey(u.TenantHeader) || u.LabelPolicy && name == "X-Prom-Label-Policy" {
			f.refuse(key, "want no "+name+": promfence sets it itself")
		}
		if !httpguts.ValidHeaderFieldName(name) {
			f.refuse(key, "want names of letters, digits and hyphens")
		}
		if strings.ContainsFunc(strings.Join(values, ""), unicode.IsControl) {
			f.refuse(key, "want values without control characters")
		}
	}
	return http.Header(read)
}
