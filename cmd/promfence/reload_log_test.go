package main_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/promfence/promfence/auth/authtest"
)

// The file may hold log.level alone, while all else comes from variables.
func TestLogLevelFollowsItsFileBesideVariables(t *testing.T) {
	idp, asked := authtest.NewIssuer(t), make(chan string, 1)
	up := upstream(t, asked, nil)
	file := write(t, filepath.Join(t.TempDir(), "promfence.yaml"), []byte("log: {level: info}\n"))
	p := start(t, append(settings(idp, up), "PROMFENCE_CONFIG="+file)...)
	until(t, p.server+"/-/ready", 200)
	// debug is how many lines of debug there are, once the log has all that was asked.
	requests := 0
	debug := func() (n int) {
		p.asks(t, idp, asked)
		requests++
		for end := time.Now().Add(patience); p.having(`"decision":"allowed"`) < requests; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("no line of request %d:\n%s", requests, strings.Join(p.lines(), "\n"))
			}
		}
		return p.having(`"level":"debug"`)
	}
	if n := debug(); n != 0 {
		t.Fatalf("%d lines of debug at info", n)
	}
	write(t, file, []byte("log: {level: debug}\n"))
	p.logged(t, "info", "settings reloaded") // without a signal
	before := debug()
	if before == 0 {
		t.Fatalf("no line of debug at debug:\n%s", strings.Join(p.lines(), "\n"))
	}
	write(t, file, []byte("log: {level: info}\n"))
	p.reloads(t)
	if n := debug(); n != before {
		t.Errorf("%d lines of debug after it ended, %d before", n, before)
	}
}

// having counts the log's lines that hold a text.
func (p *process) having(text string) (n int) {
	for _, line := range p.lines() {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// A variable wins over the file, also over one that changes.
func TestLogLevelOfAVariableStays(t *testing.T) {
	idp := authtest.NewIssuer(t)
	file := write(t, filepath.Join(t.TempDir(), "promfence.yaml"), []byte("log: {level: error}\n"))
	p := startBlind(t, append(settings(idp, "http://127.0.0.1:9090"), "PROMFENCE_CONFIG="+file, "PROMFENCE_LOG_LEVEL=info")...)
	write(t, file, []byte("log: {level: warn}\n"))
	p.reloads(t)
	write(t, file, []byte("log: {level: error}\n"))
	p.reloads(t)
	for end := time.Now().Add(patience); p.having("settings reloaded") < 2; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the reloads are not in the log:\n%s", strings.Join(p.lines(), "\n"))
		}
	}
}
