// What a token says about itself. promfence verifies it; here it is only read,
// to be shown.

// claimsOf returns a JWT's claims, or null for what is none.
export function claimsOf(token) {
  const parts = token.split('.')
  if (parts.length !== 3) return null
  try {
    const bytes = Uint8Array.from(atob(parts[1].replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0))
    const claims = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    return claims && typeof claims === 'object' && !Array.isArray(claims) ? claims : null
  } catch {
    return null
  }
}

// lifetime tells how long a token still lives.
export function lifetime(expires, now = Date.now() / 1000) {
  if (typeof expires !== 'number') return 'names no expiry'
  const left = Math.floor(expires - now)
  const at = new Date(expires * 1000).toLocaleString()
  if (left <= 0) return `expired at ${at}`
  const units = [['d', 86400], ['h', 3600], ['min', 60], ['s', 1]]
  const from = Math.max(0, units.findIndex(([, size]) => left >= size))
  let rest = left
  const parts = units.slice(from, from + 2).map(([unit, size]) => {
    const count = Math.floor(rest / size)
    rest -= count * size
    return `${count} ${unit}`
  })
  return `in ${parts.join(' ')} (${at})`
}
