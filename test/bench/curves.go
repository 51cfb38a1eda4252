package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A curve shows how promfence's cost grows with one quantity.
type curve struct {
	name        string
	points      []int
	cpu, memory shape
	at          func(x int) (measured, error)

	cpus, mebis []float64 // what was found, by point
}

// A measured is what runs at one point.
type measured struct {
	conns   int
	from    requests
	command func(address string) *exec.Cmd
	warm    load     // zero = a moment
	stub    *process // of the point, if it has one
}

var errBends = errors.New("a curve bends upwards")

// growthCurves measures all curves, draws them, and fails if one is not what it
// should be.
func (b *bench) growthCurves(picture string) error {
	all, err := b.curves()
	if err != nil {
		return err
	}
	b.rounds = min(b.rounds, 5)
	bends := false
	for i := range all {
		c := &all[i]
		if err := b.follow(c); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		ok, err := c.print(os.Stdout)
		if err != nil {
			return err
		}
		bends = bends || !ok
	}
	if err := drawAll(all, picture); err != nil {
		return err
	}
	fmt.Printf("\ndrawn in %s\n", picture)
	if bends {
		return errBends
	}
	return nil
}

// follow runs a process for each point, all at once, and lets them take turns.
func (b *bench) follow(c *curve) error {
	var ps []*process
	var at []measured
	defer func() {
		for i, p := range ps {
			p.stop()
			if at[i].stub != nil {
				at[i].stub.stop()
			}
		}
	}()
	for _, x := range c.points {
		m, err := c.at(x)
		if err != nil {
			return err
		}
		p, err := b.start(subject{nPromfence, true, m.command})
		if err != nil {
			return err
		}
		at, ps = append(at, m), append(ps, p)
		if m.warm == (load{}) {
			m.warm.time = 300 * time.Millisecond
		}
		if err := p.connect(m.conns); err != nil {
			return err
		}
		if _, err := p.round(m.from, m.warm); err != nil {
			return err
		}
	}
	samples := make([][]float64, len(ps))
	for range b.rounds {
		for i, p := range ps {
			s, err := p.round(at[i].from, load{time: b.round})
			if err != nil {
				return err
			}
			samples[i] = append(samples[i], s[mCPU])
		}
	}
	for i, p := range ps {
		peak, err := p.peak()
		if err != nil {
			return err
		}
		_, median, _ := spread(samples[i])
		c.cpus, c.mebis = append(c.cpus, median), append(c.mebis, mebi(peak))
	}
	return nil
}

// print says whether all is as it should be.
func (c *curve) print(w io.Writer) (ok bool, err error) {
	fmt.Fprintf(w, "\n%s\n", c.name)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	var head strings.Builder
	xs := make([]float64, len(c.points))
	for i, x := range c.points {
		xs[i] = float64(x)
		fmt.Fprintf(&head, "\t%d", x)
	}
	fmt.Fprintf(t, "%s\twanted\tfound\n", head.String())
	ok = true
	line := func(measure string, s shape, ys []float64, format string) {
		fmt.Fprint(t, measure)
		for _, y := range ys {
			fmt.Fprintf(t, "\t"+format, y)
		}
		found, holds := s.holds(xs, ys)
		if !holds {
			found, ok = found+" MISSED", false
		}
		fmt.Fprintf(t, "\t%s\t%s\n", s, found)
	}
	line(mCPU, c.cpu, c.cpus, "%.0f")
	line(mPeak, c.memory, c.mebis, "%.1f")
	return ok, t.Flush()
}

// curves are all, each with what it should be.
func (b *bench) curves() ([]curve, error) {
	few, err := b.keys.callers(10, 10)
	if err != nil {
		return nil, err
	}
	usual, err := dashboard(repeated, few)
	if err != nil {
		return nil, err
	}
	plain := b.promfence(filepath.Join(b.bin, "promfence"))
	return []curve{
		{name: "tenants in a token, every query new, 16 connections", points: []int{1, 2, 5, 10, 20}, cpu: linear, memory: flat, at: b.tenants},
		{name: "policies, a new token with 200 groups for each request, 4 connections", points: []int{0, 125, 250, 500, 1000}, cpu: linear, memory: linear, at: func(x int) (measured, error) {
			command, err := b.configured(fmt.Sprint("policies", x), policies(x))
			return measured{conns: 4, from: newcomers(b.keys.grouped()), command: command}, err
		}},
		// A chain of a thousand is what limits.max_query_terms allows. The parser looks at
		// the types of all that stands to the left of each operator.
		{name: "selectors in a query, a+a+…, every query new, 4 connections", points: []int{1, 10, 100, 300, 1000}, cpu: limited, memory: linear, at: func(x int) (measured, error) {
			query := strings.Repeat("up"+unique+"+", x-1) + "up" + unique
			return measured{conns: 4, from: one("range", query, "", few), command: plain}, nil
		}},
		{name: "distinct queries, each with a token of its own, over and over, 16 connections", points: []int{1e2, 1e3, 1e4, 1e5, 1e6}, cpu: bounded, memory: bounded, at: b.distinct},
		{name: "rules, a tenth the caller's, 1 connection", points: []int{1e2, 1e3, 1e4, 1e5}, cpu: linear, memory: flat, at: func(x int) (measured, error) {
			stub, err := b.stub(x / 20)
			if err != nil {
				return measured{}, err
			}
			there := b.programs
			there.upstream = stub.address
			return measured{conns: 1, from: one("rules", "", "", few[:1]), command: there.promfence(filepath.Join(b.bin, "promfence")), stub: stub}, nil
		}},
		{name: "issuers, a new token for each request, 4 connections", points: []int{1, 10, 50, 200}, cpu: flat, memory: linear, at: b.issuers},
		// As many are kept to the upstream: beyond upstream.max_idle_connections, each
		// request opens one.
		{name: "connections, the dashboard", points: []int{1, 16, 64, 256, 1024, 4096}, cpu: flat, memory: linear, at: func(x int) (measured, error) {
			command, err := b.configured(fmt.Sprint("connections", x), object{"upstream": object{"max_idle_connections": x}})
			return measured{conns: x, from: usual, command: command}, err
		}},
	}, nil
}

// tenants has x of them in each token, and asks for the first one's.
func (b *bench) tenants(x int) (measured, error) {
	names := make([]string, x)
	for i := range names {
		names[i] = fmt.Sprintf("t%04d", i)
	}
	callers := make([]caller, 10)
	for n := range callers {
		token, err := b.keys.tokenOf(jwt.SigningMethodES256, issuer, names, uint64(n))
		if err != nil {
			return measured{}, err
		}
		callers[n] = caller{names[0], token}
	}
	from, err := dashboard(unique, callers)
	return measured{conns: 16, from: from, command: b.promfence(filepath.Join(b.bin, "promfence"))}, err
}

// distinct sends x different queries, each with a token of its own, of 500 tenants.
// The first time they all come is the warm-up.
func (b *bench) distinct(x int) (measured, error) {
	const conns = 16
	secret := filepath.Join(filepath.Dir(b.jwks()), "secret")
	plain := b.promfence(filepath.Join(b.bin, "promfence"))
	command := func(address string) *exec.Cmd {
		cmd := plain(address)
		cmd.Env = append(cmd.Env, "PROMFENCE_AUTH_JWKS_FILE=", "PROMFENCE_AUTH_HMAC_SECRET_FILE="+secret)
		return cmd
	}
	come := func(n uint64) caller {
		tenant := fmt.Sprintf("t%04d", n%500)
		return caller{tenant, must(b.keys.token(jwt.SigningMethodHS256, tenant, n))}
	}
	t := request("range", "sum by (code) (rate(http_requests_total"+unique+`{job="api"}[5m]))`, come(0).token)
	from := requests{plain: func(buf []byte, n uint64) []byte { return t.fill(buf, come(n%uint64(x)), 0, n%uint64(x)) }}
	return measured{conns: conns, from: from, command: command, warm: load{count: x / conns}}, os.WriteFile(secret, b.keys.secret, 0o600)
}

// issuers has x of them, each with a key set of its own.
func (b *bench) issuers(x int) (measured, error) {
	name := func(n uint64) string { return fmt.Sprintf("https://login.example.com/realms/%06d", n%uint64(x)) }
	entries := make([]object, x)
	for i := range entries {
		entries[i] = object{"issuer": name(uint64(i)), "audience": []string{audience}, "jwks_file": b.jwks()}
	}
	command, err := b.configured(fmt.Sprint("issuers", x), object{"auth": object{"issuers": entries}})
	fresh := func(n uint64) caller {
		return caller{"t0001", must(b.keys.tokenOf(jwt.SigningMethodES256, name(n), "t0001", n))}
	}
	t := request("range", "up"+repeated, fresh(0).token)
	return measured{conns: 4, from: requests{plain: func(buf []byte, n uint64) []byte { return t.fill(buf, fresh(n), 0, n) }}, command: command}, err
}
