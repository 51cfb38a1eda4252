package answer

// ErrUnfiltered is an answer that cannot be read.
var ErrUnfiltered = errUnfiltered
