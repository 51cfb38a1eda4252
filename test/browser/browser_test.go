// Package browser_test opens /docs in a real browser, since only a browser
// enforces a content security policy and tells whether the page works under it.
package browser_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/promfence/promfence/test/harness/fence"
)

// serve starts promfence with nothing around it: the page needs no token, no
// keys and no upstream.
func serve(t *testing.T) *url.URL {
	t.Helper()
	u, err := url.Parse(fence.Launch(t, "UPSTREAM_URL=http://127.0.0.1:1", "AUTH_ISSUER=http://127.0.0.1:1", "AUTH_AUDIENCE=any").URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// chromium is the browser's path. CI must have one; elsewhere the test says what
// is missing.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	fence.LeaveOut(t, "no browser: install chromium (apt-get install chromium) or name one in CHROMIUM")
	return ""
}

// A page is a browser's tab and what went wrong in it.
type page struct {
	ctx context.Context
	own string // the host that may be asked

	mu       sync.Mutex
	asked    []string
	problems []string
}

// open starts a browser whose only reachable host is the one of u, and loads u.
func open(t *testing.T, u *url.URL) *page {
	t.Helper()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(chromium(t)), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE "+u.Hostname()),
		chromedp.WindowSize(1600, 1200),
	)
	allocated, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocated)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)

	p := &page{ctx: ctx, own: u.Host}
	if err := chromedp.Listen(ctx, p.note); err != nil {
		t.Fatalf("the browser: %v", err)
	}
	p.run(t, chromedp.Navigate(u.String()))
	return p
}

func (p *page) run(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.check(t)
		t.Fatalf("the browser: %v", err)
	}
}

// get runs an action and returns its value.
func get[T any](t *testing.T, p *page, action chromedp.Action[T]) T {
	t.Helper()
	value, err := chromedp.Run(p.ctx, action)
	if err != nil {
		p.check(t)
		t.Fatalf("the browser: %v", err)
	}
	return value
}

// note collects what the console shows and what the page asks for.
func (p *page) note(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			p.problems = append(p.problems, e.Entry.Text+" "+e.Entry.URL)
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			p.problems = append(p.problems, fmt.Sprintf("%v", e.Args))
		}
	case *runtime.EventExceptionThrown:
		p.problems = append(p.problems, fmt.Sprintf("%s %v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	case *network.EventRequestWillBeSent:
		p.asked = append(p.asked, e.Request.URL)
	}
}

// check fails the test if the page had a problem or looked elsewhere.
func (p *page) check(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, problem := range p.problems {
		t.Errorf("in the console: %s", problem)
	}
	for _, raw := range p.asked {
		u, err := url.Parse(raw)
		if err != nil || (u.Host != p.own && u.Scheme != "data" && u.Scheme != "blob") {
			t.Errorf("the page asked for %s", raw)
		}
	}
}

// screenshot keeps a picture where SCREENSHOTS names a directory.
func (p *page) screenshot(t *testing.T, name string) {
	t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	png := get(t, p, chromedp.CaptureScreenshot())
	if err := os.WriteFile(dir+"/"+name+".png", png, 0o600); err != nil {
		t.Fatal(err)
	}
}

// hasRedoc tells whether this build renders the page with Redoc.
func hasRedoc(t *testing.T, u *url.URL) bool {
	t.Helper()
	resp, err := http.Get(u.JoinPath("/docs/redoc.js").String())
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK && os.Getenv("CI") != "" {
		t.Fatal("this build has no Redoc: run make redoc before the tests")
	}
	return resp.StatusCode == http.StatusOK
}

func TestDocsRenderInABrowserWithoutANetwork(t *testing.T) {
	u := serve(t)
	if !hasRedoc(t, u) {
		t.Log("this build's /docs is plain: make redoc adds Redoc")
		p := open(t, u.JoinPath("/docs"))
		text := get(t, p, chromedp.Text(chromedp.CSS("body")))
		contains(t, text, "promfence API", "/api/v1/metrics/query")
		p.screenshot(t, "plain")
		p.check(t)
		return
	}
	p := open(t, u.JoinPath("/docs"))
	p.run(t, chromedp.WaitVisible(chromedp.CSS("h1")))
	contains(t, get(t, p, chromedp.Title()), "promfence")
	contains(t, get(t, p, chromedp.Text(chromedp.CSS("h1"))), "promfence")
	p.screenshot(t, "redoc-top")

	query := chromedp.CSS(`#operation\/query`)
	p.run(t, chromedp.WaitVisible(query), chromedp.ScrollIntoView(query))
	contains(t, get(t, p, chromedp.Text(query)), "/api/v1/metrics/query", "401", "it isn't a valid one", "PromQL expression")
	p.screenshot(t, "redoc-query")

	// The search runs in a worker, which the policy must allow.
	results := chromedp.CSS(`[data-role="search:results"]`)
	p.run(t, chromedp.SendKeys(chromedp.CSS(`[role="search"] input`), "exemplars"), chromedp.WaitVisible(results))
	contains(t, strings.ToLower(get(t, p, chromedp.Text(results))), "exemplars")
	p.screenshot(t, "redoc-search")
	p.check(t)
}

func contains(t *testing.T, text string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(text, w) {
			t.Errorf("want %q in %.2000q", w, text)
		}
	}
}
