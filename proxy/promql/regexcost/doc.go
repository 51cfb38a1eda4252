// Package regexcost estimates what a regular expression costs to compile, from its
// text alone.
//
// It stops one threat: a short query that takes seconds, because its patterns do.
// Compiling happens while a query is parsed, so the bound must hold before that.
// The estimate walks a pattern once, in linear time and without recursion. Where it
// reads a pattern differently from the compiler it charges more, never less. Lists
// of words, which Grafana makes of its variables, are the exception: one that is as
// long as a query may be must fit.
//
// # The model
//
// A cost is the sum of four things. A unit is about a microsecond, for both times
// that a pattern is compiled: in the query that came and in the one that is verified.
//
//	size     instructions, with repetitions multiplied out ([scan])
//	wide     classes that may reach beyond ASCII: the compiler walks their runes
//	listing  Prometheus lists the words that a pattern stands for, group by group,
//	         and copies what it has found from each part to the next ([wordList])
//	forks    the compiler compares all that may follow each part, to see whether a
//	         match can go on in two ways ([forks])
//
// # The constants
//
// Each was chosen so that a unit takes no more than about a microsecond. BenchmarkUnit
// repeats the measurement: for each constant it compiles a pattern of which nearly all
// that it costs is charged by that constant. The least of six runs, on 2 shared cores:
//
//	constant        value  probe                              ns/unit
//	sizePattern        40  a.b                                    500
//	a character         1  abcdefgh. 300 times                    350
//	sizeSpecial         2  a thousand dots                        430
//	sizeGroup           6  (.) 300 times                          330
//	sizeClass           4  [a-m] 40 times                          70
//	rangesPerSize      64  2,000 single runes, 100 times          630
//	sizeWide        3,900  \pL                                    160
//	                       (?i)[\x{80}-\x{10ffff}]                650
//	sizePrefix         14  80 words, each begins the next          90
//	plainPerSize        3  4,000 words in brackets               1220
//	listShare        57 %  6,400 words in brackets               1090
//	bytesPerSize      512  (a|b 30 times in each other             90
//	wordBytes          64  8 times (a|b), then (c) 40 times       200
//	forksPerSize       36  60 runes, each may be left out         730
//
// The low ones are dear on purpose: what they charge grows with the square or the
// cube of a pattern's length. Max, 40,000, is what fits into 50 ms by these figures.
package regexcost
