package filter

import (
	"io"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/promfence/promfence/proxy/silence"
)

// Silences shows the silences whose matchers can match nothing but what the label
// policy allows. Of one only named members pass.
func (v View) Silences(dst io.Writer, src io.Reader) error {
	f, err := newSilencesFilter(dst, src, v)
	if err != nil {
		return err
	}
	return f.bareArray(func(n *int) error {
		members, err := f.shown()
		if err == nil && members != nil {
			f.comma(*n)
			*n++
			f.writeSilence(members)
		}
		return err
	})
}

// Silence shows one silence likewise. To whom it does not belong it does not exist.
func (v View) Silence(dst io.Writer, src io.Reader) error {
	f, err := newSilencesFilter(dst, src, v)
	if err != nil {
		return err
	}
	return f.bare(func() error {
		members, err := f.shown()
		switch {
		case err != nil:
			return err
		case members == nil:
			return silence.NotFound()
		}
		f.writeSilence(members)
		return nil
	})
}

// ReadSilences reads the ids of the silences that Silences shows.
func (v View) ReadSilences(src io.Reader) (Names, error) {
	f, err := newSilencesFilter(io.Discard, src, v)
	if err != nil {
		return nil, err
	}
	return f.readIDs(f.shown, "id")
}

type silencesFilter struct{ *answer }

func newSilencesFilter(dst io.Writer, src io.Reader, v View) (*silencesFilter, error) {
	a, err := newAnswer(dst, src, v)
	return &silencesFilter{a}, err
}

// shown returns the members of the silence that comes next, or nil if it is not
// shown. One that is too large to be held is none of those that promfence has written,
// and is not shown.
func (f *silencesFilter) shown() ([]member, error) {
	f.element = hold{bytes: f.element.bytes[:0]}
	c, err := f.peek()
	if err != nil {
		return nil, err
	}
	if err := f.keeping(&f.element, f.value); err != nil {
		return nil, err
	}
	if c != '{' || f.element.over {
		return nil, nil
	}
	members, err := f.split(f.scratch[:0], f.mended())
	if err != nil {
		return nil, nil //nolint:nilerr // whose it is cannot be told, so it is nobody's
	}
	f.scratch = members
	matchers := find(members, "matchers")
	if matchers == nil || !silence.Visible(matchers, f.view.Labels) {
		return nil, nil
	}
	return members, nil
}

// silenceMembers are those that pass.
var silenceMembers = []string{"id", "status", "updatedAt", "annotations", "comment", "createdBy", "endsAt", "matchers", "startsAt"}

func (f *silencesFilter) writeSilence(members []member) {
	f.write(`{`)
	n := 0
	for _, m := range members {
		if slices.Contains(silenceMembers, string(m.name)) {
			f.comma(n)
			n++
			f.write(`"` + string(m.name) + `":`)
			f.writeBytes(m.value)
		}
	}
	f.write(`}`)
}

// ServerStatus tells Alertmanager's version, and that it is ready. Its settings and
// peers are its operator's: what clients want of them is there, and empty.
func (v View) ServerStatus(dst io.Writer, src io.Reader) error {
	a, err := newAnswer(dst, src, v)
	if err != nil {
		return err
	}
	version := jsontext.Value(`""`)
	return a.bare(func() error {
		err := a.object(func(name string) error {
			if name != "versionInfo" {
				return a.value()
			}
			return a.object(func(name string) error {
				if name != "version" {
					return a.value()
				}
				text, whole, err := a.text(maxFieldName)
				if err == nil && whole {
					version, err = jsontext.AppendQuote(nil, text)
				}
				return err
			})
		})
		a.write(`{"cluster":{"peers":[],"status":"ready"},"config":{"original":""},"uptime":"1970-01-01T00:00:00.000Z",` +
			`"versionInfo":{"branch":"","buildDate":"","buildUser":"","goVersion":"","revision":"","version":`)
		a.writeBytes(version)
		a.write(`}}`)
		return err
	})
}
