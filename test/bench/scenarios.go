package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A scenario is one kind of load and what is wanted under it.
type scenario struct {
	name     string
	conns    int
	from     requests
	load     load
	warmUp   requests
	warmTime time.Duration
	rounds   int       // at most, where they are long; 0 = as many as asked for
	alone    bool      // promfence only: there is nothing to compare with
	nginx    bool      // nginx takes part, where it is installed
	subjects []subject // instead of the usual ones, if there are any
	added    bool      // compare what is added to the latency without a proxy
	twice    bool      // as many turns, for figures that scatter more
	check    func(*process) error
	measures []string
	goals    []goal
}

// A goal holds for the median of a ratio, or of promfence's own figure.
type goal struct {
	measure string
	against string // the subject divided by; empty for promfence's own figure
	limit   float64
	atLeast bool
}

var (
	perRequest = []string{mCPU, mThroughput, mP50, mP99, mPeak}
	flooded    = append(slices.Clip(perRequest), mHeap)
	paced      = []string{mCPU, mAdded, mP99}
	panels     = []goal{{mAdded, nTuned, 1.1, false}, {mAdded, nLabel, 0.5, false}}
	spaced     = []goal{{mAdded, nTuned, 1.05, false}}
)

// scenarios are all, in the order of issue and README: what most requests are
// like comes first.
func (b *bench) scenarios() ([]scenario, error) {
	few, err1 := b.keys.callers(10, 10)
	many, err2 := b.keys.callers(2000, 500)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	usual, err1 := dashboard(repeated, few)
	new1, err2 := dashboard(unique, few)
	newMany, err3 := dashboard(unique, many)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	turn := load{time: b.round}
	rules := one("rules", "", "", few[:1])
	// With POST, net/http may cut a ReverseProxy's answer short: the server closes
	// the request's body while the transport still looks for its end.
	streamed := one("get", "streamed_"+repeated, "streamed_"+repeated+`{tenant_id="`+tenantMark+`"}`, few)
	all := []scenario{
		{name: "dashboard: 50 repeated queries over moving ranges, 16 connections", conns: 16, from: usual, load: turn, measures: perRequest, nginx: true, goals: []goal{
			{mCPU, nTuned, 1, false}, {mCPU, nLabel, 0.33, false}, {mThroughput, nLabel, 2.5, true}, {mThroughput, nNginx, 0.5, true}, {mPeak, "", 32, false},
		}},
		{name: "unique: every query is new, 16 connections", conns: 16, from: new1, load: turn, measures: flooded, goals: []goal{
			{mHeap, "", 8, false},
			{mCPU, nTuned, 1.4, false},
			{mCPU, nLabel, 0.6, false},
			{mPeak, "", 40, false},
		}},
		{name: "tenants: 2,000 tokens over 500 tenants, every query is new, 16 connections", conns: 16, from: newMany, load: turn, measures: flooded, goals: []goal{
			{mHeap, "", 8, false},
			{mCPU, nLabel, 0.5, false},
		}},
		{name: "single: the dashboard, 1 connection", conns: 1, from: usual, load: turn, measures: perRequest},
		{name: "crowd: the dashboard, 128 connections", conns: 128, from: usual, load: turn, measures: perRequest, goals: []goal{
			{mPeak, "", 64, false},
		}},
		{name: "panels: 500 requests a second, 16 at once as a dashboard's panels ask", conns: 16, from: usual, load: load{time: b.round, every: 32 * time.Millisecond, burst: true}, added: true, twice: true, measures: paced, goals: panels},
		{name: "spaced: 500 requests a second, one every 2 ms, 16 connections", conns: 16, from: usual, load: load{time: b.round, every: 32 * time.Millisecond}, added: true, twice: true, measures: paced, nginx: true, goals: spaced},
		{name: "stream: answers of 200 MB, four at once", conns: 4, from: streamed, warmUp: usual, load: load{count: 1}, rounds: 5, measures: []string{mCPUperGB, mThroughput, mPeak, mRise}, goals: []goal{
			{mCPUperGB, nTuned, 1.1, false}, {mRise, "", 3, false},
		}},
		{name: "rules: 10,000 of them, a tenth the caller's, 1 connection", conns: 1, from: rules, load: turn, check: func(p *process) error { return onlyOwnRules(p, rules) }, measures: perRequest},
		{name: "longest: a+a+… of the largest size allowed, 1 connection", conns: 1, from: one("range", longest(), "", few), load: load{count: 5}, alone: true, measures: []string{mCPU, mP50, mP99, mPeak}, goals: []goal{
			{mCPU, "", 50e3, false}, {mP99, "", 50e3, false},
		}},
		{name: "flood: a minute of new tokens and new queries of all sizes, 16 connections", conns: 16, from: b.flood(), load: load{time: 8 * time.Second}, warmTime: 20 * time.Second, rounds: 5, alone: true, measures: []string{mCPU, mThroughput, mPeak, mRise, mHeap}, goals: []goal{
			{mHeap, "", 8, false}, {mPeak, "", 56, false}, {mRise, "", 6, false},
		}},
	}
	policies, err := b.policyScenarios()
	if err != nil {
		return nil, err
	}
	all = append(append(all, policies...), b.decisionScenario(usual, few))
	for i := range all {
		s := &all[i]
		if s.warmUp.plain == nil {
			s.warmUp = s.from
		}
		if s.warmTime == 0 {
			s.warmTime = 300 * time.Millisecond
		}
	}
	return all, nil
}

// flood comes with a token of its own for each request, and with queries of 100
// bytes to 10 kB.
func (b *bench) flood() requests {
	method := jwt.SigningMethodES256
	token := func(n uint64) caller {
		tenant := fmt.Sprintf("t%04d", n%10000)
		return caller{tenant, must(b.keys.token(method, tenant, n))}
	}
	width := token(0).token
	var templates []template
	for size := range 20 {
		text := "up" + unique + `{job="` + strings.Repeat("x", 1+500*size) + `"}`
		templates = append(templates, request("range", text, width))
	}
	return requests{plain: func(buf []byte, n uint64) []byte {
		return templates[n%uint64(len(templates))].fill(buf, token(n), n, n)
	}}
}

// onlyOwnRules looks into an answer: the stub cannot check what is filtered.
func onlyOwnRules(p *process, from requests) error {
	c := p.conns[0]
	c.buf = from.plain(c.buf, 0)
	var body bytes.Buffer
	if err := c.do(&body); err != nil {
		return err
	}
	const label = `"tenant_id":"`
	rules, own := bytes.Count(body.Bytes(), []byte(label)), bytes.Count(body.Bytes(), []byte(label+"t0000"))
	if rules != 1000 || own != rules {
		return fmt.Errorf("%d rules, %d of them the caller's, want 1000", rules, own)
	}
	return nil
}
