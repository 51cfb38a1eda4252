package socket

// MaxCalls is after how many calls others have their turn.
const MaxCalls = maxCalls
