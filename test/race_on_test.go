//go:build race

package test_test

const race = true
