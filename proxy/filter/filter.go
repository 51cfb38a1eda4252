// Package filter copies the part of an upstream's JSON answer that an identity may
// see. It knows no HTTP.
//
// It stops one threat: an element of somebody else's (a rule, an alert, a target,
// an exemplar, what a target says about its metrics) in an answer that no selector
// narrows. Its rules:
//
//   - An element is shown when its labels match the whole label policy of the
//     [View]. What is not named here does not pass: members of the envelope, of
//     groups, and of rules that are shown in part.
//   - What cannot be understood is an error, and nothing more is written. The caller
//     has then received nothing, or the beginning of a document that lacks its
//     closing brace.
//   - An element of somebody else's is skipped without being held in memory, whatever
//     its size, depth and spelling, so that it breaks nobody's answer. An element is
//     held, up to 8 MiB, only as long as it may be the caller's.
//   - Two readers look at what is shown. The scanner, which is lax and holds
//     nothing, decides first; jsontext, which refuses names that come twice and text
//     that is no UTF-8, reads what was held and has the last word.
//
// In memory a [Filter] holds one buffer of what it writes, one element, and the names
// that it was given.
package filter

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/apierr"
)

// A Filter copies the part of an upstream's successful JSON answer that the view
// may show. An error means that what follows cannot be filtered: nothing more may be
// delivered.
type Filter func(v View, dst io.Writer, src io.Reader) error

// A View is what may be shown and to whom. Its methods are of three kinds:
//
//   - a [Filter] for the answers of each endpoint: [View.Rules] and its like;
//   - Read…, which reads of an answer what the filter of another one has to know;
//   - Check…, which refuses parameters that Prometheus refuses and a filter applies in
//     its place. It looks at Params alone.
//
// The zero value shows nothing: every filter refuses it.
type View struct {
	Labels policy.Labels
	Params url.Values // the caller's decoded, known parameters

	SharedRules    bool // tenancy.shared_rules
	SharedMetadata bool // tenancy.shared_metadata

	// Names returns the names of the series that the view's identity has.
	Names func() (Names, error)
	// Texts returns what the targets of that identity say about their metrics.
	// Without it HELP and UNIT stay empty.
	Texts func() (Texts, error)
	// Families returns what Metadata shows of that identity's metrics.
	Families func() (Families, error)

	// SilenceIDs returns the ids of the silences, and Fingerprints those of the alerts,
	// that Alertmanager has and that identity may see. Without them no alert tells
	// what suppresses it.
	SilenceIDs, Fingerprints func() (Names, error)
}

// HiddenWarning stands in the place of warnings that do not speak of a query.
const HiddenWarning = "the upstream warned that this answer may be incomplete"

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

// errAnswer is an answer that cannot be filtered. No text beneath it holds anything
// of the answer, which may be somebody else's, but for the name of an element of
// the caller's own.
var errAnswer = errors.New("the upstream's answer cannot be filtered")

func badAnswer(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errAnswer, fmt.Errorf(format, args...))
}

// oversized is the failure of an answer that holds an element of the caller's own
// which is larger than maxElement. Its text names the element.
func oversized(format string, args ...any) error {
	return apierr.New(http.StatusBadGateway, "%s is larger than the %d MiB that promfence filters", fmt.Sprintf(format, args...), maxElement>>20).Because(errAnswer)
}

// An answer is an upstream's answer on its way through a filter. The scanner walks
// the stream, inner walks one element that is held.
type answer struct {
	*scanner
	view     View
	matchers []policy.Matcher // of view.Labels
	inner    *jsontext.Decoder
	out      *bufio.Writer

	warned bool // the answer has warnings

	element  hold         // what is read of an element that may be shown
	title    []byte       // its name, for an error
	memory   bytes.Buffer // what inner walks
	unquoted []byte       // scratch of unquote
	scratch  []member     // of membersOf
	states   []state      // of noStates
}

func newAnswer(dst io.Writer, src io.Reader, v View) (*answer, error) {
	if v.Labels.IsZero() {
		return nil, errors.New("a filter was called without a label policy")
	}
	return &answer{
		scanner: newScanner(src), view: v, matchers: v.Labels.Matchers(),
		inner: new(jsontext.Decoder), out: bufio.NewWriterSize(dst, heldBack),
	}, nil
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
		a.write(`,"warnings":["` + HiddenWarning + `"]`)
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
