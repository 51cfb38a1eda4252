package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// A subject is a program that is measured.
type subject struct {
	name     string
	enforces bool // it narrows queries itself
	command  func(address string) *exec.Cmd
}

// A process is a subject that runs.
type process struct {
	subject
	cmd     *exec.Cmd // nil for the stub without a proxy
	pid     int
	log     string
	address string
	conns   []*client
	sent    atomic.Uint64 // requests so far
	warm    int64         // peak memory after the warm-up, in KiB
	live    int64         // live heap before the load, in bytes
}

// programs starts the subjects, all with the same upstream.
type programs struct {
	bin, dir string // where the programs are, and where their logs and keys go
	upstream string
}

const (
	nTuned     = "bare tuned"
	nDefault   = "bare default"
	nLabel     = "prom-label-proxy"
	nPromfence = "promfence"
	nDirect    = "no proxy"
)

func (p programs) subjects() []subject {
	upstream := "http://" + p.upstream
	peer := func(role string) func(string) *exec.Cmd {
		return func(address string) *exec.Cmd {
			return exec.Command(filepath.Join(p.bin, "peer"), role, address, upstream)
		}
	}
	return append([]subject{
		{nPromfence, true, p.promfence(filepath.Join(p.bin, "promfence"))},
		{nTuned, false, peer("tuned")},
		{nDefault, false, peer("default")},
		{nLabel, true, func(address string) *exec.Cmd {
			return exec.Command(filepath.Join(p.bin, "prom-label-proxy"), "-insecure-listen-address", address,
				"-upstream", upstream, "-label", "tenant_id", "-header-name", "X-Tenant", "-enable-label-apis")
		}},
	}, p.nginx()...)
}

// stub starts the upstream, which has 20 rules in each group.
func (p programs) stub(ruleGroups int) (*process, error) {
	return p.start(subject{name: "stub", command: func(address string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(p.bin, "peer"), "stub", address, strconv.Itoa(ruleGroups))
		cmd.Stderr = os.Stderr
		return cmd
	}})
}

// promfence runs with its access log in a file, metrics on, and RS256.
func (p programs) promfence(binary string) func(string) *exec.Cmd {
	return func(address string) *exec.Cmd {
		cmd := exec.Command(binary, "serve")
		cmd.Env = []string{
			"PROMFENCE_SERVER_ADDRESS=" + address,
			"PROMFENCE_ADMIN_ADDRESS=" + adminOf(address),
			"PROMFENCE_ADMIN_PPROF=true",
			"PROMFENCE_UPSTREAM_URL=http://" + p.upstream,
			"PROMFENCE_AUTH_ISSUER=" + issuer,
			"PROMFENCE_AUTH_AUDIENCE=" + audience,
			"PROMFENCE_AUTH_JWKS_FILE=" + p.jwks(),
		}
		return cmd
	}
}

// jwks is the file with the keys. It has a folder to itself: promfence watches
// that, and each line of a log beside it would wake promfence up.
func (p programs) jwks() string { return filepath.Join(p.dir, "keys", "jwks.json") }

// adminOf is the same port of another loopback address.
func adminOf(address string) string { return strings.Replace(address, "127.0.0.1", "127.0.0.2", 1) }

// start runs a command that listens on a free port of loopback.
func (p programs) start(s subject) (*process, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := ln.Addr().String()
	_ = ln.Close() // the port stays free long enough
	log, err := os.CreateTemp(p.dir, "log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := s.command(address)
	if cmd.Stderr == nil {
		cmd.Stderr = log
	}
	if cmd.Path, err = p.copyOf(cmd.Path); err != nil {
		return nil, err
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it ends with us, however we end
	}
	if err := errors.Join(cmd.Start(), os.Remove(cmd.Path)); err != nil {
		return nil, err
	}
	run := &process{subject: s, cmd: cmd, pid: cmd.Process.Pid, log: log.Name(), address: address}
	for range 200 {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return run, conn.Close()
		}
		time.Sleep(25 * time.Millisecond)
	}
	defer run.stop()
	return nil, fmt.Errorf("%s does not listen on %s: %s", s.name, address, run.said())
}

// copyOf copies a program for one process. Processes of one file share its
// pages in the processors' caches, which would favor the bare proxies, of one
// program with the stub; and a file as a linker has written it runs up to 5 %
// slower than its copy.
func (p programs) copyOf(program string) (string, error) {
	from, err := os.Open(program)
	if err != nil {
		return "", err
	}
	defer from.Close()
	to, err := os.CreateTemp(p.dir, filepath.Base(program))
	if err != nil {
		return "", err
	}
	_, err = io.Copy(to, from)
	return to.Name(), errors.Join(err, to.Chmod(0o700), to.Close())
}

// said is the end of what the process has logged.
func (p *process) said() string {
	log, _ := os.ReadFile(p.log) // without one it said nothing
	return string(log[max(0, len(log)-500):])
}

// stop ends the process.
func (p *process) stop() {
	for _, c := range p.conns {
		_ = c.conn.Close()
	}
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(p.cmd.SysProcAttr.Pdeathsig)
		_ = p.cmd.Wait()
		_ = os.Remove(p.log)
	}
}

// connect opens connections that live as long as the process.
func (p *process) connect(n int) error {
	for range n {
		c, err := dial(p.address)
		if err != nil {
			return err
		}
		p.conns = append(p.conns, c)
	}
	return nil
}

// pids are the process and the workers that it has started.
func (p *process) pids() ([]int, error) {
	all := []int{p.pid}
	if p.name != nNginx {
		return all, nil
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", p.pid, p.pid))
	for text := range strings.FieldsSeq(string(children)) {
		pid, err1 := strconv.Atoi(text)
		all, err = append(all, pid), errors.Join(err, err1)
	}
	return all, err
}

// cpu is the time that the process and its workers have spent on processors so far.
func (p *process) cpu() (sum time.Duration, err error) {
	pids, err := p.pids()
	for _, pid := range pids {
		d, err1 := cpuOf(pid)
		sum, err = sum+d, errors.Join(err, err1)
	}
	return sum, err
}

func cpuOf(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, errors.New("/proc/PID/stat is short")
	}
	const tick = time.Second / 100 // USER_HZ, the same on every Linux that Go runs on
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}

// peak is the most memory that the process and its workers have had resident, in KiB.
func (p *process) peak() (sum int64, err error) {
	pids, err := p.pids()
	for _, pid := range pids {
		n, err1 := peakOf(pid)
		sum, err = sum+n, errors.Join(err, err1)
	}
	return sum, err
}

func peakOf(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return strconv.ParseInt(strings.Fields(v)[0], 10, 64)
		}
	}
	return 0, errors.New("/proc/PID/status has no VmHWM")
}

// heap is what is live on promfence's heap, in bytes; 0 for the others.
func (p *process) heap() (int64, error) {
	if p.name != nPromfence {
		return 0, nil
	}
	resp, err := http.Get("http://" + adminOf(p.address) + "/debug/pprof/heap?gc=1&debug=1")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "# HeapAlloc = "); ok {
			return strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		}
	}
	return 0, errors.New("the heap profile has no HeapAlloc")
}
