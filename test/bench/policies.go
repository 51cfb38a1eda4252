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

type object = map[string]any

// policies confine a token to its tenant, as without them.
func policies(count int) object {
	policies := []object{}
	for n := range count {
		policies = append(policies, object{
			"name":   fmt.Sprintf("team-%03d", n),
			"when":   []object{{"claim": "groups", "any_of": []string{group(n)}}},
			"labels": []object{{"label": "tenant_id", "claim": "tenant_id"}},
		})
	}
	return object{"policies": policies}
}

// configured is promfence with a file of settings, too.
func (p programs) configured(name string, settings object) (func(address string) *exec.Cmd, error) {
	text, err := json.Marshal(settings) // JSON is YAML
	if err != nil {
		return nil, err
	}
	file := filepath.Join(filepath.Dir(p.jwks()), name+".yaml")
	without := p.promfence(filepath.Join(p.bin, "promfence"))
	return func(address string) *exec.Cmd {
		cmd := without(address)
		cmd.Env = append(cmd.Env, "PROMFENCE_CONFIG="+file)
		return cmd
	}, os.WriteFile(file, text, 0o600)
}

// policySubjects are promfence with policies and without.
func (p programs) policySubjects() ([]subject, error) {
	with, err := p.configured("policies", policies(policyCount))
	return []subject{{nPromfence, true, with}, {nNoPolicies, true, p.promfence(filepath.Join(p.bin, "promfence"))}}, err
}

// policyScenarios show what 500 policies and 200 groups cost: with tokens seen before,
// and with a new one for each request.
func (b *bench) policyScenarios() ([]scenario, error) {
	subjects, err := b.policySubjects()
	if err != nil {
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
	turn := load{time: b.round}
	return []scenario{
		{name: "policies: the dashboard with 200 groups a token, 500 policies against none, 16 connections", conns: 16, from: usual, load: turn, subjects: subjects, twice: true, measures: perRequest, goals: []goal{
			{mCPU, nNoPolicies, 1.03, false},
		}},
		{name: "newcomers: a new token with 200 groups for each request, 500 policies against none, 4 connections", conns: 4, from: newcomers(keys), load: turn, subjects: subjects, measures: flooded, goals: []goal{
			{mCPU, "", 1000, false}, {mHeap, "", 8, false},
		}},
	}, nil
}

// newcomers come with a new token for each request.
func newcomers(k *keys) requests {
	fresh := func(n uint64) caller { return caller{"t0001", must(k.token(jwt.SigningMethodES256, "t0001", n))} }
	cold := request("range", "up"+repeated, fresh(0).token)
	return requests{plain: func(buf []byte, n uint64) []byte { return cold.fill(buf, fresh(n), 0, n) }}
}

// must is for keys that have signed before.
func must(token string, err error) string {
	if err != nil {
		panic(err)
	}
	return token
}
