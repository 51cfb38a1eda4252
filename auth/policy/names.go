package policy

import (
	"errors"
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"
)

// maxValueBytes bounds one value of a label. It ends up in every matcher of every
// query, in regular expressions and in cache keys.
const maxValueBytes = 256

// CheckValue takes a tenant's name, or another label's value, byte for byte or
// refuses it: nothing is trimmed, folded or normalized, because two spellings that
// promfence takes for one could be two tenants upstream. Refused are the empty and
// the blank name, more than 256 bytes, invalid UTF-8 and U+FFFD (what decoders put
// in the place of invalid UTF-8, so that different names would become equal), and
// control characters and line separators. The error names the rule, never the
// value.
func CheckValue(s string) error {
	if len(s) > maxValueBytes {
		return fmt.Errorf("is longer than %d bytes", maxValueBytes)
	}
	visible := false
	for _, c := range s {
		switch {
		case c == utf8.RuneError: // U+FFFD itself, and what range makes of invalid UTF-8
			return errors.New("is not valid UTF-8 or holds U+FFFD, the mark of broken text")
		case unicode.In(c, unicode.Cc, unicode.Zl, unicode.Zp):
			return errors.New("holds a control character")
		case unicode.IsGraphic(c) && !unicode.IsSpace(c):
			visible = true
		}
	}
	if !visible {
		return errors.New("is blank")
	}
	return nil
}

// isLabelName reports a label name that every version of Prometheus takes and that
// is not the metric's name.
func isLabelName(s string) bool {
	for i, c := range []byte(s) {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && s != "__name__"
}

// ForTenants is the label policy of tenants named one by one: a single matcher on
// the tenant label. Every name must pass [CheckValue].
func ForTenants(label string, names ...string) (Labels, error) {
	if !isLabelName(label) {
		return Labels{}, errors.New("the tenant label is not the name of a label")
	}
	for i, n := range names {
		if err := CheckValue(n); err != nil {
			return Labels{}, fmt.Errorf("tenant %d of %d %w", i+1, len(names), err)
		}
	}
	return newLabels(label, []Matcher{{Label: label, Values: unique(names)}})
}

// unique returns the values sorted and without duplicates, in a slice of its own.
func unique(values []string) []string {
	values = slices.Clone(values)
	slices.Sort(values)
	return slices.Clip(slices.Compact(values))
}
