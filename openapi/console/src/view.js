// A view is what can be shared: the query, how it is asked and for which times.
// It stands in the URL's fragment, which browsers do not send. It holds no token.

const known = { q: '', mode: 'range', range: '1h', from: '', to: '', tab: 'graph' }

// readView reads the fragment; what it lacks or does not know has its default.
export function readView() {
  const sent = new URLSearchParams(location.hash.slice(1))
  const view = { ...known }
  for (const name of Object.keys(known)) if (sent.has(name)) view[name] = sent.get(name)
  if (view.mode !== 'instant') view.mode = 'range'
  if (view.tab !== 'table') view.tab = 'graph'
  return view
}

// writeView replaces the fragment without adding to the history.
export function writeView(view) {
  const fragment = new URLSearchParams()
  for (const [name, value] of Object.entries(view)) if (value !== known[name]) fragment.set(name, value)
  history.replaceState(null, '', location.pathname + '#' + fragment)
}

// ranges are the spans before now that can be chosen, in seconds.
export const ranges = {
  '5m': 300, '15m': 900, '1h': 3600, '3h': 10800, '6h': 21600, '12h': 43200,
  '1d': 86400, '2d': 172800, '7d': 604800, '30d': 2592000,
}

// window returns the start and end of a view in seconds since 1970, or throws
// an Error that says what is wrong with its times.
export function timeWindow(view, now = Date.now() / 1000) {
  if (view.range !== 'custom') return { start: now - (ranges[view.range] || ranges['1h']), end: now }
  const start = Date.parse(view.from) / 1000
  const end = view.to ? Date.parse(view.to) / 1000 : now
  if (Number.isNaN(start) || Number.isNaN(end)) throw new Error('Choose a start and an end, or a range such as "the last hour".')
  if (start >= end) throw new Error('The start must be before the end.')
  return { start, end }
}

// stepOf is the distance of points in seconds, for about 250 of them.
export function stepOf({ start, end }) {
  return Math.max(1, Math.ceil((end - start) / 250))
}
