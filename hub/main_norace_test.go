//go:build !race

package hub

const sequences = "2500"
