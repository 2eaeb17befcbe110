// Package hub is the core of the broker: one goroutine owns every client,
// user, topic, subscription and retained event, and serves commands in the
// one order in which it takes them. There are no locks because there is
// nothing to share.
//
// [State] is that core as a plain single-threaded value: time, identifiers
// and the log's epoch are inputs, and what is to be sent comes out as
// batches of operations. [Hub] is the goroutine that feeds it: adapters send
// it commands, couriers take its batches.
//
// Connections may wait for the hub; the hub waits for no one. Everything it
// sends leaves through [Hub.flush], which cannot block.
package hub
