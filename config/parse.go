package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/prometheus/common/model"
)

// parse makes a value of the type of the setting's default out of what was
// written: a string in a variable, a scalar or a list in YAML. The second
// result says what was expected instead.
func (s Setting) parse(raw any, inFile bool) (any, string) {
	if inFile && "auth."+strings.TrimPrefix(s.Key, "auth.") == audienceKey {
		return audience(raw)
	}
	v, want := convert(raw, s.Default)
	if want != "" || isUnset(v) && isUnset(s.Default) || s.check == nil {
		return v, want
	}
	return v, s.check(v)
}

// convert does not guess: YAML's 10 is no duration, its 1 no text, its "yes" no
// boolean. Only strings are read further, since variables have nothing else.
func convert(raw, typed any) (any, string) {
	if raw == nil {
		return nil, "want a value, or no such line"
	}
	text, isText := raw.(string)
	switch typed.(type) {
	case string:
		if list, ok := raw.([]any); ok && len(list) > 0 {
			return "", "want one value only"
		}
		return text, wantText(text, isText)
	case bool:
		if v, ok := raw.(bool); ok {
			return v, ""
		}
		v, err := strconv.ParseBool(text)
		return v, wantIf(err != nil, "want true or false")
	case int:
		if v, ok := raw.(int); ok {
			return v, ""
		}
		v, err := strconv.Atoi(text)
		return v, wantIf(err != nil, "want a whole number")
	case time.Duration:
		v, err := model.ParseDuration(text)
		// ParseDuration takes a bare 0, and tomorrow somebody makes it a 5.
		return time.Duration(v), wantIf(err != nil || text == "0", "want numbers with units, such as 30s, 1h30m or 7d")
	case []string:
		return list(raw)
	}
	panic(fmt.Sprintf("config: no way to read a %T", typed)) // a row that no test has loaded
}

// wantText refuses what looks like a value and never equals one: the newline
// that echo adds, the blank that was pasted along.
func wantText(s string, isText bool) string {
	switch {
	case !isText:
		return "want text; put it in quotes"
	case s != strings.TrimSpace(s):
		return "want text without blanks around it"
	case strings.ContainsFunc(s, unicode.IsControl):
		return "want text without control characters"
	}
	return ""
}

// list reads a YAML list, or text with commas. Empty text is an empty list.
func list(raw any) ([]string, string) {
	var elements []any
	switch raw := raw.(type) {
	case []any:
		elements = raw
	case string:
		if raw == "" {
			return []string{}, ""
		}
		for part := range strings.SplitSeq(raw, ",") {
			elements = append(elements, strings.TrimSpace(part))
		}
	default:
		return nil, "want a list"
	}
	out := make([]string, 0, len(elements))
	for _, e := range elements {
		s, ok := e.(string)
		if want := wantText(s, ok); want != "" {
			return nil, "want a list of texts: " + strings.TrimPrefix(want, "want ")
		}
		if s == "" {
			return nil, "want a list without empty elements"
		}
		out = append(out, s)
	}
	return out, ""
}

// audience is a list whose elements are taken as they are: in text with a comma
// two audiences would be read as one, or one as two.
func audience(raw any) (any, string) {
	if text, ok := raw.(string); ok && text != "" {
		raw = []any{text}
	}
	out, want := list(raw)
	if slices.ContainsFunc(out, func(s string) bool { return strings.Contains(s, ",") }) {
		return nil, "want no comma in an audience: write a list, such as [grafana, cli]"
	}
	return out, want
}

// isUnset tells the values that mean "not set" where the default is one of them.
func isUnset(v any) bool {
	if list, ok := v.([]string); ok {
		return len(list) == 0
	}
	return v == "" || v == false
}

func wantIf(wrong bool, want string) string {
	if wrong {
		return want
	}
	return ""
}

// Suggest ends the sentence about an unknown name: the known one that is meant
// in all likelihood, or nothing.
func Suggest(name string, known []string) string {
	best, score := "", max(2, len(name)/4)+1
	for _, k := range known {
		d := distance(strings.ToLower(name), strings.ToLower(k))
		if strings.HasSuffix(strings.ToLower(k), lastWords(name)) {
			d = min(d, 2) // the right name in the wrong section
		}
		if d < score {
			best, score = k, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// lastWords is the name without its section, with the separator before it.
func lastWords(name string) string {
	name = strings.ToLower(name)
	if i := strings.LastIndex(name, "."); i >= 0 {
		return name[i:]
	}
	return strings.TrimPrefix(name, strings.ToLower(strings.TrimSuffix(prefix, "_")))
}

// distance counts the letters to insert, delete or change (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := slices.Clone(row)
		row[0] = i + 1
		for j := range len(b) {
			change := before[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(before[j+1]+1, row[j]+1, change)
		}
	}
	return row[len(b)]
}
