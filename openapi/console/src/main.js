// The console: who asks, what they ask, the answer, and why it is what it is.

import { Identity, call, root } from './api.js'
import { newAsk } from './ask.js'
import { element, show } from './dom.js'
import { graph } from './graph.js'
import { finishSignIn } from './sign-in.js'
import { table } from './table.js'
import { readView, stepOf, timeWindow, writeView } from './view.js'
import { newWho } from './who.js'
import { explanation, refusal } from './why.js'

const answer = document.getElementById('answer')
const why = document.getElementById('why')
const view = readView()
let identities = []
let editor
let running = new AbortController()

// ask sends the query for every identity and shows their answers side by side.
async function ask() {
  const query = editor.text().trim()
  running.abort()
  running = new AbortController()
  if (!identities.length) return problem(new Error('Say who you are first: paste a token or sign in.'))
  if (!query) return problem(new Error('Write a query first.'))
  let times
  try {
    times = timeWindow(view)
  } catch (e) {
    return problem(e)
  }
  writeView(view)
  editor.mark('')
  show(answer, element('p', { class: 'hint', role: 'status' }, 'Asking…'))
  const { signal } = running
  const columns = await Promise.all(identities.map((identity) => askAs(identity, query, times, signal)))
  if (signal.aborted) return
  show(answer, element('div', { class: 'identities' }, columns.map((c) => c.answer)))
  show(why, element('div', { class: 'identities' }, columns.map((c) => c.why)), await received())
}

function problem(error) {
  show(answer, refusal(error))
}

async function askAs(identity, query, times, signal) {
  const titled = (...content) => element('article', null, identity.name ? element('h3', null, identity.name) : null, ...content)
  const step = stepOf(times)
  const parameters = view.mode === 'range'
    ? { query, start: times.start.toFixed(3), end: times.end.toFixed(3), step: String(step) }
    : { query, time: (Date.now() / 1000).toFixed(3) }
  const asked = call(identity, view.mode === 'range' ? '/query_range' : '/query', parameters, { signal })
    .then(({ data, warnings }) => titled(warnings.map((text) => element('p', { class: 'hint' }, 'Warning: ', text)), results(data, times, step)))
    .catch((e) => {
      editor.mark(e.message)
      return titled(refusal(e))
    })
  const explained = call(identity, '/metrics/explain', { query }, { signal })
    .then(({ data }) => titled(explanation(data)))
    .catch((e) => titled(refusal(e)))
  return { answer: await asked, why: await explained }
}

// results shows an answer as a graph or a table, whichever was looked at last.
function results(data, times, step) {
  const drawable = data.resultType === 'matrix' && data.result.some((series) => series.values)
  if (!drawable) return table(data)
  const body = element('div', { role: 'tabpanel' })
  const make = { graph: () => graph(data.result, times, step), table: () => table(data) }
  const tabs = ['graph', 'table'].map((name) => element('button', {
    type: 'button', role: 'tab', onclick: () => choose(name),
    onkeydown: (e) => ['ArrowLeft', 'ArrowRight'].includes(e.key) && choose(name === 'graph' ? 'table' : 'graph', true),
  }, name === 'graph' ? 'Graph' : 'Table'))
  function choose(name, focus) {
    view.tab = name
    writeView(view)
    const chosen = name === 'graph' ? 0 : 1
    tabs.forEach((tab, i) => {
      tab.setAttribute('aria-selected', String(i === chosen))
      tab.tabIndex = i === chosen ? 0 : -1
    })
    body.setAttribute('aria-label', tabs[chosen].textContent)
    show(body, make[name]())
    if (focus) tabs[chosen].focus()
  }
  choose(view.tab)
  return element('div', null, element('div', { role: 'tablist', 'aria-label': 'View of the answer' }, tabs), body)
}

// received shows what the upstream of a demonstration was asked; elsewhere
// nobody but the operator can know.
async function received() {
  if (!settings.demo?.received) return null
  const response = await fetch(root + settings.demo.received, { cache: 'no-store' })
  const queries = await response.json()
  return element('div', null, element('h3', null, 'What the Prometheus of this demo received'),
    queries.map((query) => element('pre', { class: 'code' }, query)))
}

const settings = await fetch(root + 'console/settings.json').then((response) => response.json())
const who = newWho(document.getElementById('who'), settings, (now) => {
  identities = now
  if (editor?.text().trim() && now.length) ask()
})
try {
  const token = settings.client_id ? await finishSignIn(settings) : null
  if (token) await who.use(token)
} catch (e) {
  who.failed(e)
}
Object.assign(view, readView()) // a sign-in has put the fragment back
editor = newAsk(document.getElementById('ask'), view, { identity: () => identities[0], run: ask, changed: () => writeView(view) })
if (settings.demo) {
  identities = settings.demo.identities.map(({ name, token }) => new Identity(name, token))
  show(who.facts, element('p', { class: 'hint' }, `This demo asks as ${identities.map((identity) => identity.name).join(' and ')}, with a token for each.`))
}
if (identities.length && view.q) ask()
