package main

// What the tests, which are outside, run.
var (
	Run       = run
	Main      = main
	NewServer = newServer
	OptionKey = optionKey
)
