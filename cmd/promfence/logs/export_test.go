package logs

import "io"

// NewAudit makes an AuditFile of a writer.
func NewAudit(out io.Writer, lost func(records int)) *AuditFile {
	return &AuditFile{out: wholeLines{out: out}, lost: lost}
}
