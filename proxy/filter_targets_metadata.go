package proxy

import (
	"bytes"
	"io"
	"slices"
)

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
		return a.copyOwned("target", func(entry []member) bool {
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
			entry, err := a.value()
			if err != nil {
				return err
			}
			members, whose, err := a.labelsOf(entry, "target")
			if err != nil || whose != own {
				return err
			}
			help, unit := find(members, "help"), find(members, "unit")
			if help.Kind() != '"' || unit.Kind() != '"' {
				return badAnswer("an entry lacks its texts")
			}
			family, err := a.unquote(find(members, "metric"))
			if err != nil {
				return err
			}
			name := string(family) // before unquote is asked again
			kind, err := a.unquote(find(members, "type"))
			if err != nil {
				return err
			}
			text := familyText{knownKind(kind), string(help), string(unit)}
			if slices.Contains(texts[name], text) {
				return nil // replicas of one program say the same
			}
			if size += len(name) + len(help) + len(unit); size > maxElement {
				return badAnswer("the texts of the tenants' families are larger than %d bytes", maxElement)
			}
			texts[name] = append(texts[name], text)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return texts, nil
}
