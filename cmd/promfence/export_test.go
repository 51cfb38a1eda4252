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
	return runAt(ctx, pace{look: 50 * time.Millisecond, again: time.Minute, keys: usualPace.keys, spans: 50 * time.Millisecond}, nil, environ, io.Discard, stderr)
}

// RunBlind is run that looks at no file: it reads them when it is told to. New settings
// may take so long until they have keys.
func RunBlind(ctx context.Context, keys time.Duration, environ []string, stderr io.Writer) error {
	return runAt(ctx, pace{look: time.Hour, again: time.Hour, keys: keys, spans: usualPace.spans}, nil, environ, io.Discard, stderr)
}
