// Package silence narrows what a caller asks of Alertmanager and what a caller
// silences there to their label policy.
//
// It stops two threats: a caller who reads alerts and silences of others, and one
// who silences alerts of others. Its rules:
//
//   - A filter is parsed with Alertmanager's two grammars. One that they read
//     differently is refused. What is sent is spelled afresh, and both grammars must
//     read it as it was meant.
//   - A silence that a caller writes names exactly one tenant, by equality. A label
//     that the label policy speaks of, and the silence does not, gets the policy's
//     matcher. One that it speaks of must be an equality, or a list of plain words,
//     of which each is allowed. Everything else on such a label is refused: a
//     negative matcher and a pattern can match more than they seem to.
//   - A silence is shown, and may be replaced or ended, only when its matchers can
//     match nothing but what the caller may see. To anybody else it does not exist.
//   - The body is spelled afresh from the members that are known. Its author is the
//     token's subject, whatever was sent.
//
// The package knows no HTTP. The zero policy.Labels allows nothing, so nothing
// passes with it.
package silence

import "time"

// Limits bound one silence and the filters of one request. What a caller sends is read
// by their methods only, so nothing of it is unbounded.
type Limits struct {
	Matchers int           // of one silence, and filters of one request
	Bytes    int           // of one name, value or comment
	Duration time.Duration // from start to end
}
