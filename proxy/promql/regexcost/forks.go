package regexcost

// The compiler asks whether a match can ever go on in two ways. After each part
// it compares all those that may follow, by the characters that they begin with:
// where many parts may be left out, each with each, once more for each of them.
const (
	asciiRunes      = 128
	runesOfProperty = 700  // ranges in \pL
	maxOnePass      = 1000 // instructions: it does not ask about longer patterns
	forksPerSize    = 36   // comparisons that cost as much as 1 of Max
)

// forks are where a match may go on in more than one way.
type forks struct {
	optional     int // parts that may be left out or come again
	alternatives int
	repeated     int // parts with a number of times
	runes        int // in classes
}

// size is what comparing costs, as a part of Max. As soon as two ways
// begin alike the compiler gives up, so there are no more ways than characters.
func (f forks) size(pattern string, size int) int {
	ways := f.optional + f.alternatives + f.repeated + 1
	runes := min(ways+f.runes, asciiRunes)
	if runes += max(0, f.runes-asciiRunes); ways > asciiRunes || f.runes > 0 {
		runes += beyondASCII(pattern)
	}
	parts := f.optional + 1
	if f.repeated > 0 {
		parts = min(size, maxOnePass)
	}
	return saturate(min(ways, runes) * parts * runes / forksPerSize)
}

// beyondASCII is at least how many different characters beyond ASCII a pattern has.
func beyondASCII(pattern string) int {
	n := 0
	for i := range len(pattern) {
		if c := pattern[i]; c >= 0xc0 || isWord(c) && i > 0 && pattern[i-1] == '\\' {
			n++
		}
	}
	return n
}
