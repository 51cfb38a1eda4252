package main

import (
	"os/exec"
	"path/filepath"
	"strings"
)

// nForwarded is promfence that forwards queries, for what its decisions cost.
const nForwarded = "a query"

// decisionScenario compares a decision on a token that was seen before with a query
// that is forwarded.
func (b *bench) decisionScenario(usual requests, few []caller) scenario {
	forwards := b.promfence(filepath.Join(b.bin, "promfence"))
	decide := of([]template{newTemplate("GET", "/auth", nil, few[0].token)}, few)
	return scenario{
		name: "decisions: gateways ask about tokens seen before, against the dashboard, 16 connections", conns: 16,
		from: requests{plain: decide, enforced: usual.plain}, load: load{time: b.round}, twice: true, measures: perRequest,
		subjects: []subject{
			{nPromfence, true, func(address string) *exec.Cmd {
				cmd := forwards(strings.Replace(address, "127.0.0.1", "127.0.0.3", 1))
				cmd.Env = append(cmd.Env, "PROMFENCE_ADMIN_ADDRESS="+adminOf(address), "PROMFENCE_DECISION_ADDRESS="+address)
				return cmd
			}},
			{nForwarded, false, forwards},
		},
		goals: []goal{{mCPU, nForwarded, 0.5, false}},
	}
}
