package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/golang-jwt/jwt/v5"
)

// nNoPolicies is promfence without policies, for those with.
const nNoPolicies = "no policies"

const (
	policyCount = 500
	groupCount  = 200 // of a token; each makes one policy apply
)

// group is what the nth policy wants, with names as long as directories give them.
func group(n int) string { return fmt.Sprintf("/departments/engineering/team-%03d", n) }

// grouped are the same keys for tokens with many groups.
func (k *keys) grouped() *keys {
	more := *k
	more.groups = nil
	for n := range groupCount {
		more.groups = append(more.groups, group(2*n))
	}
	return &more
}

// writePolicies writes promfence's file with policies that confine a token to its
// tenant, as without them.
func (p programs) writePolicies() error {
	type object = map[string]any
	var policies []object
	for n := range policyCount {
		policies = append(policies, object{
			"name":   fmt.Sprintf("team-%03d", n),
			"when":   []object{{"claim": "groups", "any_of": []string{group(n)}}},
			"labels": []object{{"label": "tenant_id", "claim": "tenant_id"}},
		})
	}
	text, err := json.Marshal(object{"policies": policies}) // JSON is YAML
	if err != nil {
		return err
	}
	return os.WriteFile(p.policyFile(), text, 0o600)
}

func (p programs) policyFile() string { return filepath.Join(filepath.Dir(p.jwks()), "promfence.yaml") }

// policySubjects are promfence with policies and without.
func (p programs) policySubjects() []subject {
	without := p.promfence(filepath.Join(p.bin, "promfence"))
	return []subject{
		{nPromfence, true, func(address string) *exec.Cmd {
			cmd := without(address)
			cmd.Env = append(cmd.Env, "PROMFENCE_CONFIG="+p.policyFile())
			return cmd
		}},
		{nNoPolicies, true, without},
	}
}

// policyScenarios show what 500 policies and 200 groups cost: with tokens seen before,
// and with a new one for each request.
func (b *bench) policyScenarios() ([]scenario, error) {
	if err := b.writePolicies(); err != nil {
		return nil, err
	}
	keys := b.keys.grouped()
	few, err := keys.callers(10, 10)
	if err != nil {
		return nil, err
	}
	usual, err := dashboard(repeated, few)
	if err != nil {
		return nil, err
	}
	fresh := func(n uint64) caller {
		token, err := keys.token(jwt.SigningMethodES256, "t0001", n)
		if err != nil { // the key has signed before
			panic(err)
		}
		return caller{"t0001", token}
	}
	cold := request("range", "up"+repeated, fresh(0).token)
	turn := load{time: b.round}
	return []scenario{
		{name: "policies: the dashboard with 200 groups a token, 500 policies against none, 16 connections", conns: 16, from: usual, load: turn, subjects: b.policySubjects(), twice: true, measures: perRequest, goals: []goal{
			{mCPU, nNoPolicies, 1.03, false},
		}},
		{name: "newcomers: a new token with 200 groups for each request, 500 policies against none, 4 connections", conns: 4, from: requests{plain: func(buf []byte, n uint64) []byte {
			return cold.fill(buf, fresh(n), 0, n)
		}}, load: turn, subjects: b.policySubjects(), measures: flooded, goals: []goal{
			{mCPU, "", 1000, false}, {mHeap, "", 8, false},
		}},
	}, nil
}
