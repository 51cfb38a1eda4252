package question

// NoSuchPath reports whether a text with status 400 is known to mean a 404.
var NoSuchPath = noSuchPath
