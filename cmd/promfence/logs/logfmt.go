package logs

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"strings"

	"github.com/rs/zerolog"
)

// Logfmt writes lines of JSON as name=value, in the order of their members.
type Logfmt struct{ Out zerolog.LevelWriter }

// Write writes a line of unknown level.
func (l Logfmt) Write(line []byte) (int, error) { return l.WriteLevel(zerolog.NoLevel, line) }

// WriteLevel writes a line. One that is no JSON object is written as it is.
func (l Logfmt) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	if text, ok := logfmt(line); ok {
		_, err := l.Out.WriteLevel(level, text)
		return len(line), err
	}
	return l.Out.WriteLevel(level, line)
}

func logfmt(line []byte) ([]byte, bool) {
	members := json.NewDecoder(bytes.NewReader(line))
	if start, err := members.Token(); err != nil || start != json.Delim('{') {
		return nil, false
	}
	text := make([]byte, 0, len(line))
	for members.More() {
		name, err := members.Token()
		if err != nil {
			return nil, false
		}
		var value json.RawMessage
		if err := members.Decode(&value); err != nil {
			return nil, false
		}
		if len(text) > 0 {
			text = append(text, ' ')
		}
		key, _ := name.(string) // of an object it is nothing else
		text = append(text, key...)
		text = append(text, '=')
		text = appendValue(text, value)
	}
	if _, err := members.Token(); err != nil && err != io.EOF {
		return nil, false
	}
	return append(text, '\n'), true
}

// appendValue writes a text without quotes where nothing in it needs them; a list
// and an object as quoted JSON.
func appendValue(text []byte, value json.RawMessage) []byte {
	s := string(value)
	if value[0] == '"' && json.Unmarshal(value, &s) != nil {
		s = string(value)
	}
	needsQuotes := func(c rune) bool { return c <= ' ' || c == '=' || c == '"' || c == '\\' || c > '~' }
	if s != "" && !strings.ContainsFunc(s, needsQuotes) {
		return append(text, s...)
	}
	return strconv.AppendQuote(text, s)
}
