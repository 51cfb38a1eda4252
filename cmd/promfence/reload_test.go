package main_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/promfence/promfence/auth/authtest"
)

// fileSettings are the least that starts, as a file.
func fileSettings(idp *authtest.Issuer, upstream, more string) []byte {
	return fmt.Appendf(nil, "upstream: {url: %q}\nauth: {issuer: %q, audience: %s}\n%s\n", upstream, idp.URL, authtest.Audience, more)
}

// hangUp asks for the settings to be read again.
func hangUp(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// reloads hangs up and waits until the settings have been read again.
func (p *process) reloads(t *testing.T) {
	t.Helper()
	const metric = `promfence_config_reloads_total{outcome="success"}`
	before := p.count(t, metric)
	hangUp(t)
	for end := time.Now().Add(patience); p.count(t, metric) == before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no reload")
		}
	}
}

// asks sends a query as acme and returns what the upstream was asked.
func (p *process) asks(t *testing.T, idp *authtest.Issuer, asked <-chan string) string {
	t.Helper()
	if status, body, _ := get(t, p.server+"/api/v1/query?query=up", idp.Token(t, "acme", nil)); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	return <-asked
}

// count reads a counter from the metrics.
func (p *process) count(t *testing.T, metric string) string {
	t.Helper()
	_, body, _ := get(t, p.admin+"/metrics", "")
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, metric+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// As Kubernetes does it: promfence.yaml leads through ..data to a directory,
// and the link ..data is replaced.
func TestTakesANewConfigMap(t *testing.T) {
	idp, asked, dir := authtest.NewIssuer(t), make(chan string, 1), t.TempDir()
	up := upstream(t, asked, nil)
	swap := func(version, more string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, version, "promfence.yaml"), fileSettings(idp, up, more))
		if err := os.Symlink(version, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	swap("v1", "")
	file := filepath.Join(dir, "promfence.yaml")
	if err := os.Symlink("..data/promfence.yaml", file); err != nil {
		t.Fatal(err)
	}
	p := start(t, "PROMFENCE_CONFIG="+file)
	until(t, p.server+"/-/ready", 200)
	if got := p.asks(t, idp, asked); got != `up{tenant_id="acme"}` {
		t.Error(got)
	}
	swap("v2", "tenancy: {label: team}")
	p.logged(t, "info", "settings reloaded")
	if got := p.asks(t, idp, asked); got != `up{team="acme"}` {
		t.Error(got)
	}
	if n := p.count(t, `promfence_requests_total{code="200",method="GET",route="/api/v1/query"}`); n != "2" {
		t.Errorf("counters begin anew: %s", n)
	}

	swap("v3", "tenancy: {lable: other}")
	p.logged(t, "error", "settings not reloaded", "tenancy.lable: no such setting")
	if got := p.asks(t, idp, asked); got != `up{team="acme"}` {
		t.Error(got)
	}
	for metric, want := range map[string]string{
		`promfence_config_reloads_total{outcome="success"}`: "1",
		`promfence_config_reloads_total{outcome="failure"}`: "1",
		`promfence_config_last_reload_successful`:           "0",
	} {
		if got := p.count(t, metric); got != want {
			t.Errorf("%s is %s, want %s", metric, got, want)
		}
	}
	swap("v4", "server: {shutdown_timeout: 1s}\nadmin: {pprof: true}")
	until(t, p.admin+"/debug/pprof/cmdline", 200)
	for end := time.Now().Add(patience); p.count(t, "promfence_config_last_reload_successful") != "1"; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("settings are well again, and the metric does not say so")
		}
	}
}

func TestListenersStayWhereTheyAre(t *testing.T) {
	idp := authtest.NewIssuer(t)
	file := write(t, filepath.Join(t.TempDir(), "promfence.yaml"), fileSettings(idp, "http://127.0.0.1:9090",
		"server: {address: '127.0.0.1:0'}\nadmin: {address: '127.0.0.1:0'}"))
	p := run(t, blind(nil), "PROMFENCE_CONFIG="+file)
	until(t, p.server+"/-/ready", 200)
	reloadWith := func(more string) {
		t.Helper()
		write(t, file, fileSettings(idp, "http://127.0.0.1:9090", more))
		p.reloads(t)
	}
	reloadWith("server: {address: '127.0.0.1:1'}\nadmin: {address: 'off'}")
	p.logged(t, "warn", "with a restart only", `["admin.address","server.address"]`)
	reloadWith("server: {address: '127.0.0.1:1'}\nadmin: {address: '127.0.0.1:0'}")
	p.logged(t, "warn", "with a restart only", `["server.address"]`)
	reloadWith("server: {address: '127.0.0.1:1', shutdown_timeout: 1s}\nadmin: {address: '127.0.0.1:0'}")
	reloadWith("server: {address: '127.0.0.1:0'}\nadmin: {address: '127.0.0.1:0'}")
	until(t, p.server+"/-/ready", 200)
	warned := 0
	for _, line := range p.lines() {
		if strings.Contains(line, "with a restart only") {
			warned++
		}
	}
	if warned != 3 {
		t.Errorf("%d warnings, want one for each reload that differs from the start", warned)
	}
}

// A request that is under way ends as it began, and new ones do not wait for it.
func TestReloadDuringARequest(t *testing.T) {
	idp, asked, may := authtest.NewIssuer(t), make(chan string, 2), make(chan struct{})
	file := filepath.Join(t.TempDir(), "promfence.yaml")
	up := upstream(t, asked, may)
	write(t, file, fileSettings(idp, up, ""))
	p := startBlind(t, "PROMFENCE_CONFIG="+file)
	until(t, p.server+"/-/ready", 200)
	done := make(chan int, 1)
	go func() {
		status, _, _ := get(t, p.server+"/api/v1/query?query=up", idp.Token(t, "acme", nil))
		done <- status
	}()
	<-asked
	write(t, file, fileSettings(idp, upstream(t, asked, nil), "tenancy: {label: team}"))
	hangUp(t)
	p.logged(t, "info", "settings reloaded")
	if got := p.asks(t, idp, asked); got != `up{team="acme"}` {
		t.Error(got)
	}
	close(may)
	if status := <-done; status != http.StatusOK {
		t.Errorf("the request under way ended with %d", status)
	}
}

// What is said of a tenant's requests holds for both generations together.
func TestReloadKeepsCountingTowardsLimits(t *testing.T) {
	const burst = 20
	idp, asked, may := authtest.NewIssuer(t), make(chan string, 2*burst), make(chan struct{})
	file, up := filepath.Join(t.TempDir(), "promfence.yaml"), upstream(t, asked, may)
	load := func(more string) []byte {
		return fileSettings(idp, up, fmt.Sprintf("limits: {requests_per_second: 1, burst: %d, concurrent_requests: 1}\n", burst)+more)
	}
	p := startBlind(t, "PROMFENCE_CONFIG="+write(t, file, load("")))
	until(t, p.server+"/-/ready", 200)
	query := func() int {
		status, _, _ := get(t, p.server+"/api/v1/query?query=up", idp.Token(t, "acme", nil))
		return status
	}
	done := make(chan int, 2)
	go func() { done <- query() }()
	<-asked
	write(t, file, load("tenancy: {label: team}"))
	p.reloads(t)
	go func() { done <- query() }()
	select {
	case status := <-done:
		if status != http.StatusTooManyRequests {
			t.Errorf("a second request at a time: %d", status)
		}
	case <-asked:
		t.Error("a second request at a time reaches the upstream")
	}
	close(may)
	if status := <-done; status != http.StatusOK {
		t.Errorf("the first one: %d", status)
	}
	admitted := 0
	for range 2 * burst {
		if query() == http.StatusOK {
			admitted++
		}
	}
	p.reloads(t) // with nothing changed
	again := 0
	for range burst {
		if query() == http.StatusOK {
			again++
		}
	}
	if admitted == 0 || again == burst {
		t.Errorf("%d requests and then %d: the burst begins anew", admitted, again)
	}
}

// What is as old as the process logs as the settings are now.
func TestReloadOfTheLog(t *testing.T) {
	idp, dir := authtest.NewIssuer(t), t.TempDir()
	cert, key := newAuthority(t).issue(t, "promfence")
	file := write(t, filepath.Join(dir, "promfence.yaml"), fileSettings(idp, "http://127.0.0.1:9090", ""))
	p := startBlind(t, "PROMFENCE_CONFIG="+file, "PROMFENCE_SERVER_TLS_CERT_FILE="+write(t, filepath.Join(dir, "tls.crt"), cert),
		"PROMFENCE_SERVER_TLS_KEY_FILE="+write(t, filepath.Join(dir, "tls.key"), key))
	write(t, file, fileSettings(idp, "http://127.0.0.1:9090", "log: {level: debug}"))
	p.reloads(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.server, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close() // before any handshake
	p.logged(t, "debug", "TLS handshake error")
}

func TestReloadOfWhoIsBelieved(t *testing.T) {
	old, next, asked := authtest.NewIssuer(t), authtest.NewIssuer(t), make(chan string, 1)
	file := filepath.Join(t.TempDir(), "promfence.yaml")
	up := upstream(t, asked, nil)
	write(t, file, fileSettings(old, up, ""))
	p := startBlind(t, "PROMFENCE_CONFIG="+file)
	until(t, p.server+"/-/ready", 200)
	p.asks(t, old, asked)
	write(t, file, fileSettings(next, up, ""))
	hangUp(t)
	p.logged(t, "info", "settings reloaded")
	p.asks(t, next, asked)
	if status, body, _ := get(t, p.server+"/api/v1/query?query=up", old.Token(t, "acme", nil)); status != http.StatusUnauthorized {
		t.Errorf("the issuer of before: %d %s", status, body)
	}
	until(t, p.server+"/-/ready", 200)
}

// The folder that is watched is not told of what happens by another name.
func TestHangUpReadsFilesThatNobodyAnnounces(t *testing.T) {
	idp, asked, key := authtest.NewIssuer(t), make(chan string, 1), authtest.NewKey(t, "ES256")
	file, other := filepath.Join(t.TempDir(), "jwks"), filepath.Join(t.TempDir(), "jwks")
	write(t, file, authtest.JWKS(idp.Key()))
	if err := os.Link(file, other); err != nil {
		t.Fatal(err)
	}
	p := startBlind(t, append(settings(idp, upstream(t, asked, nil)), "PROMFENCE_AUTH_JWKS_FILE="+file, "PROMFENCE_AUTH_REFRESH_INTERVAL=1h")...)
	until(t, p.server+"/-/ready", 200)
	p.asks(t, idp, asked)
	idp.Rotate(key)
	f, err := os.OpenFile(other, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(authtest.JWKS(key)); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	hangUp(t)
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		status, body, _ := get(t, p.server+"/api/v1/query?query=up", idp.Token(t, "acme", nil))
		if status == http.StatusOK {
			<-asked
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d %s", status, body)
		}
	}
}

// fetched waits until the issuer's keys have been asked for so many times.
func fetched(t *testing.T, idp *authtest.Issuer, times int) {
	t.Helper()
	for end := time.Now().Add(patience); idp.Fetches() < times; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the keys were asked for %d times, want %d", idp.Fetches(), times)
		}
	}
}

// While new settings have no keys, the old ones serve.
func TestReloadThatLeadsToNoKeys(t *testing.T) {
	old, next, asked := authtest.NewIssuer(t), authtest.NewIssuer(t), make(chan string, 1)
	next.Fail(http.StatusInternalServerError)
	file := filepath.Join(t.TempDir(), "promfence.yaml")
	up := upstream(t, asked, nil)
	write(t, file, fileSettings(old, up, ""))
	p, giveUp := startGivingUp(t, "PROMFENCE_CONFIG="+file)
	until(t, p.server+"/-/ready", 200)
	write(t, file, fileSettings(next, up, ""))
	hangUp(t)
	fetched(t, next, 1)
	p.asks(t, old, asked)
	giveUp()
	p.logged(t, "error", "settings not reloaded", "no keys")
	p.asks(t, old, asked)
}

// One of an issuer's sources is enough to be ready, but not to replace two.
func TestReloadThatLeadsToFewerKeys(t *testing.T) {
	idp, asked, dir := authtest.NewIssuer(t), make(chan string, 1), t.TempDir()
	file, up := filepath.Join(dir, "promfence.yaml"), upstream(t, asked, nil)
	with := func(keys string) []byte {
		path := write(t, filepath.Join(dir, keys), authtest.JWKS(authtest.NewKey(t, "ES256")))
		return fmt.Appendf(nil, "upstream: {url: %q}\nauth: {issuer: %q, audience: %s, jwks_url: %q, jwks_file: %q}\n", up, idp.URL, authtest.Audience, idp.JWKSURL, path)
	}
	write(t, file, with("first"))
	p, giveUp := startGivingUp(t, "PROMFENCE_CONFIG="+file)
	until(t, p.server+"/-/ready", 200)
	p.asks(t, idp, asked)
	idp.Fail(http.StatusInternalServerError)
	before := idp.Fetches()
	write(t, file, with("second"))
	hangUp(t)
	fetched(t, idp, before+1)
	for end := time.Now().Add(patience); p.having(`"setting":"jwks_file"`) < 2; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the second file is not read:\n%s", strings.Join(p.lines(), "\n"))
		}
	}
	giveUp()
	p.logged(t, "error", "settings not reloaded", "not to all")
	p.asks(t, idp, asked)
}

// The keys that are there are not given up for those that never were.
func TestReloadThatLeavesNoKeys(t *testing.T) {
	idp, asked, dir := authtest.NewIssuer(t), make(chan string, 1), t.TempDir()
	idp.Fail(http.StatusInternalServerError)
	file, up := filepath.Join(dir, "promfence.yaml"), upstream(t, asked, nil)
	with := func(source string) []byte {
		return fmt.Appendf(nil, "upstream: {url: %q}\nauth: {issuer: %q, audience: %s, jwks_url: %q%s}\n", up, idp.URL, authtest.Audience, idp.JWKSURL, source)
	}
	write(t, file, with(", jwks_file: "+write(t, filepath.Join(dir, "jwks"), authtest.JWKS(idp.Key()))))
	p, giveUp := startGivingUp(t, "PROMFENCE_CONFIG="+file)
	p.asks(t, idp, asked)
	write(t, file, with(""))
	hangUp(t)
	giveUp()
	p.logged(t, "error", "settings not reloaded", "no keys", idp.URL)
	p.asks(t, idp, asked)
}

// An issuer that never had keys does not cost another one its own.
func TestReloadBesideAnIssuerWithoutKeys(t *testing.T) {
	idp, down, asked := authtest.NewIssuer(t), authtest.NewIssuer(t), make(chan string, 1)
	down.Fail(http.StatusInternalServerError)
	file, up := filepath.Join(t.TempDir(), "promfence.yaml"), upstream(t, asked, nil)
	both := func(more string) []byte {
		const entry = "  - {issuer: %q, audience: %s}\n"
		return fmt.Appendf(nil, "upstream: {url: %q}\nauth:\n  issuers:\n"+entry+entry+"%s\n",
			up, idp.URL, authtest.Audience, down.URL, authtest.Audience, more)
	}
	write(t, file, both(""))
	p, giveUp := startGivingUp(t, "PROMFENCE_CONFIG="+file)
	p.logged(t, "info", "keys loaded")
	p.asks(t, idp, asked)
	write(t, file, both("tenancy: {max_tenants: 5}"))
	p.reloads(t)
	p.asks(t, idp, asked)
	idp.Fail(http.StatusInternalServerError)
	write(t, file, both("tenancy: {max_tenants: 6}"))
	p.reloads(t)
	p.asks(t, idp, asked)
	write(t, file, bytes.Replace(both(""), []byte("audience: "), []byte("jwks_url: \""+idp.JWKSURL+"\", audience: "), 1))
	hangUp(t)
	giveUp()
	p.logged(t, "error", "settings not reloaded", "not to all", idp.URL)
	p.asks(t, idp, asked)
}

// Whenever the settings change while they are read for the first time, the change
// is not lost.
func TestAChangeDuringTheStartIsNoticed(t *testing.T) {
	idp, asked := authtest.NewIssuer(t), make(chan string, 1)
	up := upstream(t, asked, nil)
	for _, delay := range []time.Duration{0, time.Millisecond, 3 * time.Millisecond, 10 * time.Millisecond} {
		t.Run(delay.String(), func(t *testing.T) {
			file := write(t, filepath.Join(t.TempDir(), "promfence.yaml"), fileSettings(idp, up, "tenancy: {label: old}"))
			changed := make(chan struct{})
			go func() {
				defer close(changed)
				time.Sleep(delay)
				write(t, file, fileSettings(idp, up, "tenancy: {label: new}"))
			}()
			p := start(t, "PROMFENCE_CONFIG="+file)
			<-changed
			until(t, p.server+"/-/ready", 200)
			for end := time.Now().Add(patience); p.asks(t, idp, asked) != `up{new="acme"}`; time.Sleep(50 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("the settings of before are still in effect")
				}
			}
		})
	}
}

// What replaces a file may have its size and its time: what is in it counts.
func TestAFileOfTheSameSizeAndTimeIsNoticed(t *testing.T) {
	idp, other, asked, dir := authtest.NewIssuer(t), authtest.NewKey(t, "EdDSA"), make(chan string, 1), t.TempDir()
	first := authtest.NewKey(t, "EdDSA")
	up, then := upstream(t, asked, nil), time.Now().Add(-time.Hour)
	put := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		write(t, path+".new", content)
		if err := errors.Join(os.Chtimes(path+".new", then, then), os.Rename(path+".new", path)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	settings := func(label string) []byte {
		return fmt.Appendf(nil, "upstream: {url: %q}\nauth: {issuer: %q, audience: %s, jwks_file: %q}\ntenancy: {label: %s}\n",
			up, idp.URL, authtest.Audience, filepath.Join(dir, "jwks"), label)
	}
	put("jwks", authtest.JWKS(first))
	p := start(t, "PROMFENCE_CONFIG="+put("promfence.yaml", settings("old")))
	answers := func(k authtest.Key) int {
		status, _, _ := get(t, p.server+"/api/v1/query?query=up", k.Token(t, nil, idp.Claims("acme", nil)))
		if status == http.StatusOK && <-asked == `up{new="acme"}` {
			return 299
		}
		return status
	}
	eventually := func(k authtest.Key, want int) {
		t.Helper()
		for end := time.Now().Add(patience); answers(k) != want; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("not %d", want)
			}
		}
	}
	eventually(first, http.StatusOK)
	put("jwks", authtest.JWKS(other))
	eventually(other, http.StatusOK)
	eventually(first, http.StatusUnauthorized)
	put("promfence.yaml", settings("new"))
	eventually(other, 299)
}

func TestReloadsLeaveNothingBehind(t *testing.T) {
	one, two, asked := authtest.NewIssuer(t), authtest.NewIssuer(t), make(chan string, 1)
	file := filepath.Join(t.TempDir(), "promfence.yaml")
	up := upstream(t, asked, nil)
	write(t, file, fileSettings(one, up, ""))
	p := startBlind(t, "PROMFENCE_CONFIG="+file)
	until(t, p.server+"/-/ready", 200)
	before := 0
	for i := range 12 {
		idp := []*authtest.Issuer{two, one}[i%2]
		write(t, file, fileSettings(idp, up, ""))
		hangUp(t)
		want := fmt.Sprint(i + 1)
		for end := time.Now().Add(patience); p.count(t, `promfence_config_reloads_total{outcome="success"}`) != want; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("no reload %s", want)
			}
		}
		p.asks(t, idp, asked)
		if i == 1 {
			before = runtime.NumGoroutine()
		}
	}
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before+5; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, and %d before ten reloads\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}
