//go:build race

package hub

// A state has one goroutine: in what is done to it the race detector finds nothing, and
// makes it three times as slow.
const sequences = "1000"
