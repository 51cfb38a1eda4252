package silence

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"time"
	"unicode/utf8"

	"github.com/promfence/promfence/auth/policy"
	"github.com/promfence/promfence/proxy/apierr"
)

// errNotConfined is the cause of a 500: the check of promfence's own output failed,
// and nothing was sent.
var errNotConfined = errors.New("the narrowed silence failed its verification")

// A posted silence is Alertmanager's postableSilence. What it does not name is
// refused, so that nothing passes that was not looked at.
type posted struct {
	ID          string            `json:"id,omitempty"`
	Matchers    []matcher         `json:"matchers"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
	CreatedBy   string            `json:"createdBy"`
	Comment     string            `json:"comment"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// identifiers are what Alertmanager names silences by: UUIDs.
var identifiers = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

// ValidID reports whether a text can be the name of a silence.
func ValidID(id string) bool { return identifiers.MatchString(id) }

// Narrow returns the body that creates or replaces a silence on behalf of subject,
// confined to the label policy, and the id of the silence that it replaces, "" for
// a new one. Whoever sends it looks first whether that one is visible (Visible).
func (limits Limits) Narrow(body []byte, l policy.Labels, subject string) (narrow []byte, replaces string, err error) {
	if subject == "" {
		return nil, "", apierr.New(http.StatusForbidden, "a silence needs an author: the token has no sub")
	}
	s, err := read(body)
	if err != nil {
		return nil, "", err
	}
	if err := s.check(limits); err != nil {
		return nil, "", err
	}
	if s.Matchers, err = narrowed(s.Matchers, l); err != nil {
		return nil, "", err
	}
	s.CreatedBy = subject
	out, err := json.Marshal(s)
	if err != nil {
		return nil, "", apierr.Internal(err)
	}
	again, err := read(out)
	if err != nil || !visible(again.Matchers, l) || again.ID != s.ID {
		return nil, "", apierr.Internal(errNotConfined)
	}
	return out, s.ID, nil
}

func read(body []byte) (*posted, error) {
	if !utf8.Valid(body) {
		return nil, apierr.BadData("the silence is not UTF-8")
	}
	var s posted
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return nil, apierr.BadData("the silence is not one that Alertmanager describes: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, apierr.BadData("the silence is followed by something else")
	}
	return &s, nil
}

func (s *posted) check(limits Limits) error {
	switch length := s.EndsAt.Sub(s.StartsAt); {
	case s.ID != "" && !ValidID(s.ID):
		return apierr.BadData("the silence's id is none")
	case len(s.Matchers) == 0 || len(s.Matchers) > limits.Matchers:
		return apierr.BadData("want 1 to %d matchers in a silence", limits.Matchers)
	case s.StartsAt.IsZero() || s.EndsAt.IsZero() || length <= 0:
		return apierr.BadData("want startsAt before endsAt")
	case limits.Duration > 0 && length > limits.Duration:
		return apierr.BadData("the silence is longer than %s (alertmanager.max_silence)", limits.Duration)
	case len(s.Comment) > limits.Bytes || len(s.Annotations) > limits.Matchers:
		return apierr.BadData("the silence's comment or annotations are too long")
	}
	for _, m := range s.Matchers {
		if m.Name == "" || len(m.Name) > limits.Bytes || len(m.Value) > limits.Bytes {
			return apierr.BadData("want matchers with a name, and no name or value longer than %d bytes", limits.Bytes)
		}
		if !m.IsRegex {
			continue
		}
		if err := limits.CheckPattern(m.Value); err != nil {
			return err
		}
	}
	for name, text := range s.Annotations {
		if len(name) > limits.Bytes || len(text) > limits.Bytes {
			return apierr.BadData("the silence's annotations are too long")
		}
	}
	return nil
}

// NotFound is what a silence is to whom it does not belong: none.
func NotFound() *apierr.Error {
	return apierr.New(http.StatusNotFound, "there is no such silence")
}

// Visible reports whether a silence with these matchers, as Alertmanager answers
// them, can match nothing but what the label policy allows. What cannot be read is
// not visible. Names are taken as they are spelled, which encoding/json does for maps
// only.
func Visible(matchers []byte, l policy.Labels) bool {
	var all []map[string]json.RawMessage
	if json.Unmarshal(matchers, &all) != nil {
		return false
	}
	read := make([]matcher, len(all))
	for i, m := range all {
		read[i].IsEqual = new(bool)
		*read[i].IsEqual = true
		for name, into := range map[string]any{"name": &read[i].Name, "value": &read[i].Value, "isRegex": &read[i].IsRegex, "isEqual": read[i].IsEqual} {
			raw, ok := m[name]
			if ok && (string(raw) == "null" || json.Unmarshal(raw, into) != nil) || !ok && name != "isEqual" {
				return false
			}
		}
	}
	return visible(read, l)
}

// Belongs is Visible for a whole silence.
func Belongs(found []byte, l policy.Labels) bool {
	var s map[string]json.RawMessage
	return json.Unmarshal(found, &s) == nil && Visible(s["matchers"], l)
}
