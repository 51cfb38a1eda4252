package proxy

import (
	"bytes"
	"io"
	"slices"
)

var entries = kind{labels: "target", noun: "the metadata of the metric", title: "metric"}

// filterTargetsMetadata shows what the tenants' own targets say about their
// families, whole. An entry of another target would tell that target's labels.
func filterTargetsMetadata(dst io.Writer, src io.Reader, v view) error {
	a, err := newAnswer(dst, src, v)
	if err != nil {
		return err
	}
	limit, err := limitParam(v.params, "limit")
	if err != nil {
		return err
	}
	n, full, last := 0, false, []byte(nil)
	return a.filter(func() error {
		return a.copyOwned(entries, func(entry []member) bool {
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

// readTargetTexts collects, from an answer of /api/v1/targets/metadata, the
// texts and types that the tenants' own targets give their families. It is what
// view.texts is made of.
func readTargetTexts(src io.Reader, v view) (map[string][]familyText, error) {
	a, err := newAnswer(io.Discard, src, v)
	if err != nil {
		return nil, err
	}
	texts, size := map[string][]familyText{}, 0
	err = a.filter(func() error {
		return a.array(func() error {
			name, text, err := a.targetText()
			if err != nil || name == "" || slices.Contains(texts[name], text) {
				return err // replicas of one program say the same
			}
			if size += len(name) + len(text.help) + len(text.unit); size > maxElement {
				return oversized("what your targets tell of their metrics, up to %q,", clipTitle([]byte(name)))
			}
			texts[name] = append(texts[name], text)
			return nil
		})
	})
	if err == nil && a.warned {
		// A family that its targets do not describe could be described by a target
		// that was left out.
		err = badAnswer("it may be incomplete")
	}
	if err != nil {
		return nil, err
	}
	return texts, nil
}

// targetText reads the entry that comes next, and returns no name when its target
// is not the tenants'. Name and text are copies: they outlive the answer.
func (a *answer) targetText() (name string, text familyText, err error) {
	entry, err := a.read(entries, isOwn, nil)
	if err != nil || entry == nil {
		return "", text, err
	}
	members, whose, err := a.labelsOf(entry, entries.labels)
	if err != nil || whose != own {
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
	told, err := a.unquote(find(members, "type"))
	return name, familyText{knownType(told), string(help), string(unit)}, err
}
