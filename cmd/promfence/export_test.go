package main

import (
	"io"

	"github.com/rs/zerolog"
)

// What the tests, which are outside, run.
var (
	Run           = run
	Main          = main
	NewLineWriter = func(w io.Writer) zerolog.LevelWriter { return &lineWriter{out: w} }
)
