package main_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promfence/promfence/auth/authtest"
	promfence "github.com/promfence/promfence/cmd/promfence"
)

func TestMain(m *testing.M) {
	if os.Getenv("RUN_MAIN") != "" { // started by execute as the program itself
		promfence.Main()
		return
	}
	os.Exit(m.Run())
}

func TestServesWhatTheTokenAllows(t *testing.T) {
	idp, asked := authtest.NewIssuer(t), make(chan string, 1)
	p := start(t, settings(idp, upstream(t, asked, nil))...)
	until(t, p.server+"/-/ready", 200)

	status, body, _ := get(t, p.server+"/api/v1/query?query=up", idp.Token(t, "acme", nil))
	if status != 200 || body != answer {
		t.Errorf("%d %s", status, body)
	}
	if diff := cmp.Diff(`up{tenant_id="acme"}`, <-asked); diff != "" {
		t.Error(diff)
	}
	if status, body, _ = get(t, p.server+"/api/v1/query?query=up", ""); status != 401 {
		t.Errorf("without a token: %d %s", status, body)
	}
	p.logged(t, "info", `"message":"starting"`, `"version"`, `"label":"tenant_id"`, `"issuers":["`+idp.URL, `"upstream":"127.0.0.1:`)
	p.end()
	if err := p.ended(t); err != nil {
		t.Error(err)
	}
}

func TestRefusesToStart(t *testing.T) {
	good := settings(authtest.NewIssuer(t), "http://127.0.0.1:9090")
	short := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(short, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args, environ []string
		want          []string
	}{
		"without settings": {nil, nil, []string{"PROMFENCE_UPSTREAM_URL", "PROMFENCE_AUTH_ISSUER", "PROMFENCE_AUTH_AUDIENCE"}},
		"a typo":           {nil, append(good, "PROMFENCE_TENANCY_LABLE=t"), []string{"PROMFENCE_TENANCY_LABLE: no such setting"}},
		"a weak secret":    {nil, append(good, "PROMFENCE_AUTH_HMAC_SECRET_FILE="+short), []string{"PROMFENCE_AUTH_HMAC_SECRET_FILE: ", "32"}},
		"a claim's syntax": {nil, append(good, "PROMFENCE_AUTH_TENANT_CLAIM=a..b"), []string{"PROMFENCE_AUTH_TENANT_CLAIM: "}},
		"an argument":      {[]string{"start"}, good, []string{"start: "}},
		"an unknown flag":  {[]string{"--upstream=x"}, good, []string{"--upstream"}},
	} {
		for _, command := range []string{"serve", "check"} {
			t.Run(command+" "+name, func(t *testing.T) {
				var stdout bytes.Buffer
				err := promfence.Run(t.Context(), append([]string{command}, tt.args...), tt.environ, &stdout, io.Discard)
				for _, want := range tt.want {
					if !strings.Contains(fmt.Sprint(err), want) {
						t.Errorf("%v\ndoes not say %s", err, want)
					}
				}
				if strings.Contains(fmt.Sprint(err), "s3cret") {
					t.Errorf("%v\ntells a secret", err)
				}
				if stdout.Len() > 0 {
					t.Errorf("printed %s", stdout.String())
				}
			})
		}
	}
}

func TestTakenPortGivesASentence(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	environ := append(settings(authtest.NewIssuer(t), "http://127.0.0.1:9090"), "PROMFENCE_ADMIN_ADDRESS=off", "PROMFENCE_SERVER_ADDRESS="+ln.Addr().String())
	err = promfence.Run(t.Context(), nil, environ, io.Discard, io.Discard)
	want := "PROMFENCE_SERVER_ADDRESS: " + ln.Addr().String() + " is taken by another process; end that one or choose another port"
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Error(diff)
	}
}

func TestStartsWithoutItsProvider(t *testing.T) {
	idp := authtest.NewIssuer(t)
	idp.Fail(500)
	p := start(t, settings(idp, "http://127.0.0.1:9090")...)
	for _, base := range []string{p.server, p.admin} {
		if status, _, _ := get(t, base+"/-/ready", ""); status != 503 {
			t.Errorf("%s is ready with %d", base, status)
		}
		if status, _, _ := get(t, base+"/-/healthy", ""); status != 200 {
			t.Errorf("%s is healthy with %d", base, status)
		}
	}
	status, body, header := get(t, p.server+"/api/v1/query?query=up", idp.Token(t, "acme", nil))
	if status != 503 || header.Get("Retry-After") == "" {
		t.Errorf("%d %s, Retry-After %q", status, body, header.Get("Retry-After"))
	}
}

func TestWarnsAtEveryStart(t *testing.T) {
	environ := settings(authtest.NewIssuer(t), "http://192.0.2.1:9090")[:2]
	p := start(t, append(environ, "PROMFENCE_AUTH_INSECURE_ANY_AUDIENCE=true", "PROMFENCE_AUTH_JWKS_URL=http://192.0.2.2/keys")...)
	p.logged(t, "warn", "insecure_any_audience")
	p.logged(t, "warn", "plain http", "192.0.2.1:9090")
	p.logged(t, "warn", "plain http", "192.0.2.2/keys")
}

func TestAdminListener(t *testing.T) {
	idp := authtest.NewIssuer(t)
	good := settings(idp, "http://127.0.0.1:9090")
	token := idp.Token(t, "acme", nil)
	p := start(t, append(good, "PROMFENCE_ADMIN_PPROF=true")...)
	until(t, p.admin+"/-/ready", 200)
	status, body, _ := get(t, p.admin+"/metrics", "")
	for _, name := range []string{"promfence_", "go_goroutines", "process_cpu_seconds_total"} {
		if status != 200 || !strings.Contains(body, name) {
			t.Errorf("no %s in the metrics", name)
		}
	}
	if status, _, _ := get(t, p.admin+"/debug/pprof/goroutine?debug=1", ""); status != 200 {
		t.Errorf("pprof answers %d", status)
	}
	if status, _, _ := get(t, start(t, good...).admin+"/debug/pprof/", ""); status != 404 {
		t.Errorf("pprof, which is off, answers %d", status)
	}
	for _, path := range []string{"/metrics", "/debug/pprof/"} {
		if status, _, _ := get(t, p.server+path, token); status != 404 {
			t.Errorf("callers get %s: %d", path, status)
		}
		if status, _, _ := get(t, p.admin+"/api/v1/query?query=up", token); status != 404 {
			t.Errorf("the admin listener answers queries: %d", status)
		}
	}
}

// Answers do not wait to be counted, but scrapes wait until they are.
func TestAScrapeCountsEveryAnswerBefore(t *testing.T) {
	idp, asked := authtest.NewIssuer(t), make(chan string, 1)
	p := start(t, settings(idp, upstream(t, asked, nil))...)
	until(t, p.server+"/-/ready", 200)
	for n := 1; n <= 50; n++ {
		p.asks(t, idp, asked)
		if got := p.count(t, `promfence_requests_total{code="200",method="GET",route="/api/v1/query"}`); got != strconv.Itoa(n) {
			t.Fatalf("%s requests are counted, want %d", got, n)
		}
	}
}

// Whoever promises a body and sends none does not keep the answer's goroutine.
func TestAdminWaitsForNoBody(t *testing.T) {
	t.Parallel() // it waits
	p := start(t, append(settings(authtest.NewIssuer(t), "http://127.0.0.1:9090"), "PROMFENCE_ADMIN_PPROF=true")...)
	var all sync.WaitGroup
	for _, path := range []string{"/metrics", "/-/healthy", "/debug/pprof/cmdline", "/nothing"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.admin, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		all.Go(func() {
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", path)
			if answer, err := io.ReadAll(conn); err != nil || len(answer) == 0 {
				t.Errorf("%s: the connection stays open: %v", path, err)
			}
		})
	}
	if status, body, _ := get(t, p.admin+"/debug/pprof/trace?seconds=1.1", ""); status != http.StatusOK || len(body) == 0 {
		t.Errorf("a trace that takes longer: %d", status)
	}
	all.Wait()
}

func command(t *testing.T, environ []string, args ...string) string {
	t.Helper()
	var stdout bytes.Buffer
	if err := promfence.Run(context.Background(), args, environ, &stdout, io.Discard); err != nil {
		t.Fatal(err)
	}
	return stdout.String()
}

func TestCheckShowsWhatIsInEffect(t *testing.T) {
	file := filepath.Join(t.TempDir(), "promfence.yaml")
	if err := os.WriteFile(file, []byte("tenancy: {label: team}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := settings(authtest.NewIssuer(t), "http://127.0.0.1:9090")
	for _, args := range [][]string{{"check", "--config", file}, {"--config", file, "check"}, {"check", "--config=" + file}} {
		got := strings.Split(command(t, good, args...), "\n")
		for _, want := range []string{
			`upstream.url: "http://127.0.0.1:9090" # PROMFENCE_UPSTREAM_URL`,
			`tenancy.label: "team" # ` + file,
			`log.level: "info" # default`,
		} {
			if !slices.Contains(got, want) {
				t.Errorf("%v does not print\n%s", args, want)
			}
		}
	}
}

func TestExplain(t *testing.T) {
	good := settings(authtest.NewIssuer(t), "http://127.0.0.1:9090")
	file := write(t, filepath.Join(t.TempDir(), "promfence.yaml"), []byte("tenancy: {label: team}\nauth: {isuer: x}\n"))
	for name, tt := range map[string]struct {
		environ, args []string
		want          string
	}{
		"one tenant":                {nil, []string{"--tenant", "acme", "sum(rate(a[5m]))"}, `sum(rate(a{tenant_id="acme"}[5m]))`},
		"two tenants":               {nil, []string{"--tenant=b", "--tenant=a", "x"}, `x{tenant_id=~"a|b"}`},
		"another label":             {nil, []string{"--label=team", "--tenant=a", "x"}, `x{team="a"}`},
		"the label of the settings": {append(good, "PROMFENCE_TENANCY_LABEL=team"), []string{"--tenant=a", "x"}, `x{team="a"}`},
		"nothing but the label":     {[]string{"PROMFENCE_TENANCY_LABEL=team"}, []string{"--tenant=a", "x"}, `x{team="a"}`},
		"the label of a file":       {nil, []string{"--config=" + file, "--tenant=a", "x"}, `x{team="a"}`},
		"a variable beside a file":  {[]string{"PROMFENCE_CONFIG=" + file, "PROMFENCE_TENANCY_LABEL=crew"}, []string{"--tenant=a", "x"}, `x{crew="a"}`},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want+"\n", command(t, tt.environ, append([]string{"explain"}, tt.args...)...)); diff != "" {
				t.Error(diff)
			}
		})
	}
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"no tenant":     {[]string{"x"}, "--tenant"},
		"no query":      {[]string{"--tenant=a"}, "query"},
		"empty tenant":  {[]string{"--tenant=", "x"}, "--tenant"},
		"invalid query": {[]string{"--tenant=a", "sum("}, "1:5"},
		"info()":        {[]string{"--tenant=a", "info(x)"}, "info"},
		"no such file":  {[]string{"--config=/nonexistent.yaml", "--tenant=a", "x"}, "/nonexistent.yaml"},
		"no file":       {[]string{"--config=", "--tenant=a", "x"}, "--config"},
	} {
		t.Run(name, func(t *testing.T) {
			err := promfence.Run(t.Context(), append([]string{"explain"}, tt.args...), nil, io.Discard, io.Discard)
			if !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Errorf("%v does not speak of %s", err, tt.want)
			}
		})
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"-h"}, {"help"}} {
		got := command(t, nil, args...)
		for _, want := range []string{"explain --tenant", "PROMFENCE_UPSTREAM_URL", "upstream.timeout", "130s", "PROMFENCE_CONFIG"} {
			if !strings.Contains(got, want) {
				t.Errorf("%v does not say %s", args, want)
			}
		}
	}
	for _, args := range [][]string{{"version"}, {"--version"}} {
		if got := command(t, nil, args...); !strings.Contains(got, "PromQL parser github.com/prometheus/prometheus ") {
			t.Errorf("%v says %s", args, got)
		}
	}
}

// Limits of the upstream's engine that nobody enforces are warned of at the start, and
// again when they are set later.
func TestWarnsOfLimitsThatNobodyEnforces(t *testing.T) {
	up := upstreamThat(t, false, "")
	file := write(t, filepath.Join(t.TempDir(), "promfence.yaml"), []byte("limits: {max_series: 10}\n"))
	basic := write(t, filepath.Join(t.TempDir(), "basic"), []byte("fence:secret"))
	p := start(t, append(settings(authtest.NewIssuer(t), up), "PROMFENCE_CONFIG="+file, "PROMFENCE_UPSTREAM_BASIC_AUTH_FILE="+basic)...)
	p.logged(t, "warn", "nobody enforces these limits", `"settings":["limits.max_series"]`)
	write(t, file, []byte("limits: {max_samples_read: 10}\n"))
	p.logged(t, "warn", "nobody enforces these limits", `"settings":["limits.max_samples_read"]`)
}

// An answer without a length ends with its connection over HTTP/1.0, so that only a
// reset tells that it is not whole.
func TestACutAnswerLooksCutToAnOldCaller(t *testing.T) {
	idp := authtest.NewIssuer(t)
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"status":`)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(broken.Close)
	p := start(t, settings(idp, broken.URL)...)
	until(t, p.server+"/-/ready", 200)
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.server, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET /api/v1/query?query=up HTTP/1.0\r\nAuthorization: Bearer "+idp.Token(t, "acme", nil)+"\r\n\r\n")
	if got, err := io.ReadAll(conn); err == nil || !strings.Contains(string(got), " 200 OK") {
		t.Errorf("%q, %v", got, err)
	}
}
