// Command bench measures what promfence costs, against bare reverse proxies,
// nginx and prom-label-proxy, and prints ratios: figures of two machines, or of
// two minutes, do not compare.
//
// Every subject is a process of its own on loopback. The subjects take turns,
// and each ratio is one of neighbors in the same turn. The stub upstream checks
// the tenant of every request; a wrong one ends the run with an error.
//
// With the argument curves it measures how the cost grows, and fails if it grows
// faster than it should.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// A bench is one run.
type bench struct {
	programs
	keys    *keys
	rounds  int
	round   time.Duration
	profile string
	against *regexp.Regexp
	extra   []subject
}

func run() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	b := bench{programs: programs{bin: filepath.Dir(self)}}
	flag.IntVar(&b.rounds, "rounds", 9, "turns of each subject, twice as many where latency is compared")
	flag.DurationVar(&b.round, "round", 400*time.Millisecond, "how long a turn takes")
	only := flag.String("only", "", "only scenarios whose name begins so: dashboard|unique, for one")
	against := flag.String("against", "", "only subjects whose name begins so")
	candidate := flag.String("candidate", "", "another promfence binary to compare with the one beside this program")
	flag.StringVar(&b.profile, "profile", "", "write a CPU profile of promfence to this file")
	picture := flag.String("picture", "test/growth.svg", "where the argument curves draws its picture")
	flag.Parse()
	names, err1 := regexp.Compile("^(?:" + *only + ")")
	against1, err2 := regexp.Compile("^(?:" + nPromfence + "|" + *against + ")")
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	b.against = against1
	if b.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if b.keys, err = newKeys(); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Dir(b.jwks()), 0o700); err != nil {
		return err
	}
	if err := b.keys.write(b.jwks()); err != nil {
		return err
	}
	stub, err := b.stub(500)
	if err != nil {
		return err
	}
	defer stub.stop()
	b.upstream = stub.address
	if *candidate != "" {
		b.extra = []subject{{"candidate", true, b.promfence(*candidate)}}
	}
	if flag.Arg(0) == "curves" {
		return b.growthCurves(*picture)
	}
	all, err := b.scenarios()
	if err != nil {
		return err
	}
	for _, s := range all {
		if names.MatchString(s.name) {
			if err := b.measure(s); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	return nil
}

// measure runs one scenario and prints what it showed.
func (b *bench) measure(s scenario) error {
	var ps []*process
	defer func() {
		for _, p := range ps {
			p.stop()
		}
	}()
	subjects := append(b.subjects(), b.extra...)
	if s.subjects != nil {
		subjects = s.subjects
	}
	for _, subject := range subjects {
		if s.subjects == nil && !b.against.MatchString(subject.name) || s.alone && (!subject.enforces || subject.name == nLabel) || subject.name == nNginx && !s.nginx {
			continue
		}
		p, err := b.start(subject)
		if err != nil {
			return err
		}
		ps = append(ps, p)
	}
	if s.added {
		ps = append(ps, &process{subject: subject{name: nDirect}, pid: os.Getpid(), address: b.upstream})
	}
	for _, p := range ps {
		if err := b.prepare(p, s); err != nil {
			return err
		}
	}
	results, err := b.turns(ps, s)
	if err != nil {
		return err
	}
	return results.print(os.Stdout, s)
}

// prepare connects, fills caches and pools, and checks an answer.
func (b *bench) prepare(p *process, s scenario) (err error) {
	if err := p.connect(s.conns); err != nil {
		return err
	}
	if slices.Contains(s.measures, mHeap) {
		if p.live, err = p.heap(); err != nil {
			return err
		}
	}
	if _, err := p.round(s.warmUp, load{time: s.warmTime}); err != nil {
		return err
	}
	if p.warm, err = p.peak(); err != nil || s.check == nil || !p.enforces {
		return err
	}
	return s.check(p)
}

// turns lets the processes take turns, in another order each time: what the one
// before leaves behind, in caches and in sleeping cores, is not always the same
// one's burden.
func (b *bench) turns(ps []*process, s scenario) (*results, error) {
	rounds := b.rounds
	switch {
	case s.rounds > 0:
		rounds = min(rounds, s.rounds)
	case s.twice:
		rounds *= 2
	}
	r := &results{}
	for _, p := range ps {
		r.columns = append(r.columns, column{name: p.name})
	}
	for n := range rounds {
		for _, at := range rand.Perm(len(ps)) {
			stop := func() error { return nil }
			if b.profile != "" && ps[at].name == nPromfence && n == rounds-1 {
				stop = b.record(ps[at], s.load.time)
			}
			sample, err := ps[at].round(s.from, s.load)
			if err != nil {
				return nil, err
			}
			r.columns[at].samples = append(r.columns[at].samples, sample)
			if err := stop(); err != nil {
				return nil, err
			}
		}
	}
	for i, p := range ps {
		peak, err := p.peak()
		if err != nil {
			return nil, err
		}
		r.columns[i].peak, r.columns[i].rise = mebi(peak), mebi(peak-p.warm)
		if slices.Contains(s.measures, mHeap) {
			live, err := p.heap()
			if err != nil {
				return nil, err
			}
			r.columns[i].heap = mebi((live - p.live) / 1024)
		}
	}
	return r, nil
}

func mebi(kibi int64) float64 { return float64(kibi) / 1024 }

// record takes a CPU profile of promfence during a round.
func (b *bench) record(p *process, d time.Duration) (stop func() error) {
	done := make(chan error, 1)
	go func() {
		resp, err := http.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", adminOf(p.address), max(1, int(d.Seconds()))))
		if err != nil {
			done <- err
			return
		}
		defer resp.Body.Close()
		profile, err := io.ReadAll(resp.Body)
		if err == nil {
			err = os.WriteFile(b.profile, profile, 0o600)
		}
		done <- err
	}()
	return func() error { return <-done }
}
