package main

import "io"

// What the tests, which are outside, run.
var (
	Run           = run
	Main          = main
	NewLineWriter = newLineWriter
	NewServer     = newServer
	NewAudit      = func(w io.Writer, lost func()) io.Writer { return &auditFile{out: mender{out: w}, lost: lost} }
)

func (w *lineWriter) Later(task func(), now bool) { w.later(task, now) }
func (w *lineWriter) Settle()                     { w.settle() }
func (w *lineWriter) Close()                      { w.close() }
