// Package logs writes what the process tells about its requests: the log, in
// buffered lines, and the audit file, whose records are written before the answers
// that they are about.
//
// It stops two threats. The first is a decision that takes effect and is not on record,
// because the process died in between: [AuditFile.Append] returns a function that
// returns once the record was handed to the system, and whoever acts on the decision
// calls that function first. The second is a request that waits for a slow reader of the
// log, or for a full disk: no request writes the log's lines itself, memory for waiting
// lines is bounded, and lost lines are counted.
package logs

import "io"

// wholeLines ends a line that a full disk has torn before it writes the next one,
// which would not be a line of its own otherwise.
type wholeLines struct {
	out  io.Writer
	torn bool
}

func (w *wholeLines) Write(lines []byte) (int, error) {
	if len(lines) == 0 {
		return 0, nil
	}
	if w.torn {
		if _, err := w.out.Write([]byte{'\n'}); err != nil {
			return 0, err
		}
		w.torn = false
	}
	n, err := w.out.Write(lines)
	w.torn = 0 < n && n < len(lines) && lines[n-1] != '\n'
	return n, err
}
