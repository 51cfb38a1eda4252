// Package answer decides what a caller may see of an upstream's answer.
//
// It stops one threat: an error, a warning or another text of the upstream that tells
// a caller an address, a label set or another tenant. The rules:
//
//   - an error keeps its status and errorType. Its text passes if it speaks of the
//     query ([Error] has the tables); a limit that the query hit is said in a sentence
//     of ours with the upstream's numbers; anything else becomes a fixed sentence, and
//     the original goes to the log;
//   - a 401, 403 or 407 is a 502: the upstream doubts promfence, not the caller;
//   - warnings and infos of an answer that streams are overwritten in place, unless
//     they speak of the query;
//   - an answer of a type or encoding that cannot be read is not passed on;
//   - an answer that breaks off before anything of it has left is an error, and one
//     that breaks off later must not look whole.
//
// [Warnings] works on the bytes as they come, without knowing JSON's grammar. Its states:
//
//	state      | what it stands for                      | leaves it for
//	-----------|-----------------------------------------|-----------------------------------------
//	beginning  | all bytes so far spell {"status":"success" | copying: it is spelled, or something else is,
//	           |                                         |   and then "error" members are looked at, too
//	copying    | anything else: bytes pass unread        | afterKey: a colon behind a key that we look at
//	afterKey   | behind that colon                       | inArray: [   textStart: " of an error
//	           |                                         |   copying: any other value is a label
//	inArray    | between the elements of an array        | textStart: "   copying: ]
//	textStart  | the first byte of a text                | passing, hiding: its beginning decides; while
//	           |                                         |   too little of it has come, it is held back
//	passing    | in a text that may pass                 | inArray, copying: its closing quote
//	hiding     | in a text that is overwritten           | inArray, copying: its closing quote
package answer

import (
	"errors"
	"net/http"

	"github.com/promfence/promfence/proxy/apierr"
)

// errUnfiltered is an answer that cannot be read, and so is not delivered.
var errUnfiltered = errors.New("the upstream's answer could not be filtered")

// Unfilterable is the failure of a request with such an answer, unless the cause has
// words of its own for the caller.
func Unfilterable(cause error) error {
	if e, ok := errors.AsType[*apierr.Error](cause); ok {
		return e
	}
	return apierr.New(http.StatusBadGateway, "the upstream's answer is not what promfence expects here, so it was not passed on").Because(errors.Join(errUnfiltered, cause))
}
