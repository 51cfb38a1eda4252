// Package auth_test runs promfence with tokens: those of a real OpenID provider,
// those of who would like to be one, and those that prove no tenant.
package auth_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/promfence/promfence/test/harness"
	"github.com/promfence/promfence/test/harness/fence"
	"github.com/promfence/promfence/test/harness/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(tests{m}) }

// tests ends what belongs to no single test, before leaks are looked for.
type tests struct{ *testing.M }

func (m tests) Run() int {
	code := m.M.Run()
	http.DefaultClient.CloseIdleConnections()
	return code
}

// query asks for up with these headers, as Grafana does.
func query(t *testing.T, f *fence.Fence, header http.Header) harness.Reply {
	t.Helper()
	body := strings.NewReader(url.Values{"query": {"up"}}.Encode())
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.URL+"/api/v1/query", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header.Clone()
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return harness.Do(t, req)
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// reads fails the test unless the caller reads as the tenant, and the upstream
// gets nothing of what proved it.
func reads(t *testing.T, f *fence.Fence, behind *upstream.Recorder, header http.Header, tenant string) {
	t.Helper()
	behind.Take()
	if got := query(t, f, header); got.Status != http.StatusOK {
		t.Errorf("%d %s, want an answer for %s\n%s", got.Status, got.Body, tenant, f.Log())
		return
	}
	var queries []string
	for _, asked := range behind.Take() {
		queries = append(queries, asked.Params().Get("query"))
		for name, values := range header {
			if asked.Header.Values(name) != nil {
				t.Errorf("the upstream got the header %s", name)
			}
			for _, v := range values {
				token := strings.TrimPrefix(v, "Bearer ")
				if strings.Contains(fmt.Sprint(asked), token) || strings.Contains(f.Log(), token) {
					t.Errorf("what %s holds is with the upstream or in the log", name)
				}
			}
		}
	}
	if diff := cmp.Diff([]string{fmt.Sprintf("up{tenant_id=%q}", tenant)}, queries); diff != "" {
		t.Errorf("the upstream was asked (-want +got):\n%s", diff)
	}
}

// refused fails the test unless the caller gets this status and the upstream
// hears nothing. It returns the answer.
func refused(t *testing.T, f *fence.Fence, behind *upstream.Recorder, header http.Header, status int) harness.Reply {
	t.Helper()
	behind.Take()
	got := query(t, f, header)
	if got.Status != status {
		t.Errorf("%d %s, want %d", got.Status, got.Body, status)
	}
	if want := `"status":"error"`; !strings.Contains(got.Body, want) {
		t.Errorf("the refusal is %q, want %s in it", got.Body, want)
	}
	if challenge := got.Header.Get("WWW-Authenticate"); (status == http.StatusUnauthorized) != strings.HasPrefix(challenge, "Bearer") {
		t.Errorf("%d with WWW-Authenticate: %q", status, challenge)
	}
	for _, asked := range behind.Take() {
		t.Errorf("the upstream was asked %s %s %s", asked.Method, asked.Path, asked.Body)
	}
	return got
}

// file writes a file for the program to read.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
