package main

import (
	"io"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// What the tests, which are outside, run.
var (
	Run           = run
	Main          = main
	NewLineWriter = func(w io.Writer, m prometheus.Registerer) zerolog.LevelWriter { return newLineWriter(w, m) }
	NewServer     = newServer
	NewAudit      = func(w io.Writer, lost func()) io.Writer { return &auditFile{out: mender{out: w}, lost: lost} }
)
