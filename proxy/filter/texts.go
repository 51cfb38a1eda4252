package filter

import (
	"bytes"
	"io"
	"slices"
)

var entries = kind{labels: "target", noun: "the metadata of the metric", title: "metric"}

// TargetsMetadata shows what the identity's own targets say about their metrics,
// whole. An entry of another target would tell that target's labels.
func (v View) TargetsMetadata(dst io.Writer, src io.Reader) error {
	a, err := newAnswer(dst, src, v)
	if err != nil {
		return err
	}
	limit, err := limitParam(v.Params, "limit")
	if err != nil {
		return err
	}
	n, full, last := 0, false, []byte(nil)
	return a.filter(func() error {
		return a.copyShown(entries, func(entry []member) bool {
			// Prometheus looks at the limit before each target, not within one.
			if target := find(entry, "target"); !full && !bytes.Equal(target, last) {
				full = limit >= 0 && n >= limit
				last = slices.Clone(target)
			}
			n++
			return !full
		})
	})
}

// A familyText is what a target says about a family: a TYPE that is known, and
// free text as the upstream spells it, JSON strings with their quotes.
type familyText struct{ kind, help, unit string }

// Texts are what the targets of an identity say about their metrics. They hold no
// part of the answer that they were read from.
type Texts struct {
	families map[string][]familyText
	bytes    int
}

// Size is about how much memory the texts take.
func (t Texts) Size() int { return t.bytes }

// ReadTexts reads an answer of /api/v1/targets/metadata.
func (v View) ReadTexts(src io.Reader) (Texts, error) {
	a, err := newAnswer(io.Discard, src, v)
	if err != nil {
		return Texts{}, err
	}
	all, size := Texts{families: map[string][]familyText{}}, 0
	err = a.filter(func() error {
		return a.array(func() error {
			name, text, err := a.targetText()
			if err != nil || name == "" || slices.Contains(all.families[name], text) {
				return err // replicas of one program say the same
			}
			if size += len(name) + len(text.help) + len(text.unit); size > maxElement {
				return oversized("what your targets tell of their metrics, up to %q,", clipTitle([]byte(name)))
			}
			all.families[name] = append(all.families[name], text)
			all.bytes = size + mapEntry*len(all.families)
			return nil
		})
	})
	if err == nil && a.warned {
		// A metric that these targets do not describe could be described by one that
		// was left out.
		err = badAnswer("it may be incomplete")
	}
	if err != nil {
		return Texts{}, err
	}
	return all, nil
}

// targetText reads the entry that comes next, and returns no name when its target
// is not shown. Name and text are copies: they outlive the answer.
func (a *answer) targetText() (name string, text familyText, err error) {
	entry, err := a.read(entries, nil)
	if err != nil || entry == nil {
		return "", text, err
	}
	members, shown, err := a.membersOf(entry, entries.labels)
	if err != nil || !shown {
		return "", text, err
	}
	help, unit := find(members, "help"), find(members, "unit")
	if help.Kind() != '"' || unit.Kind() != '"' {
		return "", text, badAnswer("an entry lacks its texts")
	}
	family, err := a.unquote(find(members, "metric"))
	if err != nil {
		return "", text, err
	}
	name = string(family) // before unquote is called again
	kind, err := a.unquote(find(members, "type"))
	return name, familyText{knownType(kind), string(help), string(unit)}, err
}
