// The PromQL editor. It stands in a shadow root, where CodeMirror uses style
// sheets that are made by calls: the page's policy allows no inline style.

import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from '@codemirror/autocomplete'
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands'
import { HighlightStyle, bracketMatching, indentOnInput, syntaxHighlighting } from '@codemirror/language'
import { lintKeymap, setDiagnostics } from '@codemirror/lint'
import { EditorState, Prec } from '@codemirror/state'
import { EditorView, keymap, placeholder } from '@codemirror/view'
import { tags } from '@lezer/highlight'
import { PromQLExtension } from '@prometheus-io/codemirror-promql'

const colors = HighlightStyle.define([
  { tag: [tags.name, tags.variableName], color: 'var(--text)' },
  { tag: [tags.keyword, tags.modifier, tags.operatorKeyword, tags.function(tags.variableName)], color: 'var(--accent)' },
  { tag: tags.labelName, color: 'var(--mark-line)' },
  { tag: [tags.string, tags.number], color: 'var(--bad)' },
  { tag: tags.comment, color: 'var(--quiet)', fontStyle: 'italic' },
])

const theme = EditorView.theme({
  '&': { color: 'var(--text)', backgroundColor: 'var(--ground)', fontSize: '0.95rem' },
  '&.cm-focused': { outline: '3px solid var(--accent)', outlineOffset: '1px' },
  '.cm-content': { fontFamily: 'ui-monospace, monospace', padding: '0.5rem', caretColor: 'var(--text)', minHeight: '3.5rem' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '.cm-placeholder': { color: 'var(--quiet)' },
  '.cm-tooltip': { backgroundColor: 'var(--panel)', color: 'var(--text)', border: '1px solid var(--line)' },
  '.cm-tooltip-autocomplete > ul > li[aria-selected]': { backgroundColor: 'var(--accent)', color: 'var(--on-accent)' },
  '.cm-completionDetail': { color: 'inherit', fontStyle: 'normal', opacity: '0.9' },
})

// newEditor puts an editor into host. client tells names (see nameClient), run is
// called for Ctrl-Enter and Shift-Enter, changed after each change of the text.
export function newEditor(host, { text, client, run, changed }) {
  const shadow = host.attachShadow({ mode: 'open' })
  const promQL = new PromQLExtension().setComplete({ remote: client, maxMetricsMetadata: 10000 })
  const submit = () => {
    run()
    return true
  }
  const view = new EditorView({
    root: shadow,
    parent: shadow,
    state: EditorState.create({
      doc: text,
      extensions: [
        history(), indentOnInput(), bracketMatching(), closeBrackets(), autocompletion(),
        EditorView.lineWrapping, syntaxHighlighting(colors), theme,
        placeholder('sum(rate(http_requests_total[5m]))'),
        EditorView.contentAttributes.of({ 'aria-label': 'PromQL query', 'aria-multiline': 'true' }),
        Prec.highest(keymap.of([{ key: 'Mod-Enter', run: submit }, { key: 'Shift-Enter', run: submit }])),
        // Tab moves the focus on, as everywhere in a page.
        keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, ...completionKeymap, ...lintKeymap]),
        promQL.asExtension(),
        EditorView.updateListener.of((update) => update.docChanged && changed(update.state.doc.toString())),
      ],
    }),
  })
  return {
    text: () => view.state.doc.toString(),
    replace: (query) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: query } }),
    focus: () => view.focus(),
    // mark underlines the place that a refusal names: "1:5: parse error: …".
    mark: (message) => view.dispatch(setDiagnostics(view.state, message ? placesIn(view.state.doc, message) : [])),
  }
}

function placesIn(doc, message) {
  const place = /(\d+):(\d+): (parse error: .*)/.exec(message)
  if (!place) return []
  const line = Math.min(Number(place[1]), doc.lines)
  const from = Math.min(doc.line(line).from + Number(place[2]) - 1, doc.length)
  return [{ from: Math.max(0, Math.min(from, doc.length - 1)), to: Math.min(from + 1, doc.length), severity: 'error', message: place[3] }]
}
