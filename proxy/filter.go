package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
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
	// alerts, one target, the texts of one family. A rule with 10,000 alerts of 800
	// bytes fits.
	maxElement = 8 << 20
	// maxFields bounds the members of the objects around the elements, and
	// maxFieldName their names.
	maxFields    = 64
	maxFieldName = 1 << 10
	// maxName bounds what is read of the name of a metric, a group or a rule.
	maxName = 64 << 10
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

// oversized is the failure of an answer that holds an element of the caller's own
// which is larger than maxElement. Its text names the element.
func oversized(format string, args ...any) error {
	e := failure(http.StatusBadGateway, "%s is larger than the %d MiB that promfence filters", fmt.Sprintf(format, args...), maxElement>>20)
	e.Err = errAnswer
	return e
}

// An answer is an upstream's answer on its way through a filter. The scanner walks
// the stream, inner walks one element that is held.
type answer struct {
	*scanner
	view  view
	inner *jsontext.Decoder
	out   *bufio.Writer

	warned bool // the answer has warnings

	element  hold         // what is read of an element that may be shown
	title    []byte       // its name, for an error
	memory   bytes.Buffer // what inner walks
	unquoted []byte       // scratch of unquote
	scratch  []member     // of labelsOf
}

func newAnswer(dst io.Writer, src io.Reader, v view) (*answer, error) {
	if v.label == "" || v.tenants.IsZero() {
		return nil, errors.New("a filter was called without a tenant")
	}
	return &answer{scanner: newScanner(src), view: v, inner: new(jsontext.Decoder), out: bufio.NewWriterSize(dst, heldBack)}, nil
}

// filter walks the envelope around the data. Only what is named here passes.
func (a *answer) filter(data func() error) error {
	seen := ""
	a.write(`{"status":"success"`)
	err := a.object(func(name string) (err error) {
		switch name {
		case "status":
			if status, _, err := a.text(maxFieldName); err != nil || string(status) != "success" {
				return errors.Join(err, badAnswer("its status is not success"))
			}
			seen += name
		case "data":
			seen += name
			a.write(`,"data":`)
			return data()
		case "warnings":
			a.warned, err = a.nonEmpty()
		default:
			return a.value()
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
	if a.warned {
		// These answers are nobody's query: their warnings speak of stores.
		a.write(`,"warnings":["` + hiddenWarning + `"]`)
	}
	a.write(`}`)
	return a.out.Flush()
}

// end makes sure that nothing follows the answer, and that the stream (its
// compression, its length) ends well.
func (a *answer) end() error {
	_, err := a.peek()
	switch {
	case err == nil:
		return badAnswer("something follows it")
	case errors.Is(a.err, io.EOF):
		return nil
	default:
		return err
	}
}

// explain tells what is wrong with an answer without quoting it.
func (a *answer) explain(err error) error {
	_, isSyntax := errors.AsType[*jsontext.SyntacticError](err)
	switch {
	case a.err != nil && !errors.Is(a.err, io.EOF):
		return fmt.Errorf("reading the upstream's answer: %w", a.err)
	case errors.Is(err, errAnswer):
		return err
	case errors.Is(err, jsontext.ErrDuplicateName):
		return errTwice
	case isSyntax:
		return badAnswer("an element of it is not strict JSON, or nested too deep")
	default:
		return err
	}
}
