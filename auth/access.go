package auth

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode"
)

// An access is how one issuer's servers are asked for keys: by which client, with
// which authorities, and who promfence says it is. Its files are read for each
// fetch, so that a rotated token or authority counts at once.
type access struct {
	client    *http.Client // given by whoever made the Authenticator, or nil
	caFile    string
	tokenFile string
}

// check finds what is wrong with the files now.
func (a access) check(at string) (errs OptionErrors) {
	if _, err := a.authorities(); err != nil {
		errs.add(at+"CAFile", "%v", err)
	}
	if _, err := a.token(); err != nil {
		errs.add(at+"BearerTokenFile", "%v", err)
	}
	return errs
}

// httpClient has the usual proxy settings, follows no redirect from https to http,
// and takes the token to no address that it was not made for. Keys come too seldom
// for a connection to be kept.
func (a access) httpClient() (*http.Client, error) {
	roots, err := a.authorities()
	if err != nil {
		return nil, err
	}
	c := http.Client{}
	if a.client != nil {
		c = *a.client
	}
	if c.Transport == nil || roots != nil {
		c.Transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true,
			TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		}
	}
	c.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		switch {
		case len(via) >= 5:
			return errors.New("more than 5 redirects")
		case via[0].URL.Scheme == "https" && req.URL.Scheme != "https":
			return errors.New("redirected from https to http")
		}
		req.Header.Del("Authorization")
		return nil
	}
	return &c, nil
}

// authorities returns the configured ones, nil for the system's.
func (a access) authorities() (*x509.CertPool, error) {
	if a.caFile == "" {
		return nil, nil
	}
	b, err := readFile(a.caFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, errors.New("want PEM certificates")
	}
	return pool, nil
}

// token returns what the file holds, "" without a file.
func (a access) token() (string, error) {
	if a.tokenFile == "" {
		return "", nil
	}
	b, err := readFile(a.tokenFile)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(b))
	if token == "" || strings.ContainsFunc(token, func(c rune) bool { return c > unicode.MaxASCII || unicode.IsControl(c) || c == ' ' }) {
		return "", errors.New("want a file with one token in it")
	}
	return token, nil
}

// authorize shows the token to the server of req, which is one of discovery or
// keys, unless others could read it on the way.
func (a access) authorize(req *http.Request) error {
	token, err := a.token()
	switch {
	case err != nil:
		return err
	case token == "":
		return nil
	case !isPrivateWay(req.URL.String()):
		return errors.New("the bearer token goes over https or loopback only")
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return nil
}

// fingerprint changes with the files' contents.
func (a access) fingerprint() [sha256.Size]byte {
	h := sha256.New()
	for _, path := range []string{a.caFile, a.tokenFile} {
		b, _ := readFile(path) // what cannot be read is said by the next fetch
		sum := sha256.Sum256(b)
		h.Write(sum[:])
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// isPrivateWay reports whether nobody between us and the URL's server reads along.
func isPrivateWay(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || isLoopback(u.Hostname()))
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
