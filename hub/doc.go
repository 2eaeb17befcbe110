// Package hub is the core of the broker. One goroutine owns every client, user,
// topic, subscription and retained event. It serves commands one after the other, in the
// order in which it takes them. There are no locks because nothing is shared.
//
// # The parts
//
// [State] is the core as a plain single-threaded value. Time, identifiers and the log's
// epoch are inputs. What is to be sent comes out as batches of ops. So a test is a list
// of commands, and the same commands always have the same result.
//
// [Hub] is the goroutine that feeds a State. Adapters send it commands and couriers take
// its batches. Connections may wait for the hub; the hub waits for nobody. Everything
// that it sends leaves through Hub.flush, which cannot block.
//
// A courier is a goroutine of the transport that writes to many connections. It has one
// batch at a time. While it writes, the hub gathers the next one. When too much waits for
// a courier the hub leaves publishes unread, and publishers wait.
//
// # The log
//
// All events stand in one log, each at a position. The hub retains a part of it in memory
// and evicts the oldest by count, age and bytes. There is an index by topic and user, the
// streams. A stream keeps a floor: the highest position that it has lost. A reader with a
// lower position may have missed something, and is told of a gap.
//
// There is one way to read. A reader has a position and reads on from it in chunks of a
// bounded size: [State.Work] gives it a turn, and it gets the next turn when its courier
// has written the last chunk. A resumed connection, a takeover, "last N", a replay and a
// slow connection that catches up all do this. A request for history reads the same
// way, but for a page instead of a connection. There is one exception: a slow connection
// that wants only the newest event of each topic reads the list of topics in rounds
// (conflate.go).
//
// # Modes
//
// A client has one mode. Only the transitions in progress.go set it.
//
//	new -- begins at the head --------------------------------> live
//	new, away -- from a cursor, or where it was --------------> catching up
//	new, away -- last N --> locating the newest -- located ---> catching up
//	away -- after a takeover --> awaiting a report -- heard --> catching up
//
//	catching up -- reaches the head ------------------------------> live
//	     |   ^                                                     |  |
//	     |   +------------------ asks for a replay ----------------+  |
//	  a chunk is handed over                                          |
//	     |   ^                                                        |
//	     |   +-- it is written --+                                    |
//	     v                       |                                    |
//	  writing -------------------+ <---------- is slow ---------------+
//
//	catching up, writing -- slow, and wants the newest only --> conflating --> writing, live
//	all that have a connection -- it ends, or is taken over --> away
//	all -- forgotten --> gone
//
// What the modes mean:
//
//   - new: it never had a connection.
//   - away: it has no connection. It keeps its position for the resume window.
//   - awaiting a report: a new connection took over and did not say from where it reads.
//     It waits until the earlier ones have reported how far they came.
//   - locating the newest: the connection asked for the newest events. The log is searched
//     for where they begin. Until then it is told nothing, and its requests wait.
//   - catching up: it stands in the queue of readers. Replays come before all else.
//   - conflating: the same, but it reads the newest event of each topic.
//   - writing: its courier has a chunk. It reads on when that is written.
//   - live: it has everything up to the head, and gets events as they are published.
//   - gone: it was forgotten. The queue of readers may still hold it.
//
// # Commands
//
//   - Of a backend: [State.Register], [State.Unregister], [State.UnregisterUser],
//     [State.AddTopic], [State.RemoveTopic]; [State.Publish] for one event,
//     [State.Begin] and [State.Continue] for many.
//   - Of a connection: [State.Attach] for a registered client, [State.Connect] for one that
//     lives as long as the connection; then [State.Subscribe], [State.Unsubscribe],
//     [State.SetTopics], [State.Renew], [State.Say].
//   - Of a courier: [State.ChunkWritten] when a chunk is written, [State.Lag] when a connection
//     is slow, [State.ConnEnded] when it takes no more frames.
//   - Of a request for history: [State.History], [State.Await], [State.EndPoll].
//   - Of an operator: [State.Clients], [State.Topics], [State.Explain], [State.Stats],
//     [State.SetLimits], [State.Regrant], [State.Drain].
//   - Of the hub itself: [State.Tick] for what has run out, [State.Work] for what a step has
//     left, [State.Settle] at the end of a step, [State.Take] for what is to be sent.
//
// # Ops
//
// An [Op] is one thing that a courier does to some connections. A connection gets them in
// this order:
//
//   - [OpOpen] once, first.
//   - [OpNote] for a notice: the welcome, answers, gaps.
//   - [OpDeliver] for a frame. Frames of a replay have no position.
//   - [OpChunk] for the last frame of a chunk, and [OpReportWhenWritten] where there is no frame: the
//     courier calls [Hub.ChunkWritten] when all has been written.
//   - [OpNewest] for a frame of a conflating connection.
//   - [OpLive] when the connection becomes live, [OpCatchUp] when it is live no longer. Between
//     the two, [Batch.Head] says up to where it has everything.
//   - [OpClose] once, last.
//
// # Invariants
//
// Each is kept at a line that names its number.
//
//  1. Positions grow. They need not be dense.
//  2. A client is live if, and only if, everything up to the head is in an outbox or was
//     sent. Its position is void then.
//  3. Everything up to the position of a client that is not live was handed over, or it was
//     told of a gap.
//  4. A subscription begins at a position that is not after the head. Nothing up to there
//     is for it.
//  5. Of a subscription, the floor that a connection was told of as a gap grows. Only a new
//     connection sets it to 0.
//  6. A client that reads stands in the queue of readers. It may stand there more than once.
//  7. All that was to be delivered up to a batch's Head is in that batch or in earlier
//     ones.
//  8. A connection reports its end once. What comes of a later report is nothing.
//  9. OpClose is the last op of a connection that counts.
//  10. No step does more than its allowance, but for what can't be divided.
package hub
