package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"

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

// warningsWithheld replaces an upstream's warnings about an answer that is not
// a query's: they name stores, their addresses and their label sets.
const warningsWithheld = "the upstream warned that this answer may be incomplete"

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

	memory  bytes.Buffer // what inner walks
	text    []byte       // scratch of unquote
	scratch []member     // of labelsOf
}

// newAnswer starts a filter. The outer decoder does not look for duplicate
// names, since it would have to remember every family of everybody: object does
// around the elements and the inner decoder does within them.
func newAnswer(dst io.Writer, src io.Reader, v view) (*answer, error) {
	if v.label == "" || v.tenants.IsZero() {
		return nil, errors.New("a filter was called without a tenant")
	}
	a := &answer{view: v, in: meter{src: src}, inner: new(jsontext.Decoder), out: bufio.NewWriterSize(dst, heldBack)}
	a.outer = jsontext.NewDecoder(&a.in, jsontext.AllowDuplicateNames(true))
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
		a.write(`,"warnings":["` + warningsWithheld + `"]`)
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

// object calls field for each member of the object that comes next; field
// consumes the member's value. A name that comes twice is an error.
func (a *answer) object(field func(name string) error) error {
	seen := make([]string, 0, 16)
	return a.members(func(name string) error {
		if len(seen) == maxFields || slices.Contains(seen, name) {
			return badAnswer("an object around its elements has a name twice, or too many")
		}
		seen = append(seen, name)
		return field(name)
	})
}

// members is object for any number of members, without a look at duplicates.
func (a *answer) members(field func(name string) error) error {
	if err := a.open('{'); err != nil {
		return err
	}
	for a.peek() != '}' {
		name, err := a.string()
		if err != nil {
			return err
		}
		if err := field(name); err != nil {
			return err
		}
	}
	_, err := a.outer.ReadToken()
	return err
}

// array calls element for each element of the array that comes next; element
// consumes it.
func (a *answer) array(element func() error) error {
	if err := a.open('['); err != nil {
		return err
	}
	for a.peek() != ']' {
		if err := element(); err != nil {
			return err
		}
	}
	_, err := a.outer.ReadToken()
	return err
}

// copyArray writes the elements that keep returns true for. A null stays one.
func (a *answer) copyArray(keep func(element jsontext.Value) (bool, error)) error {
	if isNull, err := a.null(); isNull || err != nil {
		a.write(`null`)
		return err
	}
	a.write(`[`)
	n := 0
	err := a.array(func() error {
		element, err := a.value()
		if err != nil {
			return err
		}
		if ok, err := keep(element); err != nil || !ok {
			return err
		}
		a.comma(n)
		n++
		a.writeBytes(element)
		return nil
	})
	a.write(`]`)
	return err
}

// null consumes the next value when it is a null.
func (a *answer) null() (bool, error) {
	if a.peek() != 'n' {
		return false, nil
	}
	return true, a.skip()
}

// nonEmpty consumes an array or a null and tells whether it had an element.
func (a *answer) nonEmpty() (some bool, err error) {
	if isNull, err := a.null(); isNull || err != nil {
		return false, err
	}
	err = a.array(func() error { some = true; return a.skip() })
	return some, err
}

func (a *answer) open(kind jsontext.Kind) error {
	if k := a.peek(); k != kind && k != jsontext.KindInvalid {
		return badAnswer("it has a %s where a %s was expected", kindName(k), kindName(kind))
	}
	_, err := a.outer.ReadToken()
	return err
}

func (a *answer) peek() jsontext.Kind {
	a.in.refill()
	return a.outer.PeekKind()
}

// value reads the next value whole. It is valid until the next read.
func (a *answer) value() (jsontext.Value, error) {
	a.in.refill()
	return a.outer.ReadValue()
}

// string reads a short string: a name or a status.
func (a *answer) string() (string, error) {
	v, err := a.value()
	if err != nil {
		return "", err
	}
	text, err := a.unquote(v)
	return string(text), err
}

// skip passes over the next value, of any size, token by token.
func (a *answer) skip() error {
	depth := a.outer.StackDepth()
	for {
		a.in.refill()
		if _, err := a.outer.ReadToken(); err != nil {
			return err
		}
		if a.outer.StackDepth() <= depth {
			return nil
		}
	}
}

func (a *answer) comma(n int) {
	if n > 0 {
		a.write(`,`)
	}
}

// write and writeBytes need no check: the writer keeps its first error, and
// filter's Flush returns it.
func (a *answer) write(s string)      { _, _ = a.out.WriteString(s) }
func (a *answer) writeBytes(b []byte) { _, _ = a.out.Write(b) }

// A meter is a reader that gives at most maxElement bytes between two refills.
type meter struct {
	src  io.Reader
	left int
	err  error // of src, which the decoder may wrap beyond recognition
}

func (m *meter) refill() { m.left = maxElement }

func (m *meter) Read(p []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	if m.left == 0 {
		return 0, badAnswer("an element is larger than %d bytes", maxElement)
	}
	n, err := m.src.Read(p[:min(len(p), m.left)])
	m.left -= n
	if err != nil && !errors.Is(err, io.EOF) {
		m.err = err
	}
	return n, err
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
		return badAnswer("an element has a name twice")
	case isSyntax:
		return badAnswer("it is not JSON near byte %d", syntax.ByteOffset)
	default:
		return err
	}
}

func kindName(k jsontext.Kind) string {
	switch k {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	default:
		return "scalar"
	}
}
