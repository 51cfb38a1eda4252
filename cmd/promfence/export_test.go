package main

import (
	"context"
	"io"
	"time"
)

// What the tests, which are outside, run.
var (
	Run       = run
	Main      = main
	NewServer = newServer
	OptionKey = optionKey
)

// RunLooking is run that looks at its files, and sends spans, many times a second.
func RunLooking(ctx context.Context, environ []string, stderr io.Writer) error {
	p := usualPace
	p.look, p.spans = 50*time.Millisecond, 50*time.Millisecond
	return runAt(ctx, p, nil, environ, io.Discard, stderr)
}

// RunBlind is run that looks at no file: it reads them when it is told to. New settings
// wait for their keys until giveUp says something.
func RunBlind(ctx context.Context, giveUp <-chan time.Time, environ []string, stderr io.Writer) error {
	p := usualPace
	p.look, p.again, p.keys = time.Hour, time.Hour, func() <-chan time.Time { return giveUp }
	return runAt(ctx, p, nil, environ, io.Discard, stderr)
}

// RunDelaying is run whose delay before a drain is passed by the test.
func RunDelaying(ctx context.Context, delay func(time.Duration), environ []string, stderr io.Writer) error {
	p := usualPace
	p.delay = delay
	return runAt(ctx, p, nil, environ, io.Discard, stderr)
}
