package operate_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/fence"
	"github.com/promfence/promfence/test/harness/upstream"
)

// behindNginx is nginx with the example's settings before stubs of Loki and of a
// page, asking a real promfence.
type behindNginx struct {
	*fence.Fence
	url        string
	loki, page *upstream.Recorder
}

func startNginx(t *testing.T) *behindNginx {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		if program = "/usr/sbin/nginx"; !isFile(program) {
			fence.LeaveOut(t, "no nginx: apt-get install nginx-light")
		}
	}
	ok := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, "for "+r.Header.Get("X-Scope-OrgID"))
	})
	b := &behindNginx{loki: upstream.Stub(t, ok), page: upstream.Stub(t, ok)}
	decisions := "127.0.0.1:" + freePort(t)
	b.Fence = fence.Before(t, "http://127.0.0.1:1", "DECISION_ADDRESS="+decisions)
	port := freePort(t)
	b.url = "http://127.0.0.1:" + port
	example, err := os.ReadFile("../../cmd/promfence/deploy/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text := strings.NewReplacer(
		"127.0.0.1:8082", decisions, "127.0.0.1:3100", strings.TrimPrefix(b.loki.URL, "http://"), "127.0.0.1:3000", strings.TrimPrefix(b.page.URL, "http://"),
		"listen 8080;", "listen 127.0.0.1:"+port+";",
		"http {", "http { access_log off; client_body_temp_path "+dir+"; proxy_temp_path "+dir+"; fastcgi_temp_path "+dir+"; uwsgi_temp_path "+dir+"; scgi_temp_path "+dir+";",
	).Replace(string(example))
	file := filepath.Join(dir, "nginx.conf")
	harness.WriteFile(t, file, text)
	cmd := exec.Command(program, "-c", file, "-p", dir, "-e", "stderr", "-g", "daemon off; master_process off; pid "+dir+"/pid;")
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	err = upstream.Poll(t.Context(), 10*time.Second, func() error {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	return b
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func (b *behindNginx) do(t *testing.T, method, path, token string, header ...string) harness.Reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, b.url+path, strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := resp.Body.Read(buf)
		body.Write(buf[:n])
		if err != nil {
			break
		}
	}
	return harness.Reply{Status: resp.StatusCode, Header: resp.Header, Body: body.String()}
}

func TestNginxAsksWhoMayReadLoki(t *testing.T) {
	b := startNginx(t)
	acme := b.Token(t, "acme")
	const query = "/loki/api/v1/query_range?query=%7B%7D"
	got := b.do(t, "GET", query, acme, "X-Scope-OrgID", "globex")
	asked := b.loki.Take()
	if got.Status != 200 || got.Body != "for acme" || len(asked) != 1 || asked[0].Header.Get("Authorization") != "" {
		t.Errorf("acme: %d %q, asked %+v", got.Status, got.Body, asked)
	}
	if got := b.do(t, "GET", query, b.Token(t, []string{"beta", "acme"})); got.Body != "for acme|beta" {
		t.Errorf("two tenants: %d %q", got.Status, got.Body)
	}
	if got := b.do(t, "GET", query, b.Token(t, []string{"beta", "acme"}), "X-Promfence-Tenant", "beta"); got.Body != "for beta" {
		t.Errorf("narrowed: %d %q", got.Status, got.Body)
	}
	if got := b.do(t, "GET", "/page/x", acme); got.Status != 200 || len(b.page.Take()) != 1 {
		t.Errorf("the page: %d", got.Status)
	}
	b.loki.Take()
	for name, tt := range map[string]struct {
		method, path, token string
		status              int
	}{
		"no token":              {"GET", query, "", 401},
		"a bad token":           {"GET", query, acme + "x", 401},
		"no tenant":             {"GET", query, b.Token(t, nil), 403},
		"a push":                {"POST", "/loki/api/v1/push", acme, 404},
		"a push behind a query": {"POST", "/loki/api/v1/query/../push", acme, 404},
		"a deletion":            {"DELETE", "/loki/api/v1/delete", acme, 404},
		"the question itself":   {"GET", "/_decision", acme, 404},
		"writing to the page":   {"POST", "/page/x", acme, 403},
		"a page without token":  {"GET", "/page/x", "", 401},
	} {
		got := b.do(t, tt.method, tt.path, tt.token)
		if got.Status != tt.status {
			t.Errorf("%s: %d, want %d", name, got.Status, tt.status)
		}
		if tt.status == 401 && strings.HasPrefix(tt.path, "/loki") && !strings.HasPrefix(got.Header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s: challenge %q", name, got.Header.Get("WWW-Authenticate"))
		}
	}
	if asked := append(b.loki.Take(), b.page.Take()...); len(asked) > 0 {
		t.Errorf("refused requests reached the servers behind: %+v", asked)
	}
}

// Envoy cannot be installed here; its example is read as Envoy would read it, and
// asks at the paths that promfence decides at.
func TestTheEnvoyExampleFailsClosedAndReadsOnly(t *testing.T) {
	text, err := os.ReadFile("../../cmd/promfence/deploy/envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := yaml.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"failure_mode_allow: false", "path_prefix: /auth", "x-scope-orgid", "path_with_escaped_slashes_action: REJECT_REQUEST"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the example lacks %s", want)
		}
	}
	routes := regexp.MustCompile(`match: \{prefix: (\S+), (.*)\}\n`).FindAllStringSubmatch(string(text), -1)
	if len(routes) == 0 {
		t.Error("there are no routes")
	}
	for _, r := range routes {
		if !strings.Contains(r[2], `":method", string_match: {exact: GET}`) {
			t.Errorf("%s is not for reading only", r[1])
		}
	}
}
