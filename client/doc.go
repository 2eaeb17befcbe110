// Package client is a client of belfry, the real-time event broker, by its
// WebSocket protocol belfry.v1.
//
//	c := client.New("ws://127.0.0.1:8000/ws?topic=orders.>", nil)
//	defer c.Close()
//	for {
//		m, err := c.Next(ctx)
//		if err != nil {
//			return err // the end: ctx's, Close, or what no reconnection can mend
//		}
//		switch m := m.(type) {
//		case *client.Event:
//			handle(m.Topic, m.Data)
//		case *client.Gap:
//			reload(m.Topics) // events are lost
//		}
//	}
//
// A client connects again whenever its connection is lost, and goes on where it
// was. Everything that there is to know comes from [Client.Next], in order:
// events, gaps, the answers to [Client.Subscribe], and how the connection is.
//
// A [Publisher] publishes events over HTTP, each once, also when answers are lost.
//
// # What is promised
//
// Every event of a subscription comes once, or a [*Gap] tells that it may be
// lost, or a [*Restart] that some come again. That holds for the topics that
// the URL or the registration brings from the first [*Connected] on, for those
// of a [Client.Subscribe] from its [*Ack] on, and for a replay as a whole. The
// events of one topic come in order. So do those of all topics, except behind a
// reconnection that has lost subscriptions, see below.
//
// An application that stores [Client.Cursor] together with what it has made of
// the messages, and begins with it as [Options.After] after a crash, has the
// same promise across its lives. It asks for the topics that its URL does not
// bring with the same cursor as After of their [Subscription].
//
// # How it is kept
//
// The ground is the broker's: a connection that begins behind a cursor gets
// everything of its topics behind it, once, in order, or is told of a gap. The
// client remembers the last cursor it was told. What is left is the topics of a
// connection: which ones were they up to that cursor?
//
// Topics that the URL or the registration brings were there all the time.
//
// Topics that were added by a Subscribe that is acknowledged, and the replay of
// which is over, have had everything up to the cursor as well: the cursors of
// the ack and of all that came behind it count them in. Where the next
// connection has them, because the registration has outlived the lost one, or
// because the client without a registration has put them into its URL,
// everything behind the cursor follows in one stream, and there is nothing to
// do.
//
// Where it does not have them (the registration is another one, or the URL
// would have become too long for proxies), the client subscribes to them with
// that cursor as "after". The replay gives what is behind the cursor up to where
// the connection stands by then; from there on they are topics like others.
// Two things are peculiar to such a repair. First, its replay gives events
// again that came by another topic of the connection, such as a pattern; the
// client remembers which ones have come since the cursor, and leaves
// them out. Second, the connection's cursor moves on meanwhile, but the
// repaired topics are not there yet. If the connection is lost again, they are
// asked for from the old cursor once more, and that is what [Client.Cursor]
// says until the repair is over.
//
// A Subscribe that is not acknowledged has promised nothing; it is sent again.
//
// A replay has no cursors, so one that is cut is asked for again from its old
// beginning. The client does not hold it back until it is over, which would
// need as much memory as the replay is large: it passes events on as they come,
// and remembers them (at most [Options.ReplayMemory]) until it is over, so
// that the repetition is passed on from where the cut was. Only then are its
// topics ones that have had everything. It can be that the broker has seen the
// replay off before the connection was lost, and the client has not seen its
// end. Then the topics are there on the next connection, and their events would
// come twice, and before older ones of the replay: the client leaves those out
// until the repetition begins, which has them. Replays of the newest events
// can't be taken up again, since other events are the newest by then: that is
// what [Restart] is for.
//
// # A slow application
//
// The client reads on until [Options.Buffer] is full, and then no more, so that
// TCP slows down the broker. Nothing is dropped here. The broker closes the
// connection of a client for which too much waits, or which does not answer its
// pings, since it does not read them (codes 4100 and 4101); when the application
// has caught up the client comes back, with its cursor.
package client
