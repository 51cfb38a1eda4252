package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const requests = `sum by (tenant_id) (rate(http_requests_total[5m]))`

// A call is one request, to paste and to make.
type call struct {
	title  string
	path   string
	params []string // name=value
	token  string
	status int    // what comes back
	holds  string // and what the answer holds
}

func calls(i *issuer) ([]call, error) {
	acme, err := i.token("acme")
	if err != nil {
		return nil, err
	}
	globex, err := i.token("globex")
	if err != nil {
		return nil, err
	}
	now := time.Now().Unix()
	return []call{
		{"acme asks how many requests there are a second", "/query", []string{"query=" + requests}, acme, 200, `"tenant_id":"acme"`},
		{"globex asks the same", "/query", []string{"query=" + requests}, globex, 200, `"tenant_id":"globex"`},
		{
			"acme asks for the last ten minutes of it", "/query_range",
			[]string{"query=" + requests, "start=" + strconv.FormatInt(now-600, 10), "end=" + strconv.FormatInt(now, 10), "step=60"},
			acme, 200, `"tenant_id":"acme"`,
		},
		{"acme asks which tenants there are", "/label/tenant_id/values", nil, acme, 200, `["acme"]`},
		{"somebody without a token asks, and gets a 401", "/query", []string{"query=" + requests}, "", 401, `unauthorized`},
	}, nil
}

// show makes every call once, so that what is printed is known to work, prints
// the lines, and tells what the Prometheus behind was really asked.
func show(ctx context.Context, out io.Writer, address string, i *issuer, behind *server) error {
	base := address + "/api/v1/metrics"
	all, err := calls(i)
	if err != nil {
		return err
	}
	behind.take()
	for _, c := range all {
		if err := c.check(ctx, base); err != nil {
			return err
		}
	}
	asked := behind.take()
	if len(asked) == 0 {
		return fmt.Errorf("promfence answered without asking the Prometheus behind it")
	}
	var b strings.Builder
	b.WriteString("\npromfence is running.")
	if there, err := served(ctx, address+"/console/console.js"); err == nil && there {
		fmt.Fprintf(&b, " Open this page, where acme's and globex's answers to one query stand side by side:\n\n  %s/console#%s\n\nOr paste",
			address, url.Values{"q": {requests}}.Encode())
	} else {
		b.WriteString(" Paste")
	}
	b.WriteString(" these lines into another terminal:\n")
	for _, c := range all {
		fmt.Fprintf(&b, "\n# %s\n%s\n", c.title, c.curl(base))
	}
	fmt.Fprintf(&b, "\nThe query as acme sent it, and as the Prometheus behind received it:\n\n  sent      %s\n  received  %s\n", requests, asked[0])
	fmt.Fprintf(&b, "\nIn a browser:\n\n  the API's reference    %s/docs\n", address)
	fmt.Fprintf(&b, "  the Prometheus behind  %s/api/v1/query?query=up (everybody's series, without a token)\n", behind.front.URL)
	b.WriteString("\nCtrl-C ends it. What promfence logs follows.\n\n")
	_, err = io.WriteString(out, b.String())
	return err
}

// served reports whether there is a page.
func served(ctx context.Context, address string) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, address, nil)
	if err != nil {
		return false, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, err
	}
	return resp.StatusCode == http.StatusOK, resp.Body.Close()
}

// check makes the call and compares what comes back.
func (c call) check(ctx context.Context, base string) error {
	query := url.Values{}
	for _, p := range c.params {
		name, value, _ := strings.Cut(p, "=")
		query.Add(name, value)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+c.path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != c.status || !strings.Contains(string(body), c.holds) {
		return fmt.Errorf("when %s, promfence answers %s instead of %d with %s: %s", c.title, resp.Status, c.status, c.holds, body)
	}
	return nil
}

// curl spells the call as one line for a shell.
func (c call) curl(base string) string {
	words := []string{"curl", "-sS"}
	if c.status != http.StatusOK {
		words = append(words, "-i") // The status is the point.
	}
	if len(c.params) > 0 {
		words = append(words, "-G")
	}
	words = append(words, quote(base+c.path))
	if c.token != "" {
		words = append(words, "-H", quote("Authorization: Bearer "+c.token))
	}
	for _, p := range c.params {
		words = append(words, "--data-urlencode", quote(p))
	}
	return strings.Join(words, " ")
}

// quote makes one word of any text for a shell.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
