package operate_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/promfence/promfence/test/harness/fence"
)

// peak is the most that the process has had in memory, in bytes.
func (p process) peak(t *testing.T) float64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Cmd.Process.Pid))
	if err != nil {
		fence.LeaveOut(t, "no /proc: memory is measured on Linux")
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		t.Fatalf("%s", status)
	}
	kib, _ := strconv.Atoi(string(m[1]))
	return float64(kib) * 1024
}

func (p process) host() string { return strings.TrimPrefix(p.URL, "http://") }

// strangers opens connections and sends the same on each; they stay open until the
// test ends.
func (p process) strangers(t *testing.T, n int, sent string) {
	t.Helper()
	var all sync.WaitGroup
	for range n {
		c, err := net.Dial("tcp", p.host())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(3 * time.Second)) // what is not taken by then is not taken at all
		all.Go(func() { _, _ = io.WriteString(c, sent) })  // one that is refused is not read to the end
	}
	all.Wait()
	time.Sleep(500 * time.Millisecond) // until what was sent is read, as a rule
}

// Nobody of these has a token. What they hold of the process is bounded, and a
// caller is served meanwhile.
func TestStrangersHoldLittle(t *testing.T) {
	start := "GET / HTTP/1.1\r\nHost: x\r\n"
	for name, tt := range map[string]struct {
		sent  string
		bound float64
	}{
		"lines of one byte":           {start + short(255_000), 160 * mib},
		"as many lines as may be":     {start + lines(198, 470), 160 * mib},
		"a line as long as may be":    {start + "a: " + strings.Repeat("b", 95<<10), 160 * mib},
		"a URL as long as may be":     {"GET /" + strings.Repeat("b", 95<<10), 160 * mib},
		"bodies without a token":      {"POST /api/v1/query HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("b", 999_999), 160 * mib},
		"HTTP/2, an unfinished frame": {http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x0f\xff\xff\x00\x00\x00\x00\x00\x01" + strings.Repeat("b", 0xff000), 160 * mib},
		"HTTP/2, unfinished headers":  {http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + unfinishedBlock(), 160 * mib},
	} {
		t.Run(name, func(t *testing.T) {
			f := startQuiet(t)
			f.strangers(t, 200, tt.sent)
			f.wants(t, "acme", "up", http.StatusOK)
			peak := f.peak(t)
			t.Logf("%s: %.0f MiB", t.Name(), peak/mib)
			if peak > tt.bound {
				t.Errorf("200 strangers hold %.0f MiB", peak/mib)
			}
		})
	}
}

// short are header lines of a few bytes, each with another name.
func short(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "%x:\n", i)
	}
	return b.String()
}

// lines are so many header lines with other names, each so long.
func lines(n, size int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "a%d: %s\r\n", i, strings.Repeat("b", size-len("a000: \r\n")))
	}
	return b.String()
}

// unfinishedBlock is a HEADERS frame and some CONTINUATIONs without an end.
func unfinishedBlock() string {
	var block, out bytes.Buffer
	e := hpack.NewEncoder(&block)
	for i := range 190 {
		_ = e.WriteField(hpack.HeaderField{Name: "a" + strconv.Itoa(i), Value: strings.Repeat("b", 440), Sensitive: true})
	}
	f := http2.NewFramer(&out, nil)
	b := block.Bytes()
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: b[:16<<10]})
	for b = b[16<<10:]; len(b) > 0; b = b[min(len(b), 16<<10):] {
		_ = f.WriteContinuation(1, false, b[:min(len(b), 16<<10)])
	}
	return out.String()
}

func startQuiet(t *testing.T, settings ...string) process {
	t.Helper()
	return run(t, exec.Command(fence.Binary(t, false), "serve"), stub(t, nil), append(quiet(t), settings...)...)
}

// One tenant sends large bodies by many streams, each slowly.
func TestStreamsOfLargeBodiesHoldLittle(t *testing.T) {
	const size = 1 << 20
	f := startQuiet(t)
	f.largeBodies(t, 200, size)
	peak := f.peak(t)
	t.Logf("%s: %.0f MiB", t.Name(), peak/mib)
	if peak > 192*mib {
		t.Errorf("200 streams of 1 MiB hold %.0f MiB", peak/mib)
	}
	f.wants(t, "acme", "up", http.StatusOK)
}

// largeBodies asks by so many streams of HTTP/2 at once, a hundred a connection.
func (p process) largeBodies(t *testing.T, n, size int) {
	t.Helper()
	body := "query=up&x=" + strings.Repeat("y", size-len("query=up&x="))
	token := p.Token(t, "acme")
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	var all sync.WaitGroup
	for i := 0; i < n; i += 100 {
		client := &http.Client{Transport: &http.Transport{Protocols: &protocols}}
		t.Cleanup(client.CloseIdleConnections)
		for range min(100, n-i) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL+"/api/v1/query", &slowEnd{Reader: strings.NewReader(body)})
			if err != nil {
				t.Fatal(err)
			}
			r.ContentLength = int64(size)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Authorization", "Bearer "+token)
			all.Go(func() {
				resp, err := client.Do(r)
				if err != nil {
					return // refused while it was sent
				}
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusServiceUnavailable {
					t.Errorf("%s", resp.Status)
				}
			})
		}
	}
	all.Wait()
}

// slowEnd takes its time before the last byte.
type slowEnd struct{ *strings.Reader }

func (s *slowEnd) Read(p []byte) (int, error) {
	if s.Len() == 1 {
		time.Sleep(2 * time.Second)
	} else if s.Len() > 1 {
		p = p[:min(len(p), s.Len()-1)]
	}
	return s.Reader.Read(p)
}

// The settings and the memory of the examples, with everything taken at once that
// the settings allow: strangers' headers on every connection, then large bodies.
func TestExamplesSurviveTheirWorstCase(t *testing.T) {
	for _, name := range []string{"sidecar.yaml", "standalone.yaml"} {
		t.Run(name, func(t *testing.T) {
			c := declared(t, name)
			s := checkSettings(t, c.settings.Data["promfence.yaml"])
			goal, limit := checkMemory(t, c.promfence(t), s)
			cmd := shell(t, fmt.Sprintf("export GOMEMLIMIT=%d", goal))
			f := run(t, cmd, stub(t, nil), append(
				quiet(t),
				fmt.Sprintf("SERVER_MAX_CONNECTIONS=%d", s.Server.MaxConnections),
				fmt.Sprintf("SERVER_MAX_HEADER_BYTES=%d", s.Server.MaxHeaderBytes),
				fmt.Sprintf("LIMITS_MAX_BODY_BYTES=%d", s.Limits.MaxBodyBytes),
			)...)
			per := s.Server.MaxHeaderBytes / 200
			f.strangers(t, s.Server.MaxConnections, "GET / HTTP/1.1\r\nHost: x\r\n"+lines(198, per))
			f.strangers(t, s.Server.MaxConnections, "GET / HTTP/1.1\r\nHost: x\r\na: "+strings.Repeat("b", s.Server.MaxHeaderBytes-100))
			f.largeBodies(t, 100, s.Limits.MaxBodyBytes)
			f.wants(t, "acme", "up", http.StatusOK)
			peak := f.peak(t)
			t.Logf("%.0f of %d MiB", peak/mib, limit/mib)
			if peak > float64(goal) {
				t.Errorf("it took %.0f MiB of %d", peak/mib, limit/mib)
			}
		})
	}
}
