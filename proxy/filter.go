package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/promfence/promfence/auth"
)

// A filter copies the part of an upstream's successful JSON answer that belongs
// to the view's tenants. An error means that what follows cannot be filtered:
// nothing more is delivered. What was written until then is nothing at all, or
// the beginning of a document that lacks its closing brace: an answer is
// complete only when all of it was understood.
type filter func(dst io.Writer, src io.Reader, v view) error

// A view is what a filter may show and to whom. The zero value shows nothing:
// every filter refuses it.
type view struct {
	ctx     context.Context
	label   string // tenancy.label
	tenants auth.Tenants
	params  url.Values // the caller's decoded, known parameters

	sharedRules, sharedMetadata bool

	// families returns the names of the series that the tenants have.
	families func(context.Context) (map[string]bool, error)
	// texts returns what the tenants' own targets say about their metric
	// families (readTargetTexts). Without it HELP and UNIT stay empty.
	texts func(context.Context) (map[string][]familyText, error)
}

const (
	// maxElement bounds what is held in memory at a time: one rule with its
	// alerts, one target, one family. A rule with 10,000 alerts of 800 bytes fits.
	maxElement = 8 << 20
	// maxFields bounds the members of the objects around the elements.
	maxFields = 64
	// heldBack is how much of the output waits for the filter's verdict: a
	// failure before that leaves dst untouched and can still become a 502.
	heldBack = 32 << 10
)

// errAnswer is an answer that cannot be filtered. No text beneath it holds
// anything of the answer: it may be somebody else's.
var errAnswer = errors.New("the upstream's answer cannot be filtered")

func badAnswer(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errAnswer, fmt.Errorf(format, args...))
}

// An answer is an upstream's answer on its way through a filter.
type answer struct {
	view  view
	in    meter
	outer *jsontext.Decoder // walks the stream
	inner *jsontext.Decoder // walks one element in memory
	out   *bufio.Writer

	whole   []byte       // the element that is being read
	memory  bytes.Buffer // what inner walks
	text    []byte       // scratch of unquote
	scratch []member     // of labelsOf
}

// newAnswer starts a filter. The outer decoder does not look for duplicate
// names, since it would have to remember every family of everybody: object does
// around the elements and the inner decoder does within them. Nor does it refuse
// what is no UTF-8: value mends it.
func newAnswer(dst io.Writer, src io.Reader, v view) (*answer, error) {
	if v.label == "" || v.tenants.IsZero() {
		return nil, errors.New("a filter was called without a tenant")
	}
	a := &answer{view: v, in: meter{src: src}, inner: new(jsontext.Decoder), out: bufio.NewWriterSize(dst, heldBack)}
	a.outer = jsontext.NewDecoder(&a.in, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	return a, nil
}

// filter walks the envelope around the data. Only what is named here passes.
func (a *answer) filter(data func() error) error {
	seen, warned := "", false
	a.write(`{"status":"success"`)
	err := a.object(func(name string) (err error) {
		switch name {
		case "status":
			if status, err := a.string(); err != nil || status != "success" {
				return errors.Join(err, badAnswer("its status is not success"))
			}
			seen += name
		case "data":
			seen += name
			a.write(`,"data":`)
			return data()
		case "warnings":
			warned, err = a.nonEmpty()
		default:
			return a.skip()
		}
		return err
	})
	if err == nil && len(seen) != len("statusdata") {
		err = badAnswer("it has no status or no data")
	}
	if err == nil {
		err = a.end()
	}
	if err != nil {
		return a.explain(err)
	}
	if warned {
		// These answers are nobody's query: their warnings speak of stores.
		a.write(`,"warnings":["` + hiddenWarning + `"]`)
	}
	a.write(`}`)
	return a.out.Flush()
}

// end makes sure that nothing follows the answer, and that the stream (its
// compression, its length) ends well.
func (a *answer) end() error {
	a.in.refill()
	switch _, err := a.outer.ReadToken(); {
	case err == nil:
		return badAnswer("something follows it")
	case errors.Is(err, io.EOF):
		return nil
	default:
		return err
	}
}

// explain tells what is wrong with an answer without quoting it.
func (a *answer) explain(err error) error {
	syntax, isSyntax := errors.AsType[*jsontext.SyntacticError](err)
	switch {
	case a.in.err != nil:
		return fmt.Errorf("reading the upstream's answer: %w", a.in.err)
	case errors.Is(err, errAnswer):
		return err
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return badAnswer("it ends early")
	case errors.Is(err, jsontext.ErrDuplicateName):
		return errTwice
	case isSyntax:
		return badAnswer("it is not JSON near byte %d", syntax.ByteOffset)
	default:
		return err
	}
}
