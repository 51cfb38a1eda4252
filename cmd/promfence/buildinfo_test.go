package main_test

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/promfence/promfence/auth/authtest"
	promfence "github.com/promfence/promfence/cmd/promfence"
)

func TestTheMetricsSayWhichProgramThisIs(t *testing.T) {
	p := start(t, settings(authtest.NewIssuer(t), "http://127.0.0.1:9090")...)
	_, body, _ := get(t, p.admin+"/metrics", "")
	want := `promfence_build_info{goversion="` + runtime.Version() + `",parser="`
	if !strings.Contains(body, want) {
		t.Errorf("no %s in the metrics", want)
	}
}

func TestTheLogAsLogfmt(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	end() // it starts, and ends
	var stderr bytes.Buffer
	environ := append(settings(authtest.NewIssuer(t), "http://127.0.0.1:9090"),
		"PROMFENCE_LOG_FORMAT=logfmt", "PROMFENCE_SERVER_ADDRESS=127.0.0.1:0", "PROMFENCE_ADMIN_ADDRESS=off")
	_ = promfence.Run(ctx, nil, environ, io.Discard, &stderr)
	if log := stderr.String(); !strings.Contains(log, "level=info version=") || strings.Contains(log, `{"`) {
		t.Errorf("the log is %s", log)
	}
}
