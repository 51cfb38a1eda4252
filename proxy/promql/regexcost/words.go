package regexcost

import "strings"

// Prometheus lists the words that a regular expression stands for, if these are
// few: from one part of the pattern to the next it copies what it has found so
// far. It tries the whole pattern, and where that fails each of its parts. So
// groups in groups cost more than their length, and so do words of which one
// begins another: the parser makes groups of what they have in common.
const (
	maxWords     = 256  // it gives up beyond
	wordBytes    = 64   // what a word costs beside its bytes
	entryBytes   = 16   // what one costs that passes from a group to the one around
	bytesPerSize = 512  // copied bytes that cost as much as 1 of Max
	maxCopied    = 1e12 // more than enough, and no overflow in a product with it
)

// A wordList is what it costs, in bytes copied, to list the words of a group.
type wordList struct {
	once  int // to list them
	again int // to list those of its parts, each by itself

	// The alternative that is being read: the words that it may be and their
	// length, whether its last part was plain characters, and whether it has groups.
	ways, length int
	inLiteral    bool
	nested       bool

	// The alternatives before it.
	alternatives, words, longest int
}

// oneWord is a list in which nothing was read yet.
var oneWord = wordList{ways: 1}

// literal is n plain characters. They are one part with those before.
func (l *wordList) literal(n int) {
	if !l.inLiteral {
		l.part(1)
		l.inLiteral = true
	}
	l.length += n
	l.once = copied(l.once + l.ways*n)
}

// part is anything else that may stand for so many words, of one character each.
func (l *wordList) part(ways int) {
	l.inLiteral = false
	l.ways = min(l.ways*min(ways, maxWords), maxWords)
	l.length++
	l.once = copied(l.once + l.ways*(wordBytes+l.length))
}

// group is a group that ended: it is listed for each word that may come before
// it, and by itself.
func (l *wordList) group(in wordList) {
	times := min(l.ways, maxWords/in.words+1)
	l.once = copied(l.once + copied(times*in.once)*(1+l.length/wordBytes))
	l.again = copied(l.again + in.again + in.once)
	l.length += in.longest
	l.part(in.words)
	l.nested = true
}

// alternative ends one.
func (l *wordList) alternative() {
	l.alternatives++
	l.words += l.ways
	l.longest = max(l.longest, l.length)
	l.ways, l.length, l.inLiteral = 1, 0, false
}

// atMost is the deepest that the parser may nest the alternatives by what they
// begin with.
func (l *wordList) atMost() int { return min(l.alternatives, l.longest) }

// end is the end of the group, after its last alternative, which the parser nests
// so deep. Of more words than can be listed, the first so many are.
func (l *wordList) end(levels int) {
	l.again = copied(l.again + l.once)
	if l.words > maxWords {
		l.once = l.once / l.words * maxWords
		l.words = maxWords
	}
	l.once = copied(l.once + levels*l.words*entryBytes)
	l.again = copied(l.again + levels*l.once)
}

// size is the cost as a part of Max: the whole is listed twice.
func (l *wordList) size() int { return saturate((2*l.once + l.again) / bytesPerSize) }

func copied(n int) int { return min(n, maxCopied) }

// commonPrefixes tells how many groups the parser makes of the alternatives of a
// text without groups when it takes out what those beside each other begin with,
// and how deep these nest. It is not ok when a character may be spelled in two ways.
func commonPrefixes(text string) (levels, prefixes int, ok bool) {
	if strings.HasPrefix(text, "?") { // flags
		return 0, 0, false
	}
	var word, before []byte
	var shared []sharedPrefix // those taken out around the current word, the longest last
	for i := 0; i <= len(text); i++ {
		switch {
		case i == len(text) || text[i] == '|':
			n, inside := commonPrefix(before, word), 0
			for len(shared) > 0 && shared[len(shared)-1].length > n {
				inside = max(shared[len(shared)-1].levels, inside+1)
				shared = shared[:len(shared)-1]
			}
			if n > 0 && (len(shared) == 0 || shared[len(shared)-1].length < n) {
				shared = append(shared, sharedPrefix{length: n})
				prefixes++
			}
			if last := len(shared) - 1; last >= 0 {
				shared[last].levels = max(shared[last].levels, inside+1)
				levels = max(levels, last+shared[last].levels)
			}
			word, before = before[:0], word
			continue
		case text[i] == '[' || text[i] == '{':
			return 0, 0, false
		case text[i] == '\\':
			if i++; i == len(text) || isWord(text[i]) {
				return 0, 0, false
			}
			if strings.IndexByte(`\.+*?()|^$`, text[i]) >= 0 { // a character of its own, other than without the backslash
				word = append(word, '\\')
			}
		}
		word = append(word, text[i])
	}
	return levels, prefixes, true
}

// A sharedPrefix is what words have in common, and how deep they nest with it.
type sharedPrefix struct{ length, levels int }

func commonPrefix(a, b []byte) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}
