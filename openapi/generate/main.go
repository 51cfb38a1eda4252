// Command generate writes openapi.yaml from the files in source.
//
// The document says everything several times: each endpoint stands at two base
// paths, and most of them take the same parameters in a URL and in a form. Kept
// by hand, such copies drift apart; so each endpoint is written once, in
// source/endpoints.yaml, and repeated here.
//
// It is run by go generate, in the directory above.
package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// run writes the document made from the named directory's files to w.
func run(args []string, w io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("want one argument, the directory of the sources; got %d", len(args))
	}
	dir, err := os.OpenRoot(args[0])
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	doc, err := build(dir.ReadFile)
	if err != nil {
		return err
	}
	_, err = w.Write(doc)
	return err
}
