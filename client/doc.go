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
// A client reconnects whenever its connection is lost, and continues from its resume
// point. Everything comes from [Client.Next], in order: events, gaps, the answers to
// [Client.Subscribe], and the state of the connection.
//
// Tokens end (see docs/tokens.md). With [Options.Token] the client gets the next one before
// that, and the connection goes on.
//
// A [Publisher] publishes events over HTTP. Each takes effect once, even if answers are
// lost.
//
// # What is promised
//
// Every event of a subscription comes once. Otherwise a [*Gap] says that it may be lost,
// or a [*Restart] that some come again. That holds for topics of the URL or the
// registration from the first [*Connected] on. It holds for topics of a
// [Client.Subscribe] from its [*Ack] on, and for a replay as a whole. The events of one
// topic come in order. So do those of all topics, except after a reconnection that lost
// subscriptions (see below).
//
// An application may store [Client.Cursor] together with the results of the messages,
// and use it as [Options.After] after a crash. Then the same promise holds across
// restarts. For topics that are not in its URL it subscribes with the same cursor as
// After of the [Subscription].
//
// # How it is kept
//
// The promise rests on the broker's: a connection that begins after a cursor receives
// every later event of its topics, once and in order, or a gap. The client remembers the
// last cursor that it received. One question remains for each connection: which topics
// did it have up to that cursor?
//
// It had the topics of the URL or the registration all the time.
//
// It also had topics of an acknowledged Subscribe whose replay is over: the cursors of
// the ack and of all later messages include them. The next connection may have them too,
// because the registration has survived, or because the client has put them into its
// URL. Then everything after the cursor follows in one stream, and there is nothing to
// do.
//
// If the next connection lacks them, the client subscribes to them with that cursor as
// "after". (The registration may be another one, or the URL would be too long for
// proxies.) The replay has the events after the cursor up to the connection's position.
// From there on they are topics like others. Such a repair has two peculiarities. First,
// its replay repeats events that came by another topic of the connection, such as a
// pattern. The client remembers the events since the cursor, and leaves them out.
// Second, the connection's cursor moves during the repair, before the repaired topics
// are complete. If the connection is lost again, the client asks for them from the old
// cursor once more. [Client.Cursor] returns that old cursor until the repair is over.
//
// A Subscribe that is not acknowledged has promised nothing; it is sent again.
//
// A replay has no cursors, so one that was cut is requested again from its beginning.
// The client does not hold events back until the replay is over: that would need as much
// memory as the replay is large. It passes events on as they come, and remembers them
// (at most [Options.ReplayMemory]) until the replay is over. So the repetition is passed
// on from the cut. Only then are its topics complete. The broker may have finished the
// replay before the connection was lost, while the client has not seen its end. Then the
// next connection has the topics, and their events would come twice, and before older
// ones of the replay. The client leaves these events out until the repetition begins,
// which contains them. Replays of the newest events cannot be continued, because by then
// others are the newest: that is what [Restart] is for.
//
// # A slow application
//
// The client reads until [Options.Buffer] is full, and then stops, so that TCP slows
// down the broker. The client drops nothing. The broker closes a connection for which
// too much waits, or which does not answer its pings because it does not read them
// (codes 4100 and 4101). When the application has caught up, the client reconnects with
// its cursor.
package client
